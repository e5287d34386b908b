"""Templates: strict, and wrong in a place that is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.documents import templates
from generator.errors import Problem


def make(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "userdata" / "node" / "x.j2"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_blocks_leave_no_lines_and_the_newline_stays(tmp_path: Path) -> None:
    path = make(tmp_path, "a\n  {% for x in xs %}\n  b {{ x }}\n  {% endfor %}\nc\n")
    assert templates.render(path, xs=[1, 2]) == "a\n  b 1\n  b 2\nc\n"


def test_json_is_not_escaped_for_html(tmp_path: Path) -> None:
    assert templates.render(make(tmp_path, "{{ x | tojson }}\n"), x={"a": "<&'>"}) == '{"a": "<&\'>"}\n'


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a\nb {{ nothing }}\n", 2, "'nothing' is undefined"),
        ("a\n\n{{ x.nothing }}\n", 3, "has no attribute 'nothing'"),
        ("{% for %}\n", 1, "Expected"),
        ("a\n{{ x | nothing }}\n", 2, "No filter named 'nothing'"),
        ("a\n{% if x %}\nb\n", 2, "Unexpected end"),
        ("a\nb\n{{ 1 + 'x' }}\n", 3, "unsupported operand"),
    ],
)
def test_a_mistake_has_file_and_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(Problem) as caught:
        templates.render(make(tmp_path, text), x="text")
    assert message in caught.value.message
    place, _, number = (caught.value.where or "").rpartition(":")
    assert place == "userdata/node/x.j2"
    assert int(number) in (line, len(text.splitlines()))
