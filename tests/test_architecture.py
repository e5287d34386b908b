"""The page about the rooms names each of them, in the linter's order and with its own sentence."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
ROWS = dict(re.findall(r"^\| `([a-z/]+)` \| (.+) \|$", PAGE, re.MULTILINE))


def packages() -> dict[str, str]:
    """Give each room's sentence by its path below generator/."""
    found = {}
    for file in (ROOT / "generator").rglob("__init__.py"):
        name = file.parent.relative_to(ROOT / "generator").as_posix()
        if name != ".":
            found[name] = ast.get_docstring(ast.parse(file.read_text())) or ""
    return found


def test_every_room_is_on_the_page_with_its_own_sentence() -> None:
    assert packages() == ROWS


def test_rooms_stand_in_the_linters_order() -> None:
    (contract,) = [one for one in CONTRACTS if one.get("containers") == ["generator"]]
    layers = [name.strip() for layer in contract["layers"] for name in layer.split("|")]
    assert [name for name in ROWS if "/" not in name] == [name for name in layers if name in ROWS]


def test_every_room_has_a_contract_that_knows_all_its_modules() -> None:
    exhaustive = {one["containers"][0] for one in CONTRACTS if one["type"] == "layers" and one.get("exhaustive")}
    assert exhaustive | {"generator.cluster.kinds"} == {
        "generator",
        *(f"generator.{name.replace('/', '.')}" for name in packages()),
    }
