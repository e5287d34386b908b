"""Holds what one run asks, and says what it needs for that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from generator.probe.beliefs import Phase


@dataclass(frozen=True)
class Questions:
    """What is asked, where, and with what: `ssh_key` names one of the account, `downloads` are addresses."""

    phases: Collection[Phase]
    region: str
    bucket: str | None = None
    ssh_key: str | None = None
    downloads: Sequence[str] = ()

    @property
    def needs_droplets(self) -> bool:
        """Tell whether anything has to be paid for."""
        return bool({"node", "api", "two"} & set(self.phases))

    @property
    def needs_spaces(self) -> bool:
        """Tell whether anything is put into a bucket."""
        return bool({"node", "two", "spaces"} & set(self.phases))
