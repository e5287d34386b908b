"""Compares what would be rendered with what lives: droplets by their tags, their documents by git, the roster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256

from generator.changes import tree
from generator.changes.compare import Difference, Fated, Reason, changed_files, lost, stages, why
from generator.changes.tree import Snapshot
from generator.cluster.drift import Drift, drifted
from generator.cluster.founded import contradictions
from generator.cluster.launchable import Documents
from generator.cluster.matching import placed
from generator.cluster.next_roster import changes
from generator.cluster.observed import Observed
from generator.errors import Problem
from generator.plan import cost, names

UNKNOWN = "was born with a document that git here does not have"


def compare_with_what_lives(after: Snapshot, documents: Documents, observed: Observed) -> Difference:
    """Compare; what droplets were born with is read from the commits that their tags name."""
    plan = after.project.plan
    nodes = tuple(_nodes(after, documents, observed))
    roster = observed.roster
    applied = changes(plan, documents, observed) if roster else ()
    keys = after.project.inventory.keys if after.project.inventory else ()
    ends = sorted((one.expires, one.path) for one in keys if one.expires)
    monthly = cost.monthly(plan)[0]
    return Difference(
        refused=tuple((one.message, one.hint or "") for one in _refused(after, observed)),
        lost=tuple(lost(plan, None, [one for one in nodes if one.fate != "removed"])),
        nodes=nodes,
        stages=tuple(stages(plan, plan, nodes)),
        applied=(Reason("the roster", tuple(applied)),) if applied else (),
        doors=(),
        trust=(),
        cost=(monthly, monthly),
        expiry=(ends[0][1], ends[0][0]) if ends else None,
    )


def _refused(after: Snapshot, observed: Observed) -> Iterator[Problem]:
    if observed.roster is not None and observed.droplets:
        yield from contradictions(after.project.plan, observed, observed.roster)


def _nodes(after: Snapshot, documents: Documents, observed: Observed) -> Iterator[Fated]:
    plan = after.project.plan
    drifts = {one.node: one for one in drifted(plan, documents, observed)}
    here = placed(plan, observed)
    for node in plan.nodes:
        text = after.files[f"nodes/{node.name}/user-data"]
        if node.name not in here:
            yield Fated(node.name, node.role, "new", size=(0, len(text)))
        elif node.name not in drifts:
            yield Fated(node.name, node.role, "unchanged", size=(len(text), len(text)))
        else:
            yield _recreated(drifts[node.name], _born_with(after, node.name, here[node.name].tags), after)
    for drift in drifts.values():
        if drift.cause == "unplanned":
            yield Fated(drift.node, drift.role or "worker", "removed")


def _recreated(drift: Drift, born: Mapping[str, bytes], after: Snapshot) -> Fated:
    path = f"nodes/{drift.node}/user-data"
    earlier, text = born.get(path, b""), after.files[path]
    reasons: tuple[Reason, ...] = (Reason("its droplet", (drift.why,)),)
    if drift.cause == "document":
        agent = [one.file for one in changed_files(born, after.files, "agent/")]
        known = why(earlier.decode(errors="replace"), text.decode(errors="replace"), agent) if earlier else ()
        reasons = known or (Reason("its document", (UNKNOWN,)),)
    return Fated(drift.node, drift.role, "recreated", reasons, (len(earlier), len(text)))


def _born_with(after: Snapshot, node: str, tags: tuple[str, ...]) -> Mapping[str, bytes]:
    """Find the document that a droplet's tags tell of, and its agent: by the commit, held against the digest."""
    cluster, path = after.project.plan.name, f"nodes/{node}/user-data"
    prefix = names.commit_tag(cluster, "")
    for tag in tags:
        if tag.startswith(prefix):
            found = tree.files_at(after.project, tag.removeprefix(prefix), path, "agent")
            if path in found and names.document_tag(cluster, sha256(found[path]).hexdigest()) in tags:
                return found
    return {}
