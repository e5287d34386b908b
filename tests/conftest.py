"""What every test may ask for: `--update` for golden files, a fixed time, a project rendered once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write golden files and messages as they are now")


class Golden:
    """Compares text with a file of the repository, or writes it there with `--update`."""

    def __init__(self, *, update: bool) -> None:
        self.update = update

    def check(self, path: Path, text: str) -> None:
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing: look at what `pytest --update` writes"
        assert text == path.read_text(encoding="utf-8"), f"{path} differs: look at what `pytest --update` changes"


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(update=request.config.getoption("--update"))


@pytest.fixture
def now() -> datetime:
    """A time for everything that asks for one."""
    return datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
