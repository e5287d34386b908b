"""What others send is read within bounds."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from generator import bounded


def drip() -> Iterator[bytes]:
    while True:
        yield b"x"


def test_what_fits_is_read_whole() -> None:
    for size in (0, 1, 99, 100):
        assert bounded.read(io.BytesIO(b"x" * size).read, limit_bytes=100) == b"x" * size


@pytest.mark.parametrize("size", [101, 1_000_000])
def test_a_byte_more_is_too_much_and_is_not_kept(size: int) -> None:
    source = io.BytesIO(b"x" * size)
    with pytest.raises(bounded.TooMuch, match="more than 100 bytes"):
        bounded.read(source.read, limit_bytes=100)
    assert source.tell() == 101


def test_a_body_that_drips_is_not_waited_for() -> None:
    times = iter(range(0, 10_000, 7))
    body = drip()
    with pytest.raises(bounded.TooMuch, match="not over after 60 s"):
        bounded.read(lambda _: next(body), limit_bytes=1 << 30, monotonic=lambda: float(next(times)))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "", "{", "\ud800", "[1,", "NaN]"])
def test_what_is_no_json_is_an_error_of_one_kind(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        bounded.parse_json(text)
