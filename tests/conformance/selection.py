"""Says which specs of the suite are run here, and which are not, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

CONFORMANCE = r"\[sig-network\].*\[Conformance\]"
# One of each kind, which takes a quarter of an hour: who, to where, which ports, and that policies change and end.
POLICIES = r"\[sig-network\] Netpol .*({})".format(
    "|".join(
        (
            r"client should support a 'default-deny-(ingress|all)' policy",
            r"client should support allow-all policy",
            r"client should enforce policy based on (Ports|PodSelector and NamespaceSelector)",
            r"client should enforce multiple, stacked policies",
            r"client should allow ingress access on one named port",
            r"client should (allow egress access|enforce except clause while egress access) to server in CIDR block",
            r"client should enforce updated policy",
            r"client should stop enforcing policies after they are deleted",
            r"using UDP should enforce policy based on Ports",
        )
    )
)
LEFT_OUT: Mapping[str, str] = {}
"""Part of a spec's name to the reason why it can't pass in this lab."""


def skipped(more: Sequence[str] = ()) -> str:
    """Write what is left out as one regular expression; empty when nothing is."""
    return "|".join([*map(re.escape, LEFT_OUT), *more])
