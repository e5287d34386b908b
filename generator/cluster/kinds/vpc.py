"""The VPC, whose description says whose it is and where the cluster's objects lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

from generator import waiting
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.observed import VPCS, Observed
from generator.errors import Problem
from generator.plan import free_range, names
from generator.plan.decide import Plan
from generator.plan.names import RELEASED, Owner
from generator.plan.node import Node
from generator.provider import answers
from generator.provider.digitalocean import Cloud, Collection
from generator.provider.resources import Vpc

COLLECTION = Collection("vpcs", "vpc", answers.vpc)
NEUTRAL = "the region's default, made so that a cluster's own VPC can be deleted; no cluster's"
NEUTRAL_PREFIX = 20
"""As long a prefix as the provider's own defaults have."""
POLLS = 120 * (5.0,)
"""Ten minutes: a VPC counts droplets as members for a while after they are gone."""


def listed(cloud: Cloud) -> tuple[Vpc, ...]:
    """List the account's VPCs."""
    return cloud.list(COLLECTION)


def make(cloud: Cloud, name: str, description: str, region: str, ip_range: str) -> Vpc:
    """Make a VPC, or find the one that an unclear attempt made."""
    body = {"name": name, "description": description, "region": region, "ip_range": ip_range}

    def find() -> Vpc | None:
        return next((vpc for vpc in listed(cloud) if (vpc.name, vpc.description) == (name, description)), None)

    return cloud.create(COLLECTION, body, f"vpc {name}", find)


def describe(cloud: Cloud, vpc: Vpc, description: str, name: str | None = None) -> None:
    """Write another description onto a VPC, and another name where one is given."""
    cloud.update(COLLECTION, vpc.id, {"name": name or vpc.name, "description": description}, f"vpc {vpc.name}")


def erase(cloud: Cloud, vpc: Vpc) -> bool:
    """Delete a VPC; False while droplets that are gone still count as its members."""
    where = f"vpc {vpc.name}"
    answer = cloud.try_to_delete(COLLECTION, vpc.id, where)
    if answer.status == 409 or (answer.status == 403 and "member" in str(answer.body.get("message"))):
        return False
    cloud.expect(answer, where)
    return True


def owner(plan: Plan, observed: Observed) -> Owner:
    """Say what the VPC's description should tell: whose it is, and how new a roster has to be."""
    published = observed.roster
    generation = max(observed.seen, published.generation if published else 0)
    return Owner(plan.cluster_id, plan.spaces_bucket, plan.spaces_region, generation)


class VpcKind(Kind[tuple[Vpc, ...]]):
    """One VPC of the cluster's name, with the described range."""

    name = "vpc"
    found = VPCS
    goes_last = True

    def look(self, lookup: Lookup) -> tuple[Vpc, ...]:
        """List the account's VPCs."""
        return listed(lookup.cloud)

    def refusals(self, case: Case) -> Iterator[Action]:
        """Find a VPC of this name that is another's or can't become ours, and any that is in the way."""
        plan, name = case.plan, names.object_name(case.plan.name)
        for vpc in case.observed.of(VPCS):
            if vpc.name == name and (why := _foreign(vpc, plan)):
                yield self.action("refuse", name, why, vpc.id, _bucket_again(vpc, plan))
            elif vpc.name == name and vpc.ip_range != plan.vpc:
                why = f"has {vpc.ip_range}, not {plan.vpc}, which can't be changed"
                hint = _other_range(vpc, case) if vpc.description == RELEASED else f"write `vpc: {vpc.ip_range}` again"
                yield self.action("refuse", name, why, vpc.id, hint)
            elif vpc.name == name and vpc.region != plan.region:
                hint = f"`region: {vpc.region}`, or give that VPC another name: a destroyed cluster left it"
                why = f"is in {vpc.region}, not in {plan.region}"
                yield self.action("refuse", name, why, vpc.id, hint if vpc.description == RELEASED else None)
            elif vpc.name != name and vpc.ip_range.overlaps(plan.vpc) and not _is_to_be_had(vpc, plan):
                why = f"its {vpc.ip_range} overlaps `network.vpc` ({plan.vpc})"
                yield self.action("refuse", vpc.name, why, vpc.id, _other_range(vpc, case))

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that there is none, or one that was released; a region's first becomes its default, which stays."""
        plan, present = case.plan, case.observed.of(VPCS)
        name = names.object_name(plan.name)
        vpc = next((vpc for vpc in present if vpc.name == name), None)
        left = next((vpc for vpc in present if _is_to_be_had(vpc, plan)), None)
        if vpc is None and left is not None:
            why = f"{left.name}, left over by a destroyed cluster as the region's default, gets this name"
            yield self.action("update", name, why, left.id)
        elif vpc is None:
            if all(one.region != plan.region for one in present) and (free := _free_range(case, NEUTRAL_PREFIX)):
                why = f"{free}: a region's first VPC becomes its default and can't be deleted, so this one is nobody's"
                yield self.action("create", names.default_vpc(plan.region), why)
            yield self.action("create", name, str(plan.vpc))
        elif vpc.description == RELEASED:
            yield self.action("update", name, "left over by a destroyed cluster, as the region's default", vpc.id)
        elif vpc.description != str(wanted := owner(case.plan, case.observed)):
            yield self.action("update", name, f"the roster is of generation {wanted.generation}", vpc.id)

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Make the VPC, or take the one that was released."""
        plan, present, description = work.plan, observed.of(VPCS), str(owner(work.plan, observed))
        if action.verb == "create":
            ip_range = str(plan.vpc)
            if action.name == names.default_vpc(plan.region):
                free = _free_range(Case(plan, work.launchable.documents, observed), NEUTRAL_PREFIX)
                description, ip_range = NEUTRAL, str(free)
            made = make(work.cloud, action.name, description, plan.region, ip_range)
            return observed.having(VPCS, (*present, made))
        vpc = next(one for one in present if one.id == action.id)
        describe(work.cloud, vpc, description, action.name)
        taken = replace(vpc, name=action.name, description=description)
        return observed.having(VPCS, tuple(taken if one == vpc else one for one in present))

    def order(self, node: Node, work: Work, observed: Observed) -> Mapping[str, Any]:  # noqa: ARG002
        """Put the droplet into the VPC."""
        name = names.object_name(work.plan.name)
        return {"vpc_uuid": next(vpc.id for vpc in observed.of(VPCS) if vpc.name == name)}

    def remains(self, removal: Removal) -> Sequence[Vpc]:
        """Find the cluster's VPC, and the bucket by its description where nothing else names that.

        Raises:
            Problem: the name is another cluster's.
        """
        owned = [(vpc, names.read_owner(vpc.description)) for vpc in listed(removal.cloud) if vpc.name == removal.name]
        for _, other in owned:
            if other is None:
                continue
            if removal.cluster_id not in (None, other.cluster_id):
                message = f"belongs to another cluster of this name, {other.cluster_id}; nothing was deleted"
                elsewhere = f"`gen destroy {removal.cluster}` elsewhere goes by the name alone"
                hint = f"this directory's is {removal.cluster_id}; {elsewhere}"
                raise Problem(message, where=f"vpc {removal.name}", hint=hint)
            removal.owner = other
            if removal.spaces is None:
                removal.spaces = removal.open(other.bucket, other.region)
        return [vpc for vpc, other in owned if other is not None]

    def lines(self, remains: Sequence[Vpc]) -> Iterator[str]:
        """Name it with its range."""
        yield from (f"vpc      {vpc.name} {vpc.ip_range}" for vpc in remains)

    def remove(self, remains: Sequence[Vpc], removal: Removal) -> None:
        """Delete it, or release the one that the provider made its region's default."""
        for vpc in remains:
            if vpc.default:
                removal.say(f"release vpc {vpc.name}")
                # Its name is for whoever needs it: the next cluster of this one may want another range or region.
                describe(removal.cloud, vpc, RELEASED, f"{names.default_vpc(vpc.region)}-{vpc.id[:8]}")
                removal.left.append(
                    f"vpc {vpc.name}, as the default of {vpc.region}: it costs nothing, the next launch takes it"
                )
            else:
                removal.say(f"delete vpc {vpc.name}")
                self._delete(vpc, removal)
        regions = {vpc.region for vpc in remains}
        for vpc in listed(removal.cloud):
            if vpc.description == NEUTRAL and vpc.region in regions:
                removal.left.append(
                    f"vpc {vpc.name}, which is no cluster's: as the region's default it can't be deleted"
                )

    @staticmethod
    def _delete(vpc: Vpc, removal: Removal) -> None:
        if not waiting.until(lambda: erase(removal.cloud, vpc) or None, POLLS, removal.clock.sleep):
            hint = "destroy again in some minutes"
            raise Problem("still counts members that are gone", where=f"vpc {vpc.name}", hint=hint)


def _is_to_be_had(vpc: Vpc, plan: Plan) -> bool:
    """Tell whether a VPC is what a destroyed cluster, of whatever name, had to leave, and just what is planned."""
    return vpc.description == RELEASED and (vpc.region, vpc.ip_range) == (plan.region, plan.vpc)


def _free_range(case: Case, prefix: int | None = None) -> IPv4Network | None:
    taken = (*(vpc.ip_range for vpc in case.observed.of(VPCS)), *free_range.own(case.plan), case.plan.vpc)
    return free_range.propose(taken, prefix or case.plan.vpc.prefixlen)


def _other_range(vpc: Vpc, case: Case) -> str:
    """Say which range could be written instead; nothing but the VPC is built on it."""
    then = "then `gen render` and commit"
    taken = free_range.own(case.plan)
    if vpc.description == RELEASED and vpc.region == case.plan.region and not any(map(vpc.ip_range.overlaps, taken)):
        return f"a destroyed cluster left it: write `vpc: {vpc.ip_range}` to take it over, {then}"
    free = _free_range(case)
    return f"write `vpc: {free}`, which is free, {then}" if free else f"write a range that is free, {then}"


def _foreign(vpc: Vpc, plan: Plan) -> str | None:
    """Say why a VPC of our name is not ours."""
    if vpc.description == RELEASED:
        return None
    other = names.read_owner(vpc.description)
    if other is None:
        return "is not one of this program's"
    if other.cluster_id != plan.cluster_id:
        return f"belongs to another cluster of this name, {other.cluster_id}"
    if (other.bucket, other.region) != (plan.spaces_bucket, plan.spaces_region):
        return f"this cluster's objects are in bucket {other.bucket} ({other.region}), where its nodes read the roster"
    return None


def _bucket_again(vpc: Vpc, plan: Plan) -> str | None:
    """Say how a cluster that is ours finds its objects again."""
    owner = names.read_owner(vpc.description)
    if owner is None or owner.cluster_id != plan.cluster_id:
        return None
    return f"write `spaces: {{bucket: {owner.bucket}, region: {owner.region}}}` again: it keeps its bucket"


VPC = VpcKind()
