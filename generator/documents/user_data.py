"""Turns `userdata/` and the plan into one node's files, and those into the cloud-config document it boots from.

Why plain block scalars: a reviewer reads the document itself, and so does the provider's size limit. The document is
made from values and serialized; nothing is ever pasted into YAML.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from generator.documents import agent, reviewable, templates
from generator.errors import Problem, raise_all
from generator.files import resource
from generator.plan.decide import Plan
from generator.plan.node import Node

# The provider takes 64 KiB; the launch part travels in the same field.
LIMIT_BYTES = 48 * 1024
HEADER = "#cloud-config\n# {cluster}/{node}: made by `gen render`, reviewed before it boots, never edited.\n"
EXECUTABLE, READABLE, PRIVATE = 0o755, 0o644, 0o600

# What only root has to read, as CIS 1.1.1-1.1.9 and 4.1.1-4.1.9 ask; the first match holds.
MODES = (
    ("/etc/systemd/system/*", PRIVATE),
    ("/etc/cni/net.d/*", PRIVATE),
    ("/etc/kubernetes/*", PRIVATE),
    ("/etc/hardway/*", PRIVATE),
    ("/var/lib/kubelet/*", PRIVATE),
    ("/var/lib/kube-proxy/*", PRIVATE),
)
# What goes wrong before the agent is there has nobody else to tell it, least of all files that were never written.
# A timer would be waited for here, and begins only after this. The kernel's log takes a line a write, and no long one.
OVERDUE = """\
sleep {seconds}
systemctl --quiet is-active hardway-status && exit
screens=/dev/console; [ -e /run/systemd/container ] || screens="$screens /dev/tty1 /dev/kmsg"
{ echo "nothing reports after {seconds} seconds"; systemctl --no-legend --plain --failed; cloud-init status --long
  ip -brief address; ip route; journalctl --unit=hardway-prepare --lines=3 --output=cat; } 2>&1 |
  while read -r line; do for each in $screens; do printf "hardway: %.900s\\n" "$line" > $each; done; done
"""
OVERDUE_SECONDS = 180
# At the first boot nothing is installed, whatever the droplet's image has: what was fetched (`.part`) is checked anew.
FORGET = "rm -f /opt/hardway/installed/*[!t]"
# Nobody logs in unless the description has `debug`, nothing is patched, and nothing but the document decides what runs.
LOGINS = ("ssh.service", "ssh.socket")
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades.service")


@dataclass(frozen=True)
class NodeFile:
    """One file of a node; everything here belongs to root."""

    path: PurePosixPath
    content: str
    mode: int


def files(plan: Plan, node: Node, *, root: Path | None = None) -> tuple[NodeFile, ...]:
    """Give the files of a node's document, sorted by path.

    A file's place below `node/`, the role's directory, that of the network for pods, `vpc/` where no tunnel leads to
    peers, `volumes/` where the node has any, or `debug/` where somebody debugs is its place on the node; `.j2` is
    rendered and stripped.

    Raises:
        Problems: a template is wrong, two files have one path, or a file is no plain text.
    """
    root = root or resource("userdata")
    found: dict[PurePosixPath, NodeFile] = {}
    problems: list[Problem] = []
    trees = ["node", "controlplane" if node.is_control_plane else "worker", plan.network]
    trees += ["vpc"] if plan.datapath == "vpc" else []
    trees += ["volumes"] if node.volumes else []
    trees += ["debug"] if plan.debug else []
    for tree in trees:
        for source in _sources(root / tree):
            try:
                file = _file(source, root / tree, plan, node)
            except Problem as problem:
                problems.append(problem)
                continue
            problems += reviewable.faults(file.content, str(source))
            if file.path in found:
                problems.append(Problem(f"`{file.path}` is made by two files", where=str(source)))
            found[file.path] = file
    raise_all(problems)
    # What the node runs later comes as an archive; it is pinned like a binary.
    found[agent.PIN] = NodeFile(agent.PIN, f"{agent.digest(agent.files())}\n", mode_of(agent.PIN, executable=False))
    return tuple(found[path] for path in sorted(found))


def document(plan: Plan, node: Node, *, root: Path | None = None) -> str:
    """Make the cloud-config document of a node: what is reviewed and what boots.

    Raises:
        Problem: the document is larger than the provider takes beside the launch part.
        Problems: see `files`.
    """
    node_files = files(plan, node, root=root)
    text = HEADER.format(cluster=plan.name, node=node.name) + dump(_cloud_config(plan, node, node_files))
    size = len(text.encode())
    if size > LIMIT_BYTES:
        largest = sorted(node_files, key=lambda file: len(file.content), reverse=True)[:3]
        sizes = ", ".join(f"{file.path} ({len(file.content):,})" for file in largest)
        message = f"the document is {size:,} bytes, at most {LIMIT_BYTES:,} fit beside the launch part"
        raise Problem(message, where=node.name, hint=f"largest files: {sizes}")
    return text


def units(plan: Plan, node: Node) -> tuple[str, ...]:
    """Name the services that a node's document brings, as systemd knows them, without their ending."""
    found = (file.path for file in files(plan, node) if str(file.path.parent) == "/etc/systemd/system")
    return tuple(sorted(path.stem for path in found if path.suffix == ".service"))


def mode_of(path: PurePosixPath, *, executable: bool) -> int:
    """Give the mode of a file on the node.

    >>> oct(mode_of(PurePosixPath("/etc/systemd/system/etcd.service"), executable=False))
    '0o600'
    """
    if executable:
        return EXECUTABLE
    return next((mode for pattern, mode in MODES if fnmatchcase(str(path), pattern)), READABLE)


def _sources(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file() and path.name != ".gitkeep")


def _file(source: Path, base: Path, plan: Plan, node: Node) -> NodeFile:
    name = source.relative_to(base).as_posix()
    if name.endswith(templates.SUFFIX):
        name = name.removesuffix(templates.SUFFIX)
        content = templates.render(source, plan=plan, node=node)
    else:
        content = reviewable.decode(source.read_bytes())
    path = PurePosixPath("/", name)
    # by its content: the bit does not survive every file system that a checkout may lie on
    return NodeFile(path, content, mode_of(path, executable=content.startswith("#!")))


def _cloud_config(plan: Plan, node: Node, node_files: tuple[NodeFile, ...]) -> dict[str, Any]:
    masked = MASKED if plan.debug else (*LOGINS, *MASKED)
    return {
        "hostname": node.name,
        "manage_etc_hosts": False,
        "vendor_data": {"enabled": False},
        "ssh_pwauth": False,
        "disable_root": plan.debug is None,
        "allow_public_ssh_keys": plan.debug is not None,
        "users": [],
        "bootcmd": [
            ["systemctl", "--no-block", "mask", "--now", *masked],
            ["systemd-run", "--no-block", "--quiet", "sh", "-c", Block(overdue())],
        ],
        "write_files": [_entry(file) for file in node_files],
        "runcmd": [
            FORGET,
            ["systemctl", "daemon-reload"],
            ["systemctl", "start", "--no-block", "hardway.target"],
        ],
    }


def overdue(seconds: int = OVERDUE_SECONDS) -> str:
    """Give the script that says what is known on the droplet itself, where nothing reports after so many seconds."""
    return OVERDUE.replace("{seconds}", str(seconds))


def _entry(file: NodeFile) -> dict[str, str]:
    """Describe a file; its mode only where it is not 0644, which is cloud-init's own choice (the bytes are counted)."""
    mode = {} if file.mode == READABLE else {"permissions": f"{file.mode:04o}"}
    return {"path": str(file.path), **mode, "content": Block(file.content)}


class Block(str):
    """Text to be written as a `|` block."""

    __slots__ = ()


# libyaml where it is there: quicker, and not the code that wrote the text.
_READER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(yaml.SafeDumper):
    """Writes blocks of text literally, and short lists of words on one line."""


def _represent_block(dumper: yaml.SafeDumper, text: Block) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


def _represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    is_words = all(isinstance(item, str) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=is_words)


_Dumper.add_representer(Block, _represent_block)
_Dumper.add_representer(list, _represent_list)


def dump(config: dict[str, Any]) -> str:
    """Write a cloud-config, blocks of text as they are."""
    text = str(yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=2**31))
    if yaml.load(text, Loader=_READER) != config:  # noqa: S506 - both are safe loaders
        raise AssertionError("the document does not read back as it was meant")
    return text
