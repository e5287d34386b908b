"""The tags that say of a droplet whose it is, which node, and with which document it was born.

The cluster's own has to be there before the firewall that goes by it. The others come with the orders of the droplets
that bear them: one by one they would cost two requests more for each node.

Source: https://docs.digitalocean.com/reference/api/ (droplet create, `tags`: "existing or new")
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from generator.cluster.crowd import LINES
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.launchable import Documents
from generator.cluster.observed import Found, Observed
from generator.plan import names
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.provider import answers
from generator.provider.digitalocean import Cloud, Collection

COLLECTION = Collection("tags", "tag", answers.tag)
TAGS: Found[frozenset[str]] = Found("tags", frozenset())


def listed(cloud: Cloud, cluster_tag: str) -> frozenset[str]:
    """List the cluster's tag and those that begin with it and a colon."""
    return frozenset(tag for tag in cloud.list(COLLECTION) if tag == cluster_tag or tag.startswith(f"{cluster_tag}:"))


def make(cloud: Cloud, name: str) -> None:
    """Make a tag; one that exists is as good."""
    where = f"tag {name}"
    cloud.create(COLLECTION, {"name": name}, where, lambda: cloud.find(COLLECTION, name, where))


def erase(cloud: Cloud, name: str) -> None:
    """Delete a tag, if it is still there."""
    cloud.delete(COLLECTION, name, f"tag {name}")


class TagKind(Kind[frozenset[str]]):
    """The cluster's tag, and two or three more for each droplet."""

    name = "tag"
    found = TAGS

    def look(self, lookup: Lookup) -> frozenset[str]:
        """Look for the cluster's tag."""
        tag = lookup.plan.cluster_tag
        return frozenset(filter(None, [lookup.cloud.find(COLLECTION, tag, f"tag {tag}")]))

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that the cluster's tag is missing."""
        if case.plan.cluster_tag not in case.observed.of(TAGS):
            yield self.action("create", case.plan.cluster_tag)

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Make a tag."""
        make(work.cloud, action.name)
        return observed.having(TAGS, observed.of(TAGS) | {action.name})

    def order(self, node: Node, work: Work, observed: Observed) -> Mapping[str, Any]:  # noqa: ARG002
        """Have the droplet bear its tags."""
        plan = work.plan
        documents = work.launchable.documents
        own = [plan.cluster_tag, plan.node_tag(node), plan.document_tag(documents.nodes[node.name])]
        return {"tags": [*own, *_commit_tags(plan, documents)]}

    def remains(self, removal: Removal) -> Sequence[str]:
        """List the cluster's tags."""
        return sorted(listed(removal.cloud, removal.tag))

    def remove(self, remains: Sequence[str], removal: Removal) -> None:
        """Delete them."""
        if len(remains) > LINES:
            removal.say(f"delete {len(remains)} tags")
        for tag in remains:
            if len(remains) <= LINES:
                removal.say(f"delete tag {tag}")
            erase(removal.cloud, tag)


def _commit_tags(plan: Plan, documents: Documents) -> list[str]:
    return [names.commit_tag(plan.name, documents.commit)] if documents.commit else []


TAG = TagKind()
