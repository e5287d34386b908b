"""The stand-in of the application matches orders as its own Go tests say."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from generator.lab.content.golang import environment
from generator.lab.content.recipes import ORDER_BOOK


@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go")
def test_its_own_tests_pass() -> None:
    command = ["go", "test", "./..."]
    answer = subprocess.run(command, cwd=ORDER_BOOK, env=environment(), capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "no test files" not in answer.stdout
