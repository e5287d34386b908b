"""Decides how etcd starts: on its data, in a new cluster, or as a learner of the cluster there is."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hardway import fetch, here, restoring
from hardway import roster as rosters
from hardway.etcdctl import Member, control, members, own_status
from hardway.here import Failure
from hardway.waiting import patiently

# etcd renames it into place when it is whole; a failed first start leaves a member without it, which is no data.
DATA = "/var/lib/etcd/member/wal"
ENVIRONMENT = "/run/hardway/etcd.env"
# Another learner may come first, and ours may not be in sync yet.
PATIENCE, PAUSE = 120.0, 2.0
# A snapshot may have some GiB, and its node may come up last.
RESTORED = 1800.0
LIMIT_BYTES = 1 << 20


class Elsewhere(Failure):
    """Another node begins with the snapshot that etcd is restored from."""


def step() -> None:
    """Write etcd's initial flags; where it has to join a cluster, announce it there first."""
    facts = here.facts()
    if here.at(DATA).exists():
        views: list[str] = []
        roster, way = here.read(here.ROSTER), "existing"
    else:
        roster, way, views = patiently(look, RESTORED, PAUSE, on=Elsewhere)
        print(f"etcd: {way}; members answer on {', '.join(views) or 'no other node'}", flush=True)
    urls = peer_urls(roster)
    name, token = facts["node"], "" if way == "existing" else roster["etcd"]["token"]
    if way == "restore":
        restoring.restore(name, urls[name], roster["etcd"], here.launch()["restore"])
        urls = {name: urls[name]}
    elif way == "join":
        endpoints = [client_url(urls[peer]) for peer in views]
        urls = patiently(lambda: join(name, urls, endpoints), PATIENCE, PAUSE, say=say)
    cluster = ",".join(f"{member}={url}" for member, url in urls.items())
    state = "new" if way == "new" else "existing"
    settings = {"ETCD_INITIAL_CLUSTER": cluster, "ETCD_INITIAL_CLUSTER_STATE": state}
    if token:
        settings["ETCD_INITIAL_CLUSTER_TOKEN"] = token
    here.write(ENVIRONMENT, "".join(f"{key}={value}\n" for key, value in settings.items()))


def look() -> tuple[dict[str, Any], str, list[str]]:
    """Decide how a node without data starts: the roster, the way, and the peers that know any members.

    Raises:
        Elsewhere: etcd is being restored, and another node is the first.
        Failure: it may not start.
    """
    name = here.facts()["node"]
    roster, fresh = rosters.refresh()
    urls = peer_urls(roster)
    views = {peer: view for peer in urls if peer != name and (view := members_seen(urls[peer]))}
    way = decide(name, urls[name], roster["etcd"], fresh, datetime.now(UTC), list(views.values()))
    if way == "restore" and "restore" not in here.launch():
        raise Elsewhere("no data, and etcd is being restored elsewhere: its first member does not answer yet")
    if way not in ("join", "new", "restore"):
        raise Failure(way)
    return roster, way, list(views)


def peer_urls(roster: dict[str, Any]) -> dict[str, str]:
    """Give the URLs at which members of etcd reach each other, by their nodes."""
    return {node["name"]: f"https://{node['address']}:2380" for node in voting(roster)}


def voting(roster: dict[str, Any]) -> list[dict[str, Any]]:
    """List the nodes of the roster that run etcd."""
    return [node for node in roster["nodes"] if node["role"] == "control-plane"]


def decide(
    name: str, url: str, said: dict[str, str], fresh: bool, now: datetime, views: Sequence[Sequence[Member]]
) -> str:
    """Return `new`, `join`, `restore`, or the sentence that says why none of them may be.

    Args:
        name: this node, and `url` its peer URL.
        said: what the roster says of etcd; `fresh` tells whether the store has just confirmed it.
        views: the members that each peer which answers knows. A member with client URLs has served in a cluster
            with quorum; by the same sign etcd itself refuses to start a member a second time.
    """
    members = [member for view in views for member in view]
    own = [member for member in members if is_ours(member, name, url)]
    may_form = fresh and said["state"] == "new" and now < datetime.fromisoformat(said["new_until"])
    if any(member.get("clientURLs") for member in members):
        never_started = own and not any(member.get("clientURLs") or member.get("isLearner") for member in own)
        return "new" if may_form and never_started else "join"
    if may_form:
        return "new"
    if fresh and said["state"] == "restoring":
        return "restore"
    if said["state"] not in ("new", "restoring"):
        why = "the roster says that the cluster exists, but no member of it answers"
    elif not fresh:
        why = "the store can't confirm the roster"
    else:
        why = f"the time for that ended at {said['new_until']}"
    return f"no data, and no new cluster may form: {why}; bring back a member with its data, or restore a snapshot"


def is_ours(member: Member, name: str, url: str) -> bool:
    """Tell whether a member is this node or its dead predecessor."""
    return bool(name == member.get("name") or url in member["peerURLs"])


def client_url(peer_url: str) -> str:
    """Give the URL at which a member serves clients."""
    return peer_url.removesuffix(":2380") + ":2379"


def members_seen(url: str) -> list[Member] | None:
    """Ask a peer for the members it knows, on the port that answers without quorum too."""
    pki = here.at("/etc/etcd/pki")
    context = ssl.create_default_context(cafile=str(pki / "peer-ca.crt"))
    context.load_cert_chain(pki / "peer.crt", pki / "peer.key")
    try:
        status, text, _ = fetch.ask(f"{url}/members", context=context, limit_bytes=LIMIT_BYTES)
        return list(here.parse(text)) if status == 200 else None
    except (Failure, TypeError):
        return None


def join(name: str, urls: dict[str, str], endpoints: Sequence[str]) -> dict[str, str]:
    """Remove the dead predecessor, add a learner in its place, and return the cluster's peer URLs by name.

    etcd itself refuses what would cost quorum, and a second learner.
    """
    for member in members(endpoints):
        if is_ours(member, name, urls[name]):
            say(f"removing the dead predecessor {member['ID']:x}")
            control(endpoints, "member", "remove", f"{member['ID']:x}")
    control(endpoints, "member", "add", name, "--learner", f"--peer-urls={urls[name]}")
    planned = {url: node for node, url in urls.items()}
    return {planned.get(url) or member["name"]: url for member in members(endpoints) for url in member["peerURLs"]}


def promote() -> None:
    """Make this node's learner a voter once it is in sync; a voter stays what it is."""
    facts = here.facts()
    others = [node["address"] for node in voting(here.read(here.ROSTER)) if node["name"] != facts["node"]]
    endpoints = [f"https://{address}:2379" for address in others]

    def look_and_ask() -> bool:
        """Tell whether it had to be asked for; an answer may be lost after it took effect, so each try looks first."""
        status = own_status()
        if status.get("isLearner"):
            control(endpoints, "member", "promote", f"{status['header']['member_id']:x}")
        return bool(status.get("isLearner"))

    if patiently(look_and_ask, 2 * PATIENCE, PAUSE, say=say):
        say("the learner is a voter now")


def say(line: str) -> None:
    """Print to the journal of etcd's unit, where etcd itself speaks too."""
    print(f"etcd: {line}", flush=True)
