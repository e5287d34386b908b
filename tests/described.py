"""The tutorial's description as the tests take it: with the address that the lab's operator comes from."""

from __future__ import annotations

import re

from generator.description import tutorial
from generator.lab.state import OPERATOR_ADDRESS

OPERATOR = str(OPERATOR_ADDRESS)
TUTORIAL = tutorial.description("orderbook", "k8s-1.36", [OPERATOR])
POOL = next(iter(re.findall(r"^- \{name: node.*\}", TUTORIAL, re.MULTILINE)))
"""The line of its one pool."""
