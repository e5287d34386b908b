"""A bill of materials names everything that a lock names, and is what its own schema says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from generator.cli.main import run
from generator.release import lock_file, sbom
from generator.release.lock_file import BUILT_IN

LOCKS = sorted(path.stem for path in BUILT_IN.glob("*.yaml"))
NOWHERE = Path("/nonexistent")


@pytest.mark.parametrize("name", LOCKS)
def test_its_schema_takes_it(name: str) -> None:
    text = json.dumps(sbom.bill(lock_file.load(name, NOWHERE)))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


@pytest.mark.parametrize("name", LOCKS)
def test_it_names_everything_with_its_digest(name: str) -> None:
    lock = lock_file.load(name, NOWHERE)
    found = {(one["version"], hash["content"]) for one in sbom.bill(lock)["components"] for hash in one["hashes"]}
    wanted = {(one.version, one.sha256) for one in (*lock.artifacts, *lock.packages)}
    wanted |= {(one.reference.rpartition(":")[2], one.digest[7:]) for one in lock.images if one.is_pinned}
    assert found == wanted
    assert len(sbom.bill(lock)["components"]) == len(lock.artifacts) + len(lock.packages) + len(lock.images)


def test_the_same_lock_gives_the_same_bill_and_another_another() -> None:
    lock = lock_file.load(LOCKS[0], NOWHERE)
    assert sbom.bill(lock) == sbom.bill(lock)
    other = replace(lock, artifacts=(replace(lock.artifacts[0], sha256="a" * 64), *lock.artifacts[1:]))
    assert sbom.bill(other)["serialNumber"] != sbom.bill(lock)["serialNumber"]


def test_the_command_writes_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["release", "sbom", LOCKS[0], "-f", str(tmp_path / "cluster.yaml")]) == 0
    assert json.loads(capsys.readouterr().out) == sbom.bill(lock_file.load(LOCKS[0], NOWHERE))
