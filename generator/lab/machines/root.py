"""Builds the droplets' base root, Debian 13 as its cloud image has it, and the thin layer that one lab lays over it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

from generator.errors import Problem
from generator.lab.machines import kernel
from generator.lab.progress import Progress
from generator.lab.state import State

SUITE = "trixie"
SOURCES = (
    f"deb http://deb.debian.org/debian {SUITE} main",
    f"deb http://deb.debian.org/debian {SUITE}-updates main",
    f"deb http://deb.debian.org/debian-security {SUITE}-security main",
)
# What Debian's cloud images and DigitalOcean's have in common at least: the packages of priority important that count,
# cloud-init, and what the genericcloud image adds, without kernel, boot loader, manuals and what nothing at boot may
# count on (iptables, bind9-host: they would bring libraries that a document has to bring). ifupdown stands in netplan's
# place, as in DigitalOcean's Debian image.
# Source: https://salsa.debian.org/cloud-team/debian-cloud-images, config_space/package_config and config_space/13
PACKAGES = (
    *("adduser", "apparmor", "apt-utils", "bash-completion", "ca-certificates", "cloud-guest-utils", "cloud-init"),
    *("cpio", "cron", "curl", "dbus", "debconf-i18n", "dhcpcd-base", "dmidecode", "dosfstools", "e2fsprogs", "ethtool"),
    *("file", "ifupdown", "init", "iproute2", "iputils-ping", "kmod", "less", "libnss-myhostname", "libnss-resolve"),
    *("libpam-systemd", "linux-sysctl-defaults", "locales", "login", "logrotate", "lsb-base", "nano", "netbase"),
    *("openssh-server", "pciutils", "procps", "psmisc", "python3", "socat", "sudo", "systemd-resolved"),
    *("systemd-timesyncd", "tzdata", "udev", "unattended-upgrades", "uuid-runtime", "vim-tiny", "whiptail"),
    *("xz-utils", "zstd"),
)
# the one thing a cloud image has not: it stands for WireGuard in the cloud kernel, and brings no `wg`
KERNEL_STAND_INS = ("wireguard-go",)
_UNWANTED_PATHS = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
# A container that asks for what the machine lacks, or for a better score than it has, would not start.
_LACKING = """\
version = 3

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = '/usr/lib/hardway-lab/runc'
"""
_TIDY = """
set -eu
cd "$1"
rm -f etc/ssh/ssh_host_* var/lib/dbus/machine-id var/cache/ldconfig/aux-cache
: > etc/machine-id
echo localhost > etc/hostname
printf '127.0.0.1\\tlocalhost\\n::1\\t\\tlocalhost ip6-localhost ip6-loopback\\n' > etc/hosts
rm -rf var/log/journal var/lib/cloud
find var/log -type f -exec truncate -s 0 {} +
"""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is in a base root; its digest names the root in the cache."""

    suite: str = SUITE
    sources: tuple[str, ...] = SOURCES
    packages: tuple[str, ...] = (*PACKAGES, *KERNEL_STAND_INS)
    unwanted_paths: tuple[str, ...] = _UNWANTED_PATHS
    tidy: str = _TIDY

    @property
    def digest(self) -> str:
        """A short name for the content."""
        return hashlib.sha256(json.dumps(self.__dict__, sort_keys=True).encode()).hexdigest()[:16]


def base_root(cache: Path, recipe: Recipe | None = None) -> Path:
    """Say where the base root of a recipe lies in the cache, built or not."""
    return cache / "roots" / (recipe or Recipe()).digest


def build(cache: Path, progress: Progress, recipe: Recipe | None = None) -> Path:
    """Build the base root unless the cache has it, and give its directory.

    It takes about a minute. What an interrupted build left is removed by the next one.

    Raises:
        Problem: mmdebstrap failed; the message holds its last words.
    """
    recipe = recipe or Recipe()
    root = base_root(cache, recipe)
    if root.is_dir():
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with _locked(root.parent / "lock"):
        if root.is_dir():
            return root
        for stale in root.parent.glob("tmp-*"):
            shutil.rmtree(stale)
        temporary = Path(tempfile.mkdtemp(prefix="tmp-", dir=root.parent))
        temporary.chmod(0o755)
        _mmdebstrap(recipe, temporary, progress)
        temporary.rename(root)
    return root


def layer(state: State, root: Path, ca_certificate: bytes) -> Path:
    """Make the layer that this lab's droplets have over the base root, once for a lab, and give its directory.

    It holds the lab's certification authority in the trust store, the provider's cloud-init data sources, the first
    process, a module list, and drop-ins: for a disk that is the host's, as a droplet's is its own, and for what a host
    with cgroup version 1 or without some capability needs.
    """
    files = _layer_files(ca_certificate)
    recipe = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    digest = hashlib.sha256(json.dumps([str(root), recipe], sort_keys=True).encode()).hexdigest()[:16]
    directory = state.layer / digest
    with state.locked("layer"):
        if directory.is_dir():
            return directory
        state.layer.mkdir(mode=0o700, exist_ok=True)
        for stale in state.layer.glob("tmp-*"):
            shutil.rmtree(stale)
        temporary = Path(tempfile.mkdtemp(prefix="tmp-", dir=state.layer))
        upper, work, merged = (temporary / name for name in ("upper", "work", "merged"))
        for path in (upper, work, merged):
            path.mkdir(mode=0o755)
        for name, content in files.items():
            path = upper / name
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755 if content.startswith(b"#!") else 0o644)
        script = (
            'mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"\n'
            'mount -t proc proc "$4/proc"\n'
            'chroot "$4" update-ca-certificates\n'
            'chroot "$4" depmod -a'
        )
        _run_confined(["sh", "-euc", script, "sh", str(root), str(upper), str(work), str(merged)], lambda _: None)
        upper.rename(directory)
        shutil.rmtree(temporary)
    return directory


# In shares of the disk, as the kubelet has them by itself, a host that is full by 85 % would have no pod anywhere.
_KUBELET = b"""\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, nodefs.inodesFree: 5%, imagefs.available: 1Gi}
failCgroupV1: false
imageGCHighThresholdPercent: 100
"""


def _layer_files(ca_certificate: bytes) -> dict[str, bytes]:
    files = {
        "usr/local/share/ca-certificates/hardway-lab.crt": ca_certificate,
        "etc/cloud/cloud.cfg.d/90_digitalocean.cfg": b"datasource_list: [ConfigDrive, DigitalOcean, None]\n",
        "usr/lib/hardway-lab/lab-init": (Path(__file__).parent / "lab-init").read_bytes(),
        f"usr/lib/modules/{kernel.release()}/modules.builtin": kernel.builtin_list().encode(),
        f"usr/lib/modules/{kernel.release()}/modules.order": b"",
    }
    files["etc/kubernetes/kubelet.conf.d/90-lab.conf"] = _KUBELET
    if lacking := kernel.lacking_capabilities():
        runc = (Path(__file__).parent / "lab-runc").read_text().replace("@LACKING@", " ".join(lacking))
        files["usr/lib/hardway-lab/runc"] = runc.encode()
        files["etc/containerd/conf.d/90-lab.toml"] = _LACKING.encode()
    return files


def _mmdebstrap(recipe: Recipe, target: Path, progress: Progress) -> None:
    argv = [
        *("mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(recipe.packages)}"),
        *(f"--dpkgopt=path-exclude={path}" for path in recipe.unwanted_paths),
        *('--aptopt=Acquire::Languages "none"', "--aptopt=Acquire::Retries 5"),
        # dpkg's own syncs cost a third of the time; the whole is synced by the rename that follows or thrown away
        "--dpkgopt=force-unsafe-io",
        f"--customize-hook={recipe.tidy}",
        *("--skip=output/mknod", recipe.suite, str(target), *recipe.sources),
    ]
    name = f"Debian {recipe.suite}"
    progress.step(name, f"{len(recipe.packages)} packages and what they need")
    _run_confined(argv, lambda detail: progress.step(name, detail))


def _run_confined(argv: list[str], told: Callable[[str], None]) -> None:
    """Run a command in mount and PID namespaces of its own: its mounts are never the host's, and it dies with us."""
    confined = [
        *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"),
        *("--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", *argv),
    ]
    last: list[str] = []
    with subprocess.Popen(
        confined, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/"
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            last = [*last[-4:], line.strip()]
            if line.startswith("I: "):
                told(line.removeprefix("I: ").strip())
    if process.returncode != 0:
        raise Problem(f"`{argv[0]}` failed: {' / '.join(last)}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        flock(file, LOCK_EX)
        yield
