"""Locks: what is read is what was written, and a wrong one is refused with its line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from generator.errors import Problem, Problems
from generator.release import lock_file

TEXT = (lock_file.BUILT_IN / "k8s-1.36.yaml").read_text()


def test_dump_and_parse_are_inverse() -> None:
    lock = lock_file.parse(TEXT, "lock")
    lock = replace(lock, artifacts=(replace(lock.artifacts[0], size=12345), *lock.artifacts[1:]))
    assert lock_file.parse(lock_file.dump(lock), "lock") == lock
    assert lock_file.dump(lock).count("size: 12345\n") == lock_file.dump(lock).count("size:") == 1
    assert lock_file.dump(lock_file.parse(lock_file.dump(lock), "lock")) == lock_file.dump(lock)


def test_upstream_lock_pins_every_file_and_names_upstream_alone() -> None:
    lock = lock_file.load("k8s-1.36", Path("nowhere"))
    assert {artifact.name for artifact in lock.artifacts} == set(lock_file.ARTIFACTS)
    assert all(len(file.sha256) == 64 for file in (*lock.artifacts, *lock.packages))
    assert len({file.sha256 for file in (*lock.artifacts, *lock.packages)}) == len(lock.artifacts) + len(lock.packages)
    assert set(lock.hosts) <= {
        *("dl.k8s.io", "github.com", "deb.debian.org", "security.debian.org", "snapshot.debian.org"),
        *("registry.k8s.io", "docker.io", "quay.io"),
    }
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"):
        assert lock.artifact(name).version == lock.kubernetes
        assert f"/{lock.kubernetes}/" in lock.artifact(name).urls[0]


def test_a_lock_beside_the_description_has_a_name_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "releases").mkdir()
    other = TEXT.replace("kubernetes: v1.36.4", "kubernetes: v1.36.99")
    (tmp_path / "releases" / "mine.yaml").write_text(other.replace("name: k8s-1.36\n", "name: mine\n"))
    assert lock_file.load("mine", tmp_path).kubernetes == "v1.36.99"
    assert lock_file.load("k8s-1.36", tmp_path).kubernetes == "v1.36.4"
    (tmp_path / "releases" / "k8s-1.36.yaml").write_text(other)
    with pytest.raises(Problem, match="has the name of a lock that comes with the program"):
        lock_file.load("k8s-1.36", tmp_path)


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "metadata", "x.local", "x.internal",
     "2130706433", "0x7f.1", "a..b.org", "-a.org", "b\u00fccher.org", "x.localhost", "x.org.", "x_y.org"],
)  # fmt: skip
def test_nothing_is_downloaded_from_a_host_that_is_not_public(host: str) -> None:
    for old, new in (("https://dl.k8s.io/", f"https://{host}/"), ("https://deb.debian.org/", f"https://{host}/")):
        with pytest.raises(Problems):
            lock_file.parse(TEXT.replace(old, new, 1), "lock.yaml")
    with pytest.raises(Problems):
        lock_file.parse(TEXT.replace("registry.k8s.io/pause", f"{host}/pause", 1), "lock.yaml")


def test_an_unknown_lock_lists_the_known() -> None:
    with pytest.raises(Problem) as caught:
        lock_file.load("k8s-9.9", Path("nowhere"))
    assert "k8s-1.36" in str(caught.value)


def test_pinned_is_reference_and_digest() -> None:
    image = lock_file.Image("pause", "registry.k8s.io/pause:3.10.2", "sha256:" + "a" * 64)
    assert image.pinned == f"registry.k8s.io/pause:3.10.2@sha256:{'a' * 64}"
    assert lock_file.Image("pause", "registry.k8s.io/pause:3.10.2", "unpinned").pinned == "registry.k8s.io/pause:3.10.2"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("https://dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubelet", "http://dl.k8s.io/x", "not an https:// address"),
        ("https://dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubelet", "https://u:p@dl.k8s.io/x", "no user"),
        ("https://dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubelet", "https://dl.k8s.io/x?y=z", "no user, query"),
        ("cf2562db46c48ab8", "CF2562DB46C48AB8", "not a SHA-256"),
        ("/usr/local/bin/kubelet", "/usr/local/bin/../../../etc/passwd", "not a file in"),
        ("/opt/cni/bin/bridge", "/etc/bridge", "not a file in"),
        ("/usr/local/bin/kubelet", "/usr/local/bin/..", "not a file in"),
        ("/usr/local/bin/kubelet", "/usr/local/bin/.profile", "not a file in"),
        ("/usr/local/bin/kubelet", "'/usr/local/bin/a b'", "not a file in"),
        ("/usr/local/bin/kubelet", "/usr/local/bin/kubectl", "is installed by `kubelet` and by `kubectl`"),
        ("dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubelet", "dl.k8s.io:99999/x", "not an https:// address"),
        ("registry.k8s.io/pause:3.10.2", "pause:3.10.2", "registry's name"),
        ("registry.k8s.io/pause:3.10.2", "registry.k8s.io/pause", "<tag>"),
        ("- name: kubelet", "- name: kubelets", "`kubelet` is missing in `artifacts`"),
        ("- name: kube-proxy", "- name: kubelet", "`kubelet` is listed twice"),
        ("roles: [control-plane]", "roles: [master]", "not one of `control-plane`, `worker`"),
        ("- name: kubelet\n", "- name: kubelet\n  size: 0\n", "`artifacts[3].size` is 0"),
        ("- name: kubelet\n", "- name: kubelet\n  size: 99999999999\n", "`artifacts[3].size` is 99999999999"),
        ("- name: kubelet\n", "- name: kubelet\n  size: '1'\n", "`artifacts[3].size` is '1'"),
        ("version: 1\n", "version: 2\n", "`version` is 2"),
        ("kubernetes: v1.36.4", "kubernetes: 1.36.4", "`kubernetes` is '1.36.4'"),
    ],
)
def test_a_wrong_lock_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(Problems) as caught:
        lock_file.parse(TEXT.replace(old, new, 1), "lock.yaml")
    assert message in str(caught.value)
    assert "lock.yaml:" in str(caught.value)
