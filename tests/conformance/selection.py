"""Says which specs of the suite are run here, and which are not, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

CONFORMANCE = r"\[sig-network\].*\[Conformance\]"
POLICIES = r"\[sig-network\] Netpol NetworkPolicy between server and client should "
LEFT_OUT: Mapping[str, str] = {}
"""Part of a spec's name to the reason why it can't pass in this lab."""


def skipped(more: Sequence[str] = ()) -> str:
    """Write what is left out as one regular expression; empty when nothing is."""
    return "|".join([*map(re.escape, LEFT_OUT), *more])
