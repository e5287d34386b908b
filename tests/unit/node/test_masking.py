"""No word that may hold a signature leaves the node, be it the agent or the loader that reports."""

from __future__ import annotations

import re

import pytest
from hardway import masking

from generator.files import resource

LOADER = (resource("userdata") / "node/usr/local/sbin/hardway").read_text()


def test_the_loader_which_does_without_the_agent_has_the_same_rule() -> None:
    assert f'SIGNED = r"{masking.SIGNED}"\n' in LOADER
    assert 're.sub(SIGNED, "...", line)' in LOADER


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("GET https://h/b?X-Amz-Signature=canary failed", "GET ... failed"),
        ("GET https://h/b?token=canary failed", "GET ... failed"),
        ("url=https://h/b?canary", "..."),
        ("continued: X-Amz-Signature=canary&X-Amz-Date=1", "continued: ..."),
        ("'https://h/b?x=canary', 'https://h/c?x=canary'", "... ..."),
        ("https://h/b%3FX-Amz-Credential=canary", "..."),
        ("header x-amz-security-token=canary", "header ..."),
        ("nothing secret: https://10.44.0.1:2380/members", "nothing secret: https://10.44.0.1:2380/members"),
        ("", ""),
    ],
)
def test_a_signed_address_is_taken_out(line: str, left: str) -> None:
    assert masking.masked(line) == re.sub(masking.SIGNED, "...", line) == left
    assert "canary" not in masking.masked(line)
