"""Compares two states of a project: who is recreated and why, what is only applied, and what it costs; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal
from urllib.parse import urlsplit

from generator.changes import document, pruned, words
from generator.changes.tree import Snapshot
from generator.cluster.drift import Drift
from generator.cluster.founded import FACTS
from generator.cluster.rollout import Batch, batches
from generator.documents.roster import founding
from generator.plan import cost
from generator.plan.decide import Plan
from generator.plan.node import Node

Fate = Literal["unchanged", "new", "recreated", "removed"]
AGENT_PIN, NODE_FACTS = "/etc/hardway/agent.sha256", "/etc/hardway/node.json"


@dataclass(frozen=True)
class Reason:
    """A file because of which a node is recreated, and what changed in it."""

    file: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Fated:
    """What becomes of one node; `size` has its document's bytes before and after."""

    node: str
    role: str
    fate: Fate
    reasons: tuple[Reason, ...] = ()
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Stage:
    """One step of the rollout, and how many members etcd has before, meanwhile and after."""

    step: str
    members: tuple[int, int, int] | None = None
    caveat: str = ""


@dataclass(frozen=True)
class Difference:
    """Everything a change does, the worst first.

    `refused` is what no rollout can carry; `lost` data that goes; `applied` what changes without recreating anything.
    """

    refused: tuple[tuple[str, str], ...]
    lost: tuple[str, ...]
    nodes: tuple[Fated, ...]
    stages: tuple[Stage, ...]
    applied: tuple[Reason, ...]
    doors: tuple[str, ...]
    trust: tuple[str, ...]
    cost: tuple[int, int]
    expiry: tuple[str, str] | None

    @property
    def is_nothing(self) -> bool:
        """Tell whether the two are the same."""
        moved = any(one.fate != "unchanged" for one in self.nodes)
        return not (moved or self.refused or self.applied or self.doors or self.trust)

    def by_fate(self, fate: Fate) -> tuple[Fated, ...]:
        """Give the nodes to which one thing happens."""
        return tuple(one for one in self.nodes if one.fate == fate)


def compare(before: Snapshot | None, after: Snapshot) -> Difference:
    """Compare; without a state before everything is new."""
    old, new = (before.project.plan if before else None), after.project.plan
    files = before.files if before else {}
    nodes = tuple(_nodes(old, new, files, after.files))
    keys = after.project.inventory.keys if after.project.inventory else ()
    ends = sorted((one.expires, one.path) for one in keys if one.expires)
    return Difference(
        refused=tuple(_refused(old, new)) if old else (),
        lost=tuple(lost(new, old, nodes)),
        nodes=nodes,
        stages=tuple(stages(old, new, nodes)),
        applied=tuple(_applied(files, after.files)) if before else (),
        doors=tuple(_moved(doors(old) if old else (), doors(new), "opens", "closes")),
        trust=tuple(words.changed(trusted(before) if before else {}, trusted(after))) if before else (),
        cost=(cost.monthly(old)[0] if old else 0, cost.monthly(new)[0]),
        expiry=(ends[0][1], ends[0][0]) if ends else None,
    )


def why(before: str, after: str, agent: Sequence[str] = ()) -> tuple[Reason, ...]:
    """Say file by file what changed between two documents.

    Args:
        agent: the files of the agent that changed; a document pins all of them by one digest.
    """
    old, new = document.files(before), document.files(after)
    found = []
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) == new.get(path):
            continue
        if path == AGENT_PIN:
            found.append(Reason("the agent", tuple(agent) or ("other programs of the node",)))
        elif path not in old or path not in new:
            if not path.endswith(" (mode)"):
                found.append(Reason(path, ("is new" if path not in old else "is gone",)))
        else:
            lines = words.difference(path, old[path], new[path])
            if path == NODE_FACTS:
                lines = tuple("its keys are others" if line.startswith("bundle_sha256 ") else line for line in lines)
            found.append(Reason(path, lines))
    return tuple(found)


def _nodes(old: Plan | None, new: Plan, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[Fated]:
    was = {node.name: node for node in old.nodes} if old else {}
    agent = tuple(reason.file for reason in changed_files(before, after, "agent/"))
    for node in new.nodes:
        text = _text(after, node.name)
        if node.name not in was:
            yield Fated(node.name, node.role, "new", size=(0, len(text)))
            continue
        earlier = _text(before, node.name)
        reasons = why(earlier.decode(errors="replace"), text.decode(errors="replace"), agent)
        if was[node.name].size != node.size:
            reasons = (Reason("its size", (f"{was[node.name].size} → {node.size}",)), *reasons)
        is_same = earlier == text and was[node.name].size == node.size
        yield Fated(node.name, node.role, "unchanged" if is_same else "recreated", reasons, (len(earlier), len(text)))
    planned = {node.name for node in new.nodes}
    for name, node in was.items():
        if name not in planned:
            yield Fated(name, node.role, "removed", size=(len(_text(before, name)), 0))


def lost(new: Plan, old: Plan | None, nodes: Sequence[Fated]) -> Iterator[str]:
    """Say which data may go: what lies on a node's own disk goes with its droplet."""
    was: dict[str, Node] = {node.name: node for plan in (new, old) if plan for node in plan.nodes}
    for one in nodes:
        may_have_it = was[one.node].schedulable and not was[one.node].book_is_kept and "order-book" in new.addons
        if one.fate in ("recreated", "removed") and may_have_it:
            yield f"{one.node} is {one.fate}: if the order book's database lies there, its orders go with the droplet"


def stages(old: Plan | None, new: Plan, nodes: Sequence[Fated], leader: str | None = None) -> Iterator[Stage]:
    """Put the change in the order in which `gen rollout` does it, and count etcd's members."""
    if old is None:
        return
    members = sum(one.role == "control-plane" for one in nodes if one.fate != "new")
    for one in nodes:
        if one.fate == "new":
            counts = (members, members, members + 1) if one.role == "control-plane" else None
            members += one.role == "control-plane"
            yield Stage(f"make {one.node}", counts)
    pools = {node.name: node.pool for plan in (old, new) for node in plan.nodes}
    drifts = [
        Drift(
            one.node,
            one.role,
            pools.get(one.node, ""),
            0,
            "unplanned" if one.fate == "removed" else "document",
            one.fate,
        )
        for one in nodes
        if one.fate in ("recreated", "removed")
    ]
    roles = {one.node: one.role for one in nodes}
    for batch in batches(new, drifts, leader=leader):
        is_voting = roles[batch.nodes[0]] == "control-plane"
        yield _stage(batch, members if is_voting else None)
        members -= is_voting and batch.verb == "remove"


def _stage(batch: Batch, members: int | None) -> Stage:
    step = f"{batch.verb} {', '.join(batch.nodes)}"
    if members is None:
        return Stage(step)
    if members == 1:
        caveat = "etcd has no other member: there is no API meanwhile, and without a snapshot its data is gone"
        return Stage(step, (1, 0, 1 if batch.verb == "replace" else 0), caveat)
    caveat = "" if members > 2 else "meanwhile one member alone holds the data"
    return Stage(step, (members, members - 1, members if batch.verb == "replace" else members - 1), caveat)


def _refused(old: Plan, new: Plan) -> Iterator[tuple[str, str]]:
    was, wanted = asdict(founding(old)), asdict(founding(new))
    hint = "a living cluster can't change it: write the old value again, or make a new cluster beside it"
    for name, (key, reason) in FACTS.items():
        if was[name] != wanted[name]:
            yield f"{key} {was[name]} → {wanted[name]}: {reason}", hint
    others = (
        ("name", old.name, new.name),
        ("the cluster's id", old.cluster_id, new.cluster_id),
        ("region", old.region, new.region),
        ("spaces.bucket", f"{old.spaces_bucket} ({old.spaces_region})", f"{new.spaces_bucket} ({new.spaces_region})"),
    )
    yield from ((f"{key} {before} → {after}", hint) for key, before, after in others if before and before != after)
    roles = {node.name: node.role for node in old.nodes}
    for node in new.nodes:
        if roles.get(node.name, node.role) != node.role:
            yield f"{node.name} becomes {node.role}, it is a {roles[node.name]} node", "give the new pool another name"
    has = {one.full_name: one.filesystem for node in old.nodes for one in node.volumes}
    for one in (volume for node in new.nodes for volume in node.volumes):
        if (was_made := has.get(one.full_name, one.filesystem)) != one.filesystem:
            message = f"volume {one.full_name} has {was_made}, and {one.filesystem} is described"
            hint = f"what is there is never formatted: write `filesystem: {was_made}`, or give the volume another name"
            yield message, hint


def _applied(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[Reason]:
    fates = pruned.fates(before, after)
    for one in changed_files(before, after, "addons/"):
        yield Reason(one.file, (fates[one.file],)) if one.file in fates else one
    for one in changed_files(before, after, "roster.json"):
        lines = tuple(line for line in one.lines if not line.startswith(("addons ", "secrets ")))
        if lines:
            yield Reason(one.file, lines)


def changed_files(before: Mapping[str, bytes], after: Mapping[str, bytes], prefix: str) -> Iterator[Reason]:
    """Give each file below a place that differs, and what changed in it."""
    for path in sorted(before.keys() | after.keys()):
        if not path.startswith(prefix) or before.get(path) == after.get(path) or path == "addons/index.json":
            continue
        if path not in before or path not in after:
            yield Reason(path, ("is new" if path not in before else "is gone",))
        else:
            texts = (before[path].decode(errors="replace"), after[path].decode(errors="replace"))
            yield Reason(path, words.difference(path, *texts))


def doors(plan: Plan) -> tuple[str, ...]:
    """Name who reaches what from outside."""
    found = [f"{plan.api_port}/tcp, the API, to {network}" for network in plan.api_access]
    if plan.debug is not None:
        found += [f"22/tcp, root's login until {plan.debug.until}, to {network}" for network in plan.api_access]
    if "ingress" in plan.addons:
        found.append("80/tcp and 443/tcp, the ingress, to everyone")
        found += [f"Ingresses of namespace {name}, and its Secrets to the ingress" for name in plan.user_namespaces]
    if "order-book" in plan.addons and plan.wipe:
        found.append("443/tcp, `/api/wipe` of the order book, to everyone")
    return tuple(found)


def trusted(snapshot: Snapshot) -> dict[str, str]:
    """Say whose word is believed: keys, authorities, hosts, programs and images, each with its digest."""
    project, plan = snapshot.project, snapshot.project.plan
    found = {"the operator's key": plan.operator_public_key}
    authorities = {row.path for row in plan.certificates if row.is_authority}
    for fact in project.inventory.keys if project.inventory else ():
        if fact.path in authorities:
            found[f"authority {fact.path}"] = fact.sha256[:16]
    for artifact in plan.release.artifacts:
        found[artifact.name] = f"{artifact.version} ({artifact.sha256[:12]})"
    for package in plan.release.packages:
        found[f"package {package.name}"] = f"{package.version} ({package.sha256[:12]})"
    for image in plan.release.images:
        found[f"image {image.name}"] = image.pinned
    downloads = [one.urls for one in plan.release.artifacts] + [one.urls for one in plan.release.packages]
    for url in (url for urls in downloads for url in urls):
        found[f"host {urlsplit(url).hostname}"] = ""
    return found


def _moved(before: Sequence[str], after: Sequence[str], opens: str, closes: str) -> Iterator[str]:
    yield from (f"{opens}: {one}" for one in after if one not in before)
    yield from (f"{closes}: {one}" for one in before if one not in after)


def _text(files: Mapping[str, bytes], node: str) -> bytes:
    return files.get(f"nodes/{node}/user-data", b"")
