"""Applies addon after addon, a user's as far as those are up that it comes after, and says how each is.

A broken one stops at itself: what it is not needed for is applied all the same. Nobody waits for one that no addon of
a user's comes after, until everything is applied: ours bear with each other until all are up.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

from hardway import addon_secrets, belongings, fetch, here, timeline
from hardway.here import Failure
from hardway.kubectl import find, kubectl, server_side

RECORD = {"name": "hardway", "namespace": "kube-system"}
BASE = "base"
# Nothing is still to come of an addon in these states.
UP = ("applied", "removed")
# There while an addon of a user's is not up: its age says when it is tried again.
AGAIN = "hardway-again.service"
MARK, AGAIN_SECONDS = "/run/hardway/addons.again", 300
WHY_LENGTH, MOST_KEPT, MOST_NAMED = 500, 20, 3
# With which a failure of kubectl begins: everybody knows that it was one.
COMMAND = re.compile(r"^`[^`]*`: (error: )?")


def archive(digest: str) -> bytes:
    """Give the addons as kept here or as the store has them, checked against the roster."""
    kept = here.at(f"/var/lib/hardway/addons/{digest}.tar")
    if kept.exists():
        return bytes(kept.read_bytes())
    status, body, _ = fetch.ask(f"{here.launch()['addons_url']}{digest}.tar")
    if status != 200:
        raise Failure(f"the addons can't be fetched: answer {status}")
    if hashlib.sha256(body).hexdigest() != digest:
        raise Failure("the addons in the store are not those of the roster")
    here.write(str(kept.relative_to(here.ROOT)), body)
    return body


def apply(roster: dict[str, Any], only: Collection[str] | None = None) -> None:
    """Apply the addons, delete what left those of a user's, and record the digests with how each addon is.

    Args:
        roster: says which; `only` names those that are tried, if not all are.

    Raises:
        Failure: one of ours is not up; a broken one of a user's is only told.
    """
    secrets = addon_secrets.wanted(roster.get("secrets"))
    files = unpacked(archive(roster["addons"]))
    index = json.loads(files["index.json"])["addons"]
    run = Run(roster, index, find("configmap", RECORD["name"]), only)
    addon_secrets.clear(secrets, kubectl, gone=False)
    for addon in index:
        if run.is_tried(addon["name"]) and BASE not in run.failures:
            run.start(addon, files, secrets)
    for addon in index:
        run.finish(addon["name"])
    if only is None and BASE not in run.failures:
        run.prune_the_rest()
        addon_secrets.clear(secrets, kubectl, gone=True)
    ours = {name: why for name, why in run.failures.items() if not run.is_own(name)}
    run.record(done=not ours)
    for name, why in ours.items():
        raise Failure(f"addon {name}: {why}")


def unpacked(content: bytes) -> dict[str, str]:
    """Give the files of an archive."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        found = {member.name: tar.extractfile(member) for member in tar}
        return {name: file.read().decode() for name, file in found.items() if file}


def unwell(record: dict[str, Any] | None) -> list[str]:
    """Name the addons that the record says are not up; also those at which a run was cut off."""
    states = json.loads(record["data"].get("states") or "{}") if record else {}
    return [name for name, one in states.items() if one["state"] not in UP]


def mark(record: dict[str, Any] | None) -> None:
    """Remember whether something is to be tried again."""
    if unwell(record):
        here.write(MARK, "")
    else:
        here.at(MARK).unlink(missing_ok=True)


def is_time() -> bool:
    """Tell whether something is to be tried again now."""
    try:
        return time.time() - here.at(MARK).stat().st_mtime >= AGAIN_SECONDS
    except FileNotFoundError:
        return False


def try_again() -> None:
    """Start, beside everything else, a run for addons that were not up; one that is still at it is left alone."""
    words = ("--no-block", "--collect", "--quiet", f"--unit={AGAIN}", "--property=MemoryMax=512M")
    with suppress(Failure):
        here.run("systemd-run", *words, "/usr/local/sbin/hardway", "again")


class Run:
    """One run over the addons: what is found, and how each is.

    A record's `states` has for each addon that is not simply applied, or is a user's: `state` (`applied`, `applying`,
    `waiting`, `broken` or `removed`), `why`, what of it is `kept`, and how much `more` is that has no room.
    """

    def __init__(
        self,
        roster: dict[str, Any],
        index: list[dict[str, Any]],
        record: dict[str, Any] | None,
        only: Collection[str] | None,
    ) -> None:
        self.roster, self.index, self.only = roster, index, only
        self.failures: dict[str, str] = {}
        self.started: dict[str, dict[str, Any]] = {}
        self.written = dict(record["data"]) if record else {}
        self.states: dict[str, Any] = json.loads(self.written.get("states") or "{}") if only is not None else {}
        own = [addon for addon in index if "objects" in addon]
        self.known = belongings.all_known() if own or self.written else {}
        self.wanted: dict[str, list[belongings.Identity]] = {
            addon["name"]: [tuple(one) for one in addon["objects"]] for addon in own
        }

    def is_own(self, name: str) -> bool:
        """Tell whether an addon is a user's."""
        return name in self.wanted or name in self.known

    def is_tried(self, name: str) -> bool:
        """Tell whether an addon is to be applied in this run."""
        return self.only is None or name in self.only

    def start(self, addon: dict[str, Any], files: dict[str, str], secrets: list[dict[str, Any]]) -> None:
        """Apply one addon, a user's once all are up that it comes after; if it comes up itself is another question."""
        name = addon["name"]
        if self.is_own(name):
            for needed in addon.get("after", ()):
                self.finish(needed)
        if self.lacks(addon):
            return
        print(f"addon {name}", flush=True)
        try:
            if self.is_own(name):
                self.tell(name, "applying", "")
                belongings.keep(name, self.everything(name), self.known.get(name, []))
            for text, waits in batches(addon, files, secrets):
                server_side(text)
                self.wait(name, waits)
            for words in addon["withdraw"]:
                kubectl(*words)
        except Failure as error:
            self.fail(name, "broken", str(error))
        else:
            self.started[name] = addon

    def finish(self, name: str) -> None:
        """Wait until an addon is up that was applied; then delete what left it. Nothing is done twice."""
        addon = self.started.pop(name, None)
        if addon is None or self.lacks(addon):
            return
        try:
            self.wait(name, addon["wait"])
            if self.is_own(name):
                coming = self.wanted[name]
                left = [one for one in self.known.get(name, []) if one not in coming]
                kept = belongings.prune(name, left, self.all_wanted)
                belongings.keep(name, [*kept, *coming], self.everything(name))
                self.states[name] = state("applied", "", kept)
        except Failure as error:
            self.fail(name, "broken", str(error))

    def lacks(self, addon: dict[str, Any]) -> bool:
        """Tell whether one is broken that this addon comes after; it has to wait then."""
        lacking = [needed for needed in addon.get("after", ()) if needed in self.failures]
        if lacking:
            self.fail(addon["name"], "waiting", f"for {', '.join(lacking)}")
        return bool(lacking)

    def everything(self, name: str) -> list[belongings.Identity]:
        """Give what belongs to an addon, or may in a moment."""
        return belongings.united(self.known.get(name, []), self.wanted[name])

    def wait(self, name: str, waits: list[list[str]]) -> None:
        """Wait for one thing after the other, and let people see for which."""
        for words in waits:
            if self.is_own(name):
                self.tell(name, "applying", f"waits for {subject(words)}")
            began = timeline.now()
            try:
                kubectl(*words, timeout=900)
            except Failure as error:
                lost = absent() if words[2].startswith("daemonset/") else ""
                raise Failure(f"{error}; {lost}" if lost else str(error)) from None
            finally:
                if self.only is None:
                    timeline.note("bootstrap", subject(words), began)

    @property
    def all_wanted(self) -> set[belongings.Identity]:
        """Give every object that some addon of a user's has now."""
        return {one for objects in self.wanted.values() for one in objects}

    def prune_the_rest(self) -> None:
        """Delete what addons have left behind that are no longer there themselves."""
        for name, objects in self.known.items():
            if name in self.wanted:
                continue
            try:
                kept = belongings.prune(name, objects, self.all_wanted)
                belongings.keep(name, kept, objects)
            except Failure as error:
                self.fail(name, "broken", f"is to go: {error}")
            else:
                self.states |= {name: state("removed", "", kept)} if kept else {}

    def fail(self, name: str, word: str, why: str) -> None:
        """Remember that an addon is not up."""
        print(f"addon {name} is {word}: {why}", flush=True)
        self.failures[name] = why
        self.states[name] = state(word, why)

    def tell(self, name: str, word: str, why: str) -> None:
        """Write at once how an addon is, beside what was recorded before."""
        self.states[name] = state(word, why)
        self._write(self.written)

    def record(self, *, done: bool) -> None:
        """Record how all are; and which they are, once those of ours are up."""
        data = {
            "addons": self.roster["addons"],
            "generation": str(self.roster["generation"]),
            "secrets": self.roster.get("secrets") or "",
        }
        self._write(data if done else self.written)

    def _write(self, data: dict[str, str]) -> None:
        none = {"addons": "", "generation": "0", "secrets": ""}
        shown = {"states": json.dumps(self.states, sort_keys=True)} if self.states else {}
        data = none | {key: value for key, value in data.items() if key != "states"} | shown
        server_side(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": RECORD, "data": data}))


def state(word: str, why: str, kept: Collection[tuple[str, ...]] = ()) -> dict[str, Any]:
    """Write how an addon is."""
    found: dict[str, Any] = {"state": word}
    why = " ".join(COMMAND.sub("", why).split())
    found |= {"why": why[-WHY_LENGTH:]} if why else {}
    found |= {"kept": [list(one) for one in list(kept)[:MOST_KEPT]]} if kept else {}
    return found | ({"more": len(kept) - MOST_KEPT} if len(kept) > MOST_KEPT else {})


def absent() -> str:
    """Name nodes that are not ready, and what brings each back: no DaemonSet is whole without them."""
    shape = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}'
    try:
        said = [one.partition("=") for one in kubectl("get", "nodes", f"--output=jsonpath={shape}").split()]
    except Failure:
        return ""
    names = [name for name, _, is_ready in said if is_ready != "True"]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    shown = [f"{name} is not ready (lost for good? `gen replace {name}`)" for name in names[:MOST_NAMED]]
    return ", ".join(shown) + more


def subject(words: list[str]) -> str:
    """Say in words what kubectl is told to wait for."""
    named = words[2]
    place = f" of namespace {words[words.index('-n') + 1]}" if "-n" in words else ""
    if named == "endpointslice":
        return f"an answer behind the Service {words[3].rpartition('=')[2]}{place}"
    return f"{named}{place}"


def batches(
    addon: dict[str, Any], files: dict[str, str], secrets: list[dict[str, Any]]
) -> Iterator[tuple[str, list[list[str]]]]:
    """Give what is applied one after the other, each with what is waited for then.

    Secrets come between their namespace and what needs them.
    """
    own = [json.dumps(one) for one in secrets if one["metadata"]["namespace"] in addon.get("namespaces", [])]
    first = [name for name in addon["manifests"] if own and name.rpartition("/")[2].startswith("namespace")]
    for batch in ([files[name] for name in first], own):
        if batch:
            yield joined(batch), []
    batch, pauses = [], addon.get("pauses", {})
    for name in addon["manifests"]:
        if name not in first:
            batch.append(addon_secrets.marked(files[name], secrets))
        if batch and name in pauses:
            yield joined(batch), pauses[name]
            batch = []
    if batch:
        yield joined(batch), []


def joined(texts: list[str]) -> str:
    """Put documents into one text."""
    return "\n---\n".join(texts)
