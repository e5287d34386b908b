"""Checks what only shows when several values of a description are held beside each other."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from ipaddress import IPv4Network

from generator.catalogue import REGIONS, RESERVED, VOLUME_NAME_LENGTH, VPC_RESERVED
from generator.description.schema import AddonSpec, PoolSpec
from generator.description.values import PUBLIC_ADDRESS
from generator.strict_yaml import Location
from generator.validation import shown, suggestion

POD_PREFIX = 24
CONTROL_PLANE_COUNTS = (1, 3, 5)
BUCKET_LENGTH, STATE_SUFFIX = 63, "-state"
LONGEST_DEBUG = timedelta(days=30)
# Those that have to hold every node; services do not grow with them.
GROWING = frozenset({"vpc", "nodes", "pods"})
NETWORKS = ("cilium", "bridge")
"""The addons of which each cluster has just one: what connects its pods."""
ADDONS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(NETWORKS, ()),
    "coredns": (),
    "ingress": (),
    "metrics-server": (),
    "order-book": ("coredns", "ingress"),
}
"""Each addon, and which others have to stand before it, besides the network for pods."""
TAKEN = frozenset({"base", *ADDONS})
"""Names that no addon of a user's can have."""


@dataclass(frozen=True)
class Draft:
    """Those values of a description that are right by themselves; None where one is missing or wrong.

    `order_book` names the keys that it has there; `today` is None where no day is asked for, and any may be written.
    """

    name: str | None
    region: str | None
    networks: Mapping[str, IPv4Network]
    pools: Sequence[PoolSpec | None] | None
    api: Sequence[IPv4Network | None] | None
    addons: Sequence[AddonSpec | None] | None
    served: Sequence[str | None]
    bucket: str | None
    state: str | None
    order_book: Sequence[str]
    ssh_keys: Sequence[str | None]
    until: date | None
    today: date | None

    def has_addon(self, name: str) -> bool:
        """Tell whether an addon is listed, or may be: an entry that is wrong could be any."""
        return any(addon is None or addon.name == name for addon in self.addons or ())


@dataclass(frozen=True)
class Finding:
    """One mistake, before it has a file and line."""

    path: Location
    message: str
    hint: str | None = None


def findings(draft: Draft) -> Iterator[Finding]:
    """Hold everything beside everything."""
    yield from _overlaps(draft)
    yield from _pools(draft)
    yield from _volumes(draft)
    yield from _capacity(draft)
    yield from _api(draft)
    yield from _addons(draft)
    yield from _served(draft)
    yield from _spaces(draft)
    yield from _order_book(draft)
    yield from _debug(draft)


def _overlaps(draft: Draft) -> Iterator[Finding]:
    for (first, one), (second, other) in itertools.combinations(draft.networks.items(), 2):
        if one.overlaps(other):
            yield Finding(("network", second), f"`network.{second}` ({other}) overlaps `network.{first}` ({one})")
    reserved = dict(RESERVED)
    region = REGIONS[draft.region] if draft.region is not None else None
    if region is not None and region.anchor is not None:
        reserved[region.anchor] = f"every droplet in {draft.region}"
    for name, network in draft.networks.items():
        for other, owner in reserved.items():
            if network.overlaps(other):
                yield Finding(("network", name), f"`network.{name}` ({network}) overlaps {other}, used by {owner}")


def _pools(draft: Draft) -> Iterator[Finding]:
    if draft.pools is None:
        return
    seen: dict[str, int] = {}
    for index, pool in enumerate(draft.pools):
        if pool is None:
            continue
        if pool.name in seen:
            yield Finding(
                ("pools", index, "name"),
                f"`pools[{index}].name` is {shown(pool.name)}, as that of `pools[{seen[pool.name]}]`",
            )
        seen.setdefault(pool.name, index)
        if pool.role == "worker" and pool.schedulable is False:
            message = f"`pools[{index}].schedulable` is false, but a worker is there to be scheduled on"
            yield Finding(("pools", index, "schedulable"), message)
        if pool.role == "control-plane" and pool.max_unavailable != 1:
            message = (
                f"`pools[{index}].max_unavailable` is {pool.max_unavailable}, but control-plane nodes go one by one"
            )
            yield Finding(("pools", index, "max_unavailable"), message, "leave it out: etcd needs the others")
        if pool.role == "control-plane" and not _holds_control_plane(pool.size):
            message = f"`pools[{index}].size` is {shown(pool.size)}: a control-plane node needs 2 CPUs and 4 GB"
            yield Finding(("pools", index, "size"), message, "the smallest that does is `s-2vcpu-4gb`")
    pools = [pool for pool in draft.pools if pool is not None]
    if len(pools) < len(draft.pools):
        return
    count = sum(pool.count for pool in pools if pool.role == "control-plane")
    if count not in CONTROL_PLANE_COUNTS:
        hint = "an even number survives no more losses than the next smaller odd one" if count in (2, 4, 6) else None
        yield Finding(("pools",), f"there are {count} control-plane nodes, not 1, 3 or 5", hint)
    if not any(pool.count and (pool.role == "worker" or pool.schedulable) for pool in pools):
        hint = "add a pool of workers, or set `schedulable: true` on the control-plane pool"
        yield Finding(("pools",), "no node takes pods", hint)


def _volumes(draft: Draft) -> Iterator[Finding]:
    """Hold volumes of a pool beside each other, and their names beside what the provider takes."""
    for index, pool in enumerate(draft.pools or ()):
        if pool is None:
            continue
        seen: dict[str, int] = {}
        for number, volume in enumerate(pool.volumes):
            path = ("pools", index, "volumes", number, "name")
            if volume.name in seen:
                where = f"`pools[{index}].volumes[{number}].name`"
                message = f"{where} is {shown(volume.name)}, as that of `pools[{index}].volumes[{seen[volume.name]}]`"
                yield Finding(path, message)
            seen.setdefault(volume.name, number)
            name = f"{draft.name}-{pool.name}{pool.count:02}-{volume.name}"
            if draft.name is not None and len(name) > VOLUME_NAME_LENGTH:
                message = (
                    f"the volume {name} has a name of {len(name)} characters, at most {VOLUME_NAME_LENGTH} are possible"
                )
                yield Finding(path, message, "give the cluster, the pool or the volume a shorter name")


def _holds_control_plane(size: str) -> bool:
    found = re.search(r"-([0-9]+)vcpu-([0-9]+)(gb|mb)", size)
    return found is None or (int(found[1]) >= 2 and found[3] == "gb" and int(found[2]) >= 4)


def _capacity(draft: Draft) -> Iterator[Finding]:
    if draft.pools is None or None in draft.pools:
        return
    count = sum(pool.count for pool in draft.pools if pool is not None)
    for name in GROWING & draft.networks.keys():
        capacity = room(name, draft.networks[name])
        if capacity < count:
            message = f"`network.{name}` ({draft.networks[name]}) has room for {capacity} nodes, {count} are described"
            yield Finding(("network", name), message)


def room(name: str, network: IPv4Network) -> int:
    """Say how many nodes one of the growing networks has room for."""
    if name == "pods":
        return int(2 ** (POD_PREFIX - network.prefixlen))
    return network.num_addresses - (VPC_RESERVED if name == "vpc" else 2)


def _api(draft: Draft) -> Iterator[Finding]:
    if draft.api is None:
        return
    if not draft.api:
        yield Finding(("access", "api"), "`access.api` is empty: nobody could reach the API", PUBLIC_ADDRESS)
    for index, network in enumerate(draft.api):
        if network is not None and network in draft.api[:index]:
            yield Finding(("access", "api", index), f"`access.api[{index}]` is {network} a second time")


def _addons(draft: Draft) -> Iterator[Finding]:
    if draft.addons is None:
        return
    known = [addon for addon in draft.addons if addon is not None]
    names = [addon.name if addon else "" for addon in draft.addons]
    if not names or (draft.addons[0] is not None and names[0] not in NETWORKS):
        others = [addon for addon in ADDONS if addon not in NETWORKS]
        hint = f"{' or '.join(f'`{network}`' for network in NETWORKS)}: [{', '.join((NETWORKS[0], *others))}]"
        yield Finding(("addons",), "`addons` does not start with a network for pods", hint)
    for index, addon in enumerate(draft.addons):
        if addon is None:
            continue
        yield from _of_ours(index, addon, names) if addon.source is None else _of_theirs(index, addon, names)
        if addon.name in names[:index]:
            yield Finding(("addons", index), f"`addons[{index}]` is {shown(addon.name)} a second time")
    if circle := order(known)[1]:
        index = names.index(circle[0])
        words = " is after ".join(f"`{name}`" for name in (*circle, circle[0]))
        yield Finding(("addons", index, "after"), f"`addons[{index}].after` leads round in a circle: {words}")


def _of_ours(index: int, addon: AddonSpec, names: Sequence[str]) -> Iterator[Finding]:
    path: Location = ("addons", index)
    if addon.name not in ADDONS:
        own = f"one of your own is `{{name: {addon.name}, manifests: addons/{addon.name}}}`"
        hint = suggestion(addon.name, ADDONS) or f"known: {', '.join(ADDONS)}; {own}"
        yield Finding(path, f"`addons[{index}]` is {shown(addon.name)}, not a known addon", hint)
    elif addon.name in NETWORKS and names[0] in NETWORKS and addon.name not in names[:index] and index > 0:
        message = f"`addons[{index}]` is {shown(addon.name)}, but {shown(names[0])} connects the pods already"
        yield Finding(path, message, "a cluster has one network for pods, for life")
    elif addon.name not in names[:index]:
        missing = [need for need in ADDONS[addon.name] if need not in names[:index]]
        if missing:
            message = f"`{addon.name}` needs {' and '.join(f'`{need}`' for need in missing)} before it in `addons`"
            yield Finding(path, message)
    if addon.after:
        message = f"`addons[{index}].after` is given, but it is known what `{addon.name}` comes after"
        yield Finding((*path, "after"), message, "leave it out")


def _of_theirs(index: int, addon: AddonSpec, names: Sequence[str]) -> Iterator[Finding]:
    path: Location = ("addons", index)
    if addon.name in TAKEN:
        message = f"`addons[{index}].name` is {shown(addon.name)}, which is an addon of this program"
        yield Finding((*path, "name"), message, "give yours another name")
    if addon.manifests is not None and addon.kustomization is not None:
        message = f"`addons[{index}]` has `manifests` and `kustomization`"
        yield Finding((*path, "kustomization"), message, "keep one of them; a kustomization lists its manifests itself")
    for place, name in enumerate(addon.after):
        if name not in names:
            hint = suggestion(name, [one for one in names if one]) or f"there are {', '.join(filter(None, names))}"
            message = f"`addons[{index}].after[{place}]` is {shown(name)}, and `addons` has none of that name"
            yield Finding((*path, "after", place), message, hint)


def order(addons: Sequence[AddonSpec]) -> tuple[tuple[AddonSpec, ...], tuple[str, ...]]:
    """Put addons into the order of application, and name those that wait for each other in a circle, if any do.

    Each comes as early as the list says and `after` allows.
    """
    names, found, waiting = {addon.name for addon in addons}, list[AddonSpec](), list(addons)
    while waiting:
        done = {addon.name for addon in found}
        free = (addon for addon in waiting if not {*addon.after} & names - done)
        following = next(free, None)
        if following is None:
            return tuple(found), _circle(waiting)
        found.append(following)
        waiting.remove(following)
    return tuple(found), ()


def _circle(waiting: Sequence[AddonSpec]) -> tuple[str, ...]:
    after = {addon.name: addon.after for addon in waiting}
    walked = [waiting[0].name]
    while (following := next(name for name in after[walked[-1]] if name in after)) not in walked:
        walked.append(following)
    return tuple(walked[walked.index(following) :])


def _served(draft: Draft) -> Iterator[Finding]:
    if draft.served and draft.addons is not None and not draft.has_addon("ingress"):
        message = "`ingress.namespaces` names some, but the addon `ingress` is not in `addons`"
        yield Finding(("ingress", "namespaces"), message)
    for index, name in enumerate(draft.served):
        if name is not None and name in draft.served[:index]:
            path: Location = ("ingress", "namespaces", index)
            yield Finding(path, f"`ingress.namespaces[{index}]` is {shown(name)} a second time")


def _spaces(draft: Draft) -> Iterator[Finding]:
    if draft.bucket is None:
        return
    if draft.state == draft.bucket:
        message = f"`spaces.state` is {shown(draft.state)}, as `spaces.bucket`"
        hint = "anybody may read a part of that one by its policy, and a bucket with a policy takes no limited key"
        yield Finding(("spaces", "state"), message, hint)
    elif draft.state is None and len(state_bucket(draft.bucket)) > BUCKET_LENGTH:
        message = f"`spaces.bucket` is {shown(draft.bucket)}, too long for `{STATE_SUFFIX}` behind it"
        yield Finding(
            ("spaces", "bucket"),
            message,
            f"name the bucket for snapshots in `spaces.state`, with at most {BUCKET_LENGTH} characters",
        )


def state_bucket(bucket: str) -> str:
    """Name the bucket for snapshots where the description names none."""
    return f"{bucket}{STATE_SUFFIX}"


def _order_book(draft: Draft) -> Iterator[Finding]:
    if draft.addons is not None and not draft.has_addon("order-book"):
        for key in draft.order_book:
            yield Finding(
                ("order_book", key), f"`order_book.{key}` is there, but the addon `order-book` is not in `addons`"
            )
    pair = ("certificate", "key")
    named = [key for key in pair if key in draft.order_book]
    if len(named) == 1:
        lacking = pair[1 - pair.index(named[0])]
        hint = "a certificate of yours is two files below `keys/`; without both the cluster's own authority makes one"
        yield Finding(
            ("order_book", named[0]), f"`order_book.{named[0]}` is there without `order_book.{lacking}`", hint
        )


def _debug(draft: Draft) -> Iterator[Finding]:
    for index, name in enumerate(draft.ssh_keys):
        if name is not None and name in draft.ssh_keys[:index]:
            path: Location = ("debug", "ssh_keys", index)
            yield Finding(path, f"`debug.ssh_keys[{index}]` is {shown(name)} a second time")
    if draft.until is None or draft.today is None:
        return
    last = draft.today + LONGEST_DEBUG
    if draft.until < draft.today:
        message = f"`debug.until` is {draft.until}, which has passed: today is {draft.today}, in UTC"
        yield Finding(("debug", "until"), message, f"take `debug` away, or name a day from today to {last}")
    elif draft.until > last:
        message = f"`debug.until` is {draft.until}, more than {LONGEST_DEBUG.days} days ahead"
        yield Finding(("debug", "until"), message, f"name a day from today to {last}; it can be moved by then")
