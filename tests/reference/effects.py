"""Finds what a change of a description does: renders both, and compares as a launch would with what then stands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml

from generator.cluster.bucket_policy import mended
from generator.cluster.diff import diff
from generator.cluster.expiry_rules import planned
from generator.cluster.kinds import (
    archive,
    bucket,
    expiry,
    firewall,
    packages,
    policy,
    secrets,
    ssh_key,
    state_bucket,
    tag,
)
from generator.cluster.kinds.kind import Action
from generator.cluster.launchable import Documents
from generator.cluster.node_report import Phase, Progress
from generator.cluster.observed import DROPLETS, ROSTER, STATE_ACCESS, VOLUMES, VPCS, Observed, Report, StateAccess
from generator.documents import agent, committed, render, roster
from generator.errors import Problems
from generator.plan import names
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.plan.project import INVENTORY, Project
from generator.provider.resources import Droplet, Firewall, SshKey, Volume, Vpc
from generator.provider.spaces import Settings
from generator.release import lock_file
from tests.phases import phases_of
from tests.signed import Signed

NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)
ACCESS, STATE_KEY = "d" * 64, "DO00OURS"


@dataclass(frozen=True)
class Effect:
    """What a change does to what is rendered, and what a launch would do then; nothing where none gets so far."""

    rendered: str
    launch: str = ""


CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: default}\n"
TREE = {
    "deploy/shop/all.yaml": CONFIG % "shop",
    "deploy/other/all.yaml": CONFIG % "other",
    "deploy/test/kustomization.yaml": "resources: [../shop/all.yaml]\n",
    "deploy/production/kustomization.yaml": "resources: [../shop/all.yaml]\nnamePrefix: production-\n",
}
"""What addons of one's own are made of."""


class Effects:
    """Renders below an empty directory; each cluster is really rendered once, and copied for each change.

    Args:
        other: the name of a release whose every digest is another than that of `release`.
    """

    def __init__(self, scratch: Path, release: str, other: str) -> None:
        self._scratch = scratch
        self._locks = scratch / "releases"
        self._locks.mkdir()
        lock = lock_file.load(release, scratch)
        changed = replace(
            lock,
            name=other,
            artifacts=tuple(replace(one, sha256=one.sha256[::-1]) for one in lock.artifacts),
            images=tuple(replace(one, digest=f"sha256:{lock.artifacts[0].sha256}") for one in lock.images),
        )
        (self._locks / f"{other}.yaml").write_text(lock_file.dump(changed))
        for path, text in TREE.items():
            (scratch / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
            (scratch / "tree" / path).write_text(text)
        self._bases: dict[str, tuple[Project, Mapping[str, bytes]]] = {}
        self._copies = 0

    def of(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Effect:
        """Say what becomes of a rendered cluster when its description changes."""
        old, files = self._base(before)
        self._copies += 1
        directory = self._scratch / f"copy-{self._copies}"
        shutil.copytree(old.file.parent, directory)
        file = directory / old.file.name
        file.write_text(yaml.safe_dump(after))
        try:
            project = Project.load(file)
        except Problems as error:
            return Effect(f"refused: {error.problems[0].message}")
        try:
            render.rehearse(project)
        except Problems as error:
            found = error.problems
            if all("`gen rotate " in (problem.hint or "") for problem in found):
                return Effect(f"refused after the first render, until {found[0].hint}")
            return Effect(f"refused after the first render: contradicts {len(found)} certificates made by then")
        _bring(project)
        new = render.refresh(project, now=NOW)
        if new.rendered_path.name != old.rendered_path.name:
            return Effect("another cluster, with keys and documents of its own; those of the first stay")
        fresh = render.documents(new)
        seen = standing(old.plan, _digests(old.plan, files))
        if new.plan.state_bucket != old.plan.state_bucket:
            # What lies there is found by name, and a key is for one bucket.
            seen = seen.having(state_bucket.STATE_BUCKET, None)
            seen = seen.having(STATE_ACCESS, StateAccess({ACCESS: STATE_KEY}, others=frozenset({STATE_KEY})))
        actions = diff(new.plan, _digests(new.plan, fresh), seen)
        return Effect("; ".join(_differences(old.plan, new.plan, files, fresh)), "; ".join(_told(actions, old.plan)))

    def _base(self, value: Mapping[str, Any]) -> tuple[Project, Mapping[str, bytes]]:
        text = yaml.safe_dump(value)
        if text not in self._bases:
            directory = self._scratch / f"base-{len(self._bases)}"
            shutil.copytree(self._scratch / "tree", directory)
            shutil.copytree(self._locks, directory / "releases")
            file = directory / "cluster.yaml"
            file.write_text(text)
            _bring(Project.load(file))
            project = render.refresh(Project.load(file), now=NOW)
            files = render.documents(project)
            committed.write(project, files)
            assert diff(project.plan, (own := _digests(project.plan, files)), standing(project.plan, own)) == ()
            self._bases[text] = project, files
        return self._bases[text]


def _bring(project: Project) -> None:
    """Put beside the keys what the description names of the user's own."""
    plan = project.plan
    contents = {
        plan.pull_secret: b'{"auths": {"docker.io": {"auth": "dTpw"}}}',
        plan.state_key: f"DO00{'A' * 16} {'s' * 43}".encode(),
    }
    if plan.given is not None:
        authority = Signed("authority")
        own = Signed("own", authority, plan.order_book_host)
        contents |= {plan.given.certificate: own.pem, plan.given.key: own.key_pem()}
    for name, content in contents.items():
        if name is not None:
            project.keys_path.mkdir(mode=0o700, parents=True, exist_ok=True)
            (project.keys_path / name).touch(mode=0o600)
            (project.keys_path / name).write_bytes(content)


def standing(plan: Plan, documents: Documents) -> Observed:
    """Observe a cluster that was launched a day ago, and has all that it should have."""
    where = {node.name: f"10.110.0.{node.number + 1}" for node in plan.nodes}
    etcd = roster.Etcd("existing", "hardway-token", NOW - DAY)
    endpoints = {name: IPv4Address(address) for name, address in where.items()}
    published = roster.compose(
        plan,
        generation=1,
        time=NOW - DAY,
        endpoints=endpoints,
        etcd=etcd,
        addons_sha256=documents.addons,
        secrets_sha256=documents.secrets,
        state_access=ACCESS,
    )
    name = names.object_name(plan.name)
    droplets = tuple(_droplet(plan, node, documents, where[node.name]) for node in plan.nodes)
    owner = names.Owner(plan.cluster_id, plan.spaces_bucket, plan.spaces_region, published.generation)
    own = Firewall("1", name, (plan.cluster_tag,), firewall.inbound(plan), firewall.outbound())
    return Observed(
        NOW,
        {node.name: Report(NOW, _done(node), is_vouched=True) for node in plan.nodes},
        {node.name: True for node in plan.nodes},
        documents.addons,
        documents.secrets,
        found={
            ssh_key.SSH_KEYS: (SshKey(1, name, ""),),
            tag.TAGS: frozenset(one for droplet in droplets for one in droplet.tags),
            VPCS: (Vpc("1", name, str(owner), plan.region, plan.vpc),),
            firewall.FIREWALLS: (own,),
            bucket.BUCKET_SETTINGS: Settings(),
            expiry.RULES: (planned(plan.name),),
            policy.POLICY_TEXT: mended(None, policy.place(plan)),
            archive.ADDONS.found: frozenset({documents.addons}),
            archive.AGENT.found: frozenset({documents.agent}),
            secrets.SEALED: frozenset({documents.secrets}),
            packages.MIRRORED: frozenset(one.sha256 for one in packages.needed(plan)),
            state_bucket.STATE_BUCKET: state_bucket.StateBucket(),
            STATE_ACCESS: StateAccess({ACCESS: STATE_KEY}, frozenset({STATE_KEY})),
            ROSTER: published,
            VOLUMES: tuple(_volumes(plan)),
            DROPLETS: droplets,
        },
    )


def _volumes(plan: Plan) -> Iterator[Volume]:
    for node in plan.nodes:
        for one in node.volumes:
            words = names.volume_description(plan.cluster_id, node.name, one.name)
            yield Volume(one.full_name, one.full_name, plan.region, one.size, words, node.number)


def _droplet(plan: Plan, node: Node, documents: Documents, private: str) -> Droplet:
    tags = (plan.cluster_tag, plan.node_tag(node), plan.document_tag(documents.nodes[node.name]))
    public = f"203.0.113.{node.number}"
    return Droplet(node.number, node.name, "active", plan.region, node.size, tags, NOW - DAY, "1", public, private)


def _done(node: Node) -> Progress:
    phases = tuple(Phase(name, "done") for name in phases_of(control_plane=node.is_control_plane))
    return Progress(node.name, 1, phases, droplet=node.number)


def _digests(plan: Plan, files: Mapping[str, bytes]) -> Documents:
    nodes = {node.name: render.document_sha256(files, node.name) for node in plan.nodes}
    reviewed = json.loads(files["roster.json"])
    return Documents(nodes, reviewed["addons"], agent.digest(agent.files()), secrets=reviewed["secrets"])


def _differences(old: Plan, new: Plan, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[str]:
    """Say which files differ, and of the documents of which nodes."""
    names_before, names_after = ([node.name for node in plan.nodes] for plan in (old, new))
    kept = [name for name in names_before if name in names_after]
    paths = before.keys() | after.keys()
    differing = {path for path in paths if before.get(path) != after.get(path)}
    changed = [name for name in kept if f"nodes/{name}/user-data" in differing]
    if changed:
        yield "**every node's document**" if changed == names_before else f"**the documents of {listed(changed)}**"
    if fresh := [name for name in names_after if name not in kept]:
        yield f"new documents of {listed(fresh)}"
    if gone := [name for name in names_before if name not in kept]:
        yield f"no more of {listed(gone)}"
    if "roster.json" in differing:
        yield "the roster"
    if any(path.startswith("addons/") for path in differing):
        yield "the addons"
    if all(path in ("summary.md", INVENTORY) for path in differing):
        yield f"only {listed(sorted(differing))}" if differing else "nothing"


def _told(actions: Sequence[Action], plan: Plan) -> Iterator[str]:
    """Say what is done, several of one sort as one; why, where it is refused or only said."""
    sorts: dict[tuple[str, str, str], int] = {}
    for action in actions:
        why = "" if action.changes else action.why.replace(plan.cluster_id, "its own id")
        key = (action.verb, action.kind.name, why)
        sorts[key] = sorts.get(key, 0) + 1
    for (verb, kind, why), count in sorts.items():
        several = f" ({count})" if count > 1 else ""
        yield f"{verb} {kind}{several}" + (f": {why}" if why else "")
    if not sorts:
        yield "nothing"


def listed(words: Sequence[object]) -> str:
    """Name several things on one line."""
    return ", ".join(f"`{word}`" for word in words)
