"""Compares what would be rendered with what lives: droplets by their tags, their documents by git, the roster."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from generator.changes import tree
from generator.changes.compare import Difference, Fated, Reason, lost, stages, why
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
            earlier = _born_with(after, node.name, here[node.name].tags)
            yield _recreated(drifts[node.name], earlier, text)
    for drift in drifts.values():
        if drift.cause == "unplanned":
            yield Fated(drift.node, drift.role or "worker", "removed")


def _recreated(drift: Drift, earlier: bytes | None, text: bytes) -> Fated:
    reasons: tuple[Reason, ...] = (Reason("its droplet", (drift.why,)),)
    if drift.cause == "document":
        known = why(earlier.decode(errors="replace"), text.decode(errors="replace")) if earlier else ()
        reasons = known or (Reason("its document", (UNKNOWN,)),)
    return Fated(drift.node, drift.role, "recreated", reasons, (len(earlier or b""), len(text)))


def _born_with(after: Snapshot, node: str, tags: tuple[str, ...]) -> bytes | None:
    """Find the document that a droplet's tags tell of: by the commit, held against the digest."""
    cluster = after.project.plan.name
    prefix = names.commit_tag(cluster, "")
    for tag in tags:
        if tag.startswith(prefix):
            found = tree.text_at(after.project, tag.removeprefix(prefix), f"nodes/{node}/user-data")
            if found is not None and names.document_tag(cluster, sha256(found).hexdigest()) in tags:
                return found
    return None
