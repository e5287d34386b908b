"""Compares what would be rendered with what lives: droplets by their tags, their documents by git, the roster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from generator.changes import tree
from generator.changes.compare import Difference, Fated, Reason, changed_files, lost, stages, why
from generator.changes.tree import Snapshot
from generator.cluster.drift import Drift, drifted
from generator.cluster.founded import contradictions
from generator.cluster.kinds.firewall import FIREWALL, FIREWALLS, inbound
from generator.cluster.kinds.kind import Case
from generator.cluster.kinds.roster import ROSTER
from generator.cluster.kinds.volume import VOLUME
from generator.cluster.launchable import Documents
from generator.cluster.matching import placed
from generator.cluster.observed import VOLUMES, Observed
from generator.plain_text import harmless
from generator.plan import cost, names
from generator.plan.decide import Plan
from generator.plan.names import object_name
from generator.provider.resources import Rule

UNKNOWN = "was born with a document that git here does not have"


def compare_with_what_lives(after: Snapshot, documents: Documents, observed: Observed) -> Difference:
    """Compare; what droplets were born with is read from the commits that their tags name."""
    plan = after.project.plan
    nodes = tuple(_nodes(after, documents, observed))
    keys = after.project.inventory.keys if after.project.inventory else ()
    ends = sorted((one.expires, one.path) for one in keys if one.expires)
    return Difference(
        refused=tuple(_refused(after, documents, observed)),
        lost=tuple(lost(plan, None, [one for one in nodes if one.fate != "removed"])),
        nodes=nodes,
        stages=tuple(stages(plan, plan, nodes)),
        applied=tuple(_applied(after, documents, observed)) if observed.roster else (),
        doors=tuple(_doors(plan, observed)),
        trust=(),
        cost=(_cost(observed), cost.monthly(plan)[0]),
        expiry=(ends[0][1], ends[0][0]) if ends else None,
    )


def _cost(observed: Observed) -> int:
    return cost.of((one.size for one in observed.droplets), (one.size for one in observed.of(VOLUMES)))


def _refused(after: Snapshot, documents: Documents, observed: Observed) -> Iterator[tuple[str, str]]:
    plan = after.project.plan
    for action in VOLUME.refusals(Case(plan, documents, observed)):
        yield f"{action.where} {action.why}", action.hint or ""
    if observed.roster is not None and observed.droplets:
        yield from ((one.message, one.hint or "") for one in contradictions(plan, observed, observed.roster))


def _applied(after: Snapshot, documents: Documents, observed: Observed) -> Iterator[Reason]:
    """Say what a launch would change in place for those who run and those who come."""
    case = Case(after.project.plan, documents, observed)
    yield from (Reason("the roster", (one.why,)) for one in ROSTER.differences(case))
    for action in FIREWALL.differences(case):
        if action.verb == "update":
            yield Reason(f"firewall {action.name}", (action.why,))


def _doors(plan: Plan, observed: Observed) -> Iterator[str]:
    """Say what the living firewall lets in and the planned one doesn't, and the other way about."""
    name = object_name(plan.name)
    found = next((one for one in observed.of(FIREWALLS) if one.name == name), None)
    if found is not None:
        before, after = set(_let_in(found.inbound)), set(_let_in(inbound(plan)))
        yield from (f"opens: {one}" for one in sorted(after - before))
        yield from (f"closes: {one}" for one in sorted(before - after))


def _let_in(rules: Iterable[Rule]) -> Iterator[str]:
    for rule in rules:
        for peer in (*rule.addresses, *rule.tags):
            yield harmless(f"{rule.protocol if rule.ports == '0' else f'{rule.ports}/{rule.protocol}'}, from {peer}")


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
