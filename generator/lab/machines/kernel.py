"""What the host's kernel, which all droplets share, has built in or loaded, and what of it a lab loads."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

from generator.lab.machines import borrowed
from generator.lab.process import run
from generator.lab.state import State

NEEDED = ("br_netfilter", "bridge", "nf_conntrack", "nf_tables", "overlay", "tun", "veth")
"""Without these there is no lab."""

# module: option of the kernel's configuration and directory, for what a Kubernetes node may ask `modprobe` for
MODULES = {
    "overlay": ("OVERLAY_FS", "fs/overlayfs"),
    "fuse": ("FUSE_FS", "fs/fuse"),
    "loop": ("BLK_DEV_LOOP", "drivers/block"),
    "tun": ("TUN", "drivers/net"),
    "veth": ("VETH", "drivers/net"),
    "dummy": ("DUMMY", "drivers/net"),
    "vxlan": ("VXLAN", "drivers/net/vxlan"),
    "wireguard": ("WIREGUARD", "drivers/net/wireguard"),
    "bridge": ("BRIDGE", "net/bridge"),
    "br_netfilter": ("BRIDGE_NETFILTER", "net/bridge"),
    "inet_diag": ("INET_DIAG", "net/ipv4"),
    "nf_conntrack": ("NF_CONNTRACK", "net/netfilter"),
    "nf_conntrack_netlink": ("NF_CT_NETLINK", "net/netfilter"),
    "nf_nat": ("NF_NAT", "net/netfilter"),
    "nf_tables": ("NF_TABLES", "net/netfilter"),
    "nfnetlink": ("NETFILTER_NETLINK", "net/netfilter"),
    "nft_ct": ("NFT_CT", "net/netfilter"),
    "nft_fib": ("NFT_FIB", "net/netfilter"),
    "nft_fib_inet": ("NFT_FIB_INET", "net/netfilter"),
    "nft_fib_ipv4": ("NFT_FIB_IPV4", "net/ipv4/netfilter"),
    "nft_hash": ("NFT_HASH", "net/netfilter"),
    "nft_limit": ("NFT_LIMIT", "net/netfilter"),
    "nft_log": ("NFT_LOG", "net/netfilter"),
    "nft_masq": ("NFT_MASQ", "net/netfilter"),
    "nft_nat": ("NFT_NAT", "net/netfilter"),
    "nft_numgen": ("NFT_NUMGEN", "net/netfilter"),
    "nft_redir": ("NFT_REDIR", "net/netfilter"),
    "nft_reject": ("NFT_REJECT", "net/netfilter"),
    "nft_reject_inet": ("NFT_REJECT_INET", "net/netfilter"),
    "nft_reject_ipv4": ("NFT_REJECT_IPV4", "net/ipv4/netfilter"),
    "ip_set": ("IP_SET", "net/netfilter/ipset"),
    "ip_vs": ("IP_VS", "net/netfilter/ipvs"),
    "ip_tables": ("IP_NF_IPTABLES", "net/ipv4/netfilter"),
    "iptable_filter": ("IP_NF_FILTER", "net/ipv4/netfilter"),
    "iptable_nat": ("IP_NF_NAT", "net/ipv4/netfilter"),
    "sch_ingress": ("NET_SCH_INGRESS", "net/sched"),
    "sch_htb": ("NET_SCH_HTB", "net/sched"),
    "cls_bpf": ("NET_CLS_BPF", "net/sched"),
}

# By number. Source: https://github.com/torvalds/linux/blob/master/include/uapi/linux/capability.h
CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)


def available() -> tuple[str, ...]:
    """List which of `MODULES` are built into the kernel or loaded."""
    options = _options()
    loaded = {path.name for path in Path("/sys/module").iterdir()}
    return tuple(name for name, (option, _) in MODULES.items() if options.get(option) == "y" or name in loaded)


def lacking() -> tuple[str, ...]:
    """List what is needed and neither there nor to be loaded."""
    return tuple(name for name in NEEDED if name not in available() and not _can_load(name))


def is_to_be_loaded(name: str) -> bool:
    """Say whether something needed is not there yet, and can be loaded."""
    return name not in available() and _can_load(name)


def load(state: State) -> tuple[str, ...]:
    """Load what is needed, and give its names; the last lab to go unloads it, and what the kernel loaded with it."""
    if not is_modular():
        return ()
    there = available()
    wanted = tuple(name for name in NEEDED if name not in there)
    borrowed.note_first(state, "modules", (name for name in MODULES if name not in there))
    if wanted:
        run(["modprobe", "--all", *wanted])
    return wanted


def builtin_list() -> str:
    """Write a `modules.builtin` for droplets, so that `modprobe` succeeds there exactly where the kernel has the thing.

    A module that the host has loaded counts as built in: a droplet shares it and cannot load one.
    """
    return "".join(f"kernel/{MODULES[name][1]}/{name}.ko\n" for name in available())


def lacking_capabilities() -> tuple[str, ...]:
    """Name the capabilities that nothing started here may have, as OCI's `config.json` does."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            bound = int(line.split()[1], 16)
            last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
            return tuple(f"CAP_{name}" for bit, name in enumerate(CAPABILITIES[: last + 1]) if not bound >> bit & 1)
    return ()


def release() -> str:
    """Give the kernel's release, as `uname -r` does."""
    return os.uname().release


def _options() -> dict[str, str]:
    packed = Path("/proc/config.gz")
    plain = Path(f"/boot/config-{release()}")
    if packed.exists():
        text = gzip.decompress(packed.read_bytes()).decode()
    elif plain.exists():
        text = plain.read_text()
    else:
        return {}
    lines = (line.removeprefix("CONFIG_") for line in text.splitlines() if line.startswith("CONFIG_"))
    return dict(line.split("=", 1) for line in lines)


def is_modular() -> bool:
    """Say whether this kernel can load modules at all."""
    return Path("/proc/modules").exists()


def _can_load(name: str) -> bool:
    if os.geteuid() != 0:
        return False
    try:
        found = subprocess.run(["modprobe", "--dry-run", "--quiet", name], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return found.returncode == 0
