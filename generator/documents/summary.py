"""Writes `summary.md`: what a reviewer should see before reading the documents."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from generator.plan import cost
from generator.plan.decide import Plan
from generator.plan.inventory import ORDER_BOOK_GIVEN, Inventory
from generator.plan.node import BOOK_VOLUME, Node
from generator.release import baked, lock_file
from generator.release.lock_file import Release


def listed(words: Sequence[str]) -> str:
    """Name several in words.

    >>> listed(["a", "b", "c"])
    'a, b or c'
    """
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def caveats(plan: Plan) -> tuple[str, ...]:
    """Say what this cluster does not protect, and what is not pinned, each in one sentence."""
    found = []
    if plan.debug is not None:
        found.append(
            f"until {plan.debug.until} who holds {plan.debug.keys} of the account is root on every node: what is done"
            " there is in no commit"
        )
    if plan.network == "bridge":
        found.append("NetworkPolicy is not enforced: the addon `bridge` connects every pod with every other")
    bare = [node.name for node in plan.nodes if node.schedulable and not node.book_is_kept]
    if "order-book" in plan.addons and bare:
        found.append(
            f"where the database lies on {listed(bare)}, it dies with the droplet, and orders with it:"
            f" there is no volume `{BOOK_VOLUME}`"
        )
    if "order-book" in plan.addons and plan.wipe:
        found.append("anybody can empty the order book: `order_book.wipe` has the ingress lead to `/api/wipe`")
    found.append("pods that use the host's network can reach the metadata service, and with it the node's document")
    if len(plan.control_planes) == 1:
        found.append("there is one control-plane node: losing it loses the cluster")
    if plan.spaces_region != plan.region:
        found.append(f"the bucket is in {plan.spaces_region}, the nodes are in {plan.region}")
    if (snapshot := baked.read(plan.image)) is not None:
        replaced = "" if snapshot.number else "; it is named without its number, so they can put another in its place"
        found.append(
            f"droplets are made of `{plan.image}`: what it has beside the pinned files, the system and unpacked images,"
            f" is the word of whoever had the account's token when it was baked{replaced}"
        )
    if plan.release.unpinned:
        images = ", ".join(f"`{image.reference}`" for image in plan.release.unpinned)
        found.append(f"these images have no digest, so whoever holds their names decides what runs: {images}")
    found += [words for addon in plan.own for words in addon.warnings]
    return tuple(found)


@dataclass(frozen=True)
class Archives:
    """The two archives that nodes fetch by digest: their names and SHA-256."""

    addons: Sequence[str]
    addons_sha256: str
    agent_sha256: str


def summary(plan: Plan, inventory: Inventory, documents: Mapping[str, str], archives: Archives) -> str:
    """Write the summary.

    Args:
        plan: what was decided.
        inventory: the facts of the keys.
        documents: the text of each node's document by the node's name.
        archives: what else is reviewed here and reaches the nodes.
    """
    parts = (
        _head(plan),
        _nodes(plan, documents, archives.agent_sha256),
        *([_volumes(plan)] if any(node.volumes for node in plan.nodes) else []),
        _picture(plan),
        _routes(plan),
        _open_ports(plan),
        _release(plan.release),
        _addons(plan, archives),
        _certificates(plan, inventory),
        _list("What is not protected", caveats(plan)),
        _cost(plan),
    )
    return "\n".join(parts)


def _head(plan: Plan) -> str:
    total, complete = cost.monthly(plan)
    lines = [
        f"# Cluster `{plan.name}`",
        "",
        "Made by `gen render`; it changes only when something beside it changes.",
        "",
        f"* {len(plan.control_planes)} control-plane nodes and {len(plan.workers)} workers in `{plan.region}`,"
        f" image `{plan.image}`",
        f"* Kubernetes {plan.release.kubernetes}, release `{plan.release.name}`",
        f"* pods {plan.pod_cidr}, services {plan.service_cidr}, nodes {plan.node_cidr}, VPC {plan.vpc}",
        f"* the API in the cluster is {plan.kubernetes_service_ip}, DNS is {plan.dns_ip}",
        f"* bucket `{plan.spaces_bucket}` in `{plan.spaces_region}`, everything below `{plan.name}/`",
        f"* {'' if complete else 'more than '}${total} a month",
    ]
    return "\n".join(lines) + "\n"


def _nodes(plan: Plan, documents: Mapping[str, str], agent_sha256: str) -> str:
    head = ("node", "role", "takes pods", "size", "address", "pods", "document", "SHA-256 of the document")
    rows = []
    for node in plan.nodes:
        data = documents[node.name].encode()
        digest = hashlib.sha256(data).hexdigest()
        pods = "yes" if node.schedulable else "no"
        size = f"{len(data):,} bytes"
        rows.append((node.name, node.role, pods, node.size, node.address, node.pod_cidr, size, f"`{digest[:16]}…`"))
    agent = "What a node runs to assemble itself is in `agent/`; every document pins its archive by SHA-256,"
    return _table("Nodes", head, rows) + f"\n{agent}\n`{agent_sha256}`.\n"


def _volumes(plan: Plan) -> str:
    rows = [
        (node.name, volume.name, f"{volume.size} GiB", volume.filesystem, f"`{volume.mount}`", f"`{volume.full_name}`")
        for node in plan.nodes
        for volume in node.volumes
    ]
    table = _table("Volumes", ("node", "volume", "size", "file system", "mounted at", "name in the account"), rows)
    return f"{table}\nThey outlive their droplets, and the cluster; nothing else on a node does.\n"


def _release(release: Release) -> str:
    """List what runs, so that a changed digest, address or lock is a changed line."""
    whose = "of this repository" if lock_file.is_own(release.name) else "that comes with the program"
    rows = [
        *((one.name, one.version, _digest(one.sha256), _hosts(one.urls)) for one in release.artifacts),
        *((one.name, one.version, _digest(one.sha256), _hosts(one.urls)) for one in release.packages),
        *(
            (f"image {one.name}", one.reference, _digest(one.digest.removeprefix("sha256:")), "")
            for one in release.images
        ),
    ]
    table = _table("What runs", ("name", "version", "SHA-256", "from"), rows)
    return f"{table}\nThe lock is `{release.name}`, {whose}. Nodes download from {', '.join(release.hosts)}.\n"


def _digest(sha256: str) -> str:
    return f"`{sha256[:16]}…`" if sha256 != lock_file.UNPINNED else sha256


def _hosts(urls: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(str(urlsplit(url).hostname) for url in urls))


def _picture(plan: Plan) -> str:
    lines = [
        "## The picture",
        "",
        "```mermaid",
        "flowchart TB",
        f'  people(["people: {", ".join(str(network) for network in plan.api_access)}"])',
        '  world(["everyone"])',
        f'  spaces[("Spaces: {plan.spaces_bucket}")]',
        f'  subgraph vpc["VPC {plan.vpc} in {plan.region}"]',
    ]
    for node in plan.nodes:
        runs = "etcd, API server, kubelet" if node.is_control_plane else "kubelet"
        lines.append(f'    {node.name}["{node.name} {node.address}<br/>pods {node.pod_cidr}<br/>{runs}"]')
    names = [node.name for node in plan.nodes]
    label = "wg0" if plan.datapath == "mesh" else "routes"
    lines += [f"    {one} <-.->|{label}| {other}" for one, other in itertools.pairwise(names)]
    lines.append("  end")
    lines += [f"  people -->|{plan.api_port}| {node.name}" for node in plan.control_planes]
    if "ingress" in plan.addons:
        lines.append(f"  world -->|80, 443| {' & '.join(names)}")
    lines += [f"  {' & '.join(names)} -.->|secrets once, the roster on a timer| spaces", "```"]
    what = "a tunnel" if plan.datapath == "mesh" else "routes through the VPC, without encryption,"
    return "\n".join(lines) + f"\n\nEvery node has {what} to every other; the picture draws only the neighbours.\n"


def _routes(plan: Plan) -> str:
    head = ("to", "through", "on every other node")
    rows: list[tuple[object, ...]] = []
    gate = {"bridge": "cni0", "cilium": "cilium_host"}[plan.network]
    for node in plan.nodes:
        way = f"`wg0` to {node.name}" if plan.datapath == "mesh" else f"{node.name}'s address in the VPC"
        rows.append((f"{node.address}/32", way, "the node itself"))
        rows.append((node.pod_cidr, way, f"its pods, behind `{gate}` at {node.gateway}"))
    return _table("Routes", head, rows)


def _open_ports(plan: Plan) -> str:
    head = ("port", "from", "why")
    rows: list[tuple[object, ...]] = [
        (f"{plan.api_port}/tcp", ", ".join(str(network) for network in plan.api_access), "the API, on control planes"),
        ("icmp", f"droplets tagged `{plan.cluster_tag}`", "path probes"),
    ]
    if plan.datapath == "mesh":
        rows.insert(1, (f"{plan.wireguard_port}/udp", f"droplets tagged `{plan.cluster_tag}`", "the mesh"))
    else:
        planned = f"{plan.node_cidr}, {plan.pod_cidr}"
        rows.insert(1, ("every", planned, "nodes and pods, through the VPC; the nodes' own packet filter says more"))
    rows.insert(1, ("80/tcp, 443/tcp", "everyone", "the ingress"))
    who = "nobody can log in"
    if plan.debug is not None:
        rows.insert(0, ("22/tcp", rows[0][1], f"**debugging** until {plan.debug.until}: sshd, on every node"))
        who = f"who holds {plan.debug.keys} of the account can log in as root, until then"
    return _table("Open from outside", head, rows) + f"\nEverything else is closed by the firewall; {who}.\n"


def _addons(plan: Plan, archives: Archives) -> str:
    names = ", ".join(f"`{addon}`" for addon in archives.addons)
    images = [
        (image.name, f"`{image.pinned}`", "yes" if image.is_pinned else "**no**") for image in plan.release.images
    ]
    text = f"## Addons\n\nApplied in this order: {names}.\nThe archive's SHA-256 is `{archives.addons_sha256}`.\n\n"
    return text + _rows(("image", "reference", "pinned"), images)


def _certificates(plan: Plan, inventory: Inventory) -> str:
    """List the certificates that differ only in their node as one."""
    groups: dict[tuple[str, ...], list[str]] = {}
    served = {ORDER_BOOK_GIVEN, *(row.path for row in plan.certificates if row.is_rotated)}
    for fact in sorted(inventory.keys, key=lambda fact: (fact.expires or "", fact.path)):
        if not fact.expires:
            continue
        node = next((node for node in plan.nodes if fact.path.startswith(f"nodes/{node.name}/")), None)
        row: tuple[str, ...] = (fact.path, fact.subject, ", ".join(fact.sans), fact.expires)
        if node is not None:
            row = (fact.path.rpartition("/")[2], *(_of_any(text, node) for text in row[1:3]), fact.expires)
        groups.setdefault(row, []).append(node.name if node else "an addon" if fact.path in served else "no node")
    head = ("certificate", "subject", "names", "on", "expires")
    rows = [(f"`{path}`", subject, names, ", ".join(on), end) for (path, subject, names, end), on in groups.items()]
    return _table("Certificates, the next to expire first", head, rows)


def _of_any(text: str, node: Node) -> str:
    for name, value in (("_node_", node.name), ("_address_", str(node.address))):
        text = re.sub(rf"(?<=[:=]){re.escape(value)}(?![\w.])", name, text)
    return text


def _cost(plan: Plan) -> str:
    rows = [
        (line.what, line.count, "?" if line.each is None else f"${line.each}", f"${line.total}" if line.each else "?")
        for line in cost.lines(plan)
    ]
    return _table("Cost in a month", ("what", "how many", "each", "together"), rows)


def _list(title: str, items: Iterable[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"* {item}" for item in items)]) + "\n"


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    return f"## {title}\n\n{_rows(head, rows)}"


def _rows(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)
