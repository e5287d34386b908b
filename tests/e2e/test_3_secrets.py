"""No secret is where it can be read; a planted one is found by the same search."""

from __future__ import annotations

from pathlib import Path

from tests.e2e import secrets
from tests.e2e.conftest import CANARY
from tests.e2e.harness import NODES, Cluster, Sampler, listed


def written(cluster: Cluster) -> dict[str, bytes]:
    """Read documents, add-ons, journals, cloud-init's logs and the API's log."""
    places: dict[str, bytes] = {}
    for path in sorted((cluster.directory / "rendered").rglob("*")):
        if path.is_file():
            places[str(path.relative_to(cluster.directory))] = path.read_bytes()
    for node in NODES:
        journal = cluster.on(node, "journalctl", "--no-pager", "-o", "export", "--all")
        places[f"journal of {node}"] = journal.stdout.encode()
        logs = cluster.on(node, "sh", "-c", "cat /var/log/cloud-init*.log /run/cloud-init/*.json")
        places[f"cloud-init's logs of {node}"] = logs.stdout.encode()
    places["API log"] = cluster.gen("lab", "logs", "api").stdout.encode()
    return places


def test_no_secret_is_written_where_it_can_be_read(cluster: Cluster, known_secrets: dict[str, set[bytes]]) -> None:
    places = written(cluster)
    assert all(places.values()), [name for name, content in places.items() if not content]
    assert secrets.search(known_secrets, places) == []


def test_no_secret_is_in_arguments_or_environments(cluster: Cluster, known_secrets: dict[str, set[bytes]]) -> None:
    sampler: Sampler = cluster.sampler  # type: ignore[attr-defined]
    assert sampler.samples > 20
    assert any(name == "kube-apiserver" for name, _ in sampler.seen), "the sampler saw no API server"
    # The application takes its password from its environment and nowhere else (its contract): the one exception.
    app = {name for name, part in sampler.seen if part.startswith(b"POSTGRES_PASSWORD=")}
    assert len(app) == 1, app
    seen = [(name, part) for name, part in sampler.seen if not part.startswith(b"POSTGRES_PASSWORD=")]
    assert secrets.search(known_secrets, {"processes": listed(seen)}) == []


def test_a_planted_secret_is_found(cluster: Cluster) -> None:
    planted = {"canary": secrets.of_text(CANARY)}
    cluster.on("node02", "logger", f"the canary is {CANARY}")
    assert secrets.search(planted, written(cluster)) == ["canary in journal of node02"]
    cluster.on("node02", "systemd-run", "--unit=canary", f"--setenv=CANARY={CANARY}", "sleep", "20")
    with Sampler(cluster.lab, pause=0.2) as sampler:
        cluster.on("node02", "sleep", "3")
    assert secrets.search(planted, {"processes": listed(sampler.seen)}) == ["canary in processes"]
    cluster.on("node02", "systemctl", "stop", "canary")


def test_bundles_are_gone_once_the_nodes_are_up(cluster: Cluster) -> None:
    bucket = cluster.gen("lab", "spaces", "list").stdout
    assert "/status/" in bucket
    assert "/bundles/" not in bucket


def test_keys_are_private(cluster: Cluster) -> None:
    store = cluster.directory / "keys" / cluster.name
    for path in [store, *store.rglob("*")]:
        mode = path.stat().st_mode & 0o777
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path}: {mode:o}"
    assert not list(Path(cluster.directory / "rendered").rglob("*.key"))
