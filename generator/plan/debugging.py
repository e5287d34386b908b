"""Says who may log into nodes while somebody has to look at them, and until when; nobody can without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from ipaddress import IPv4Network


@dataclass(frozen=True)
class Debugging:
    """Names of SSH keys of the account whose holders log in as root, and the last day on which they do, in UTC."""

    ssh_keys: tuple[str, ...]
    until: date

    @property
    def over(self) -> date:
        """Give the first day on which nobody logs in any more."""
        return self.until + timedelta(days=1)

    @property
    def keys(self) -> str:
        """Name the keys on one line.

        >>> Debugging(("anna", "ben's laptop"), date(2026, 12, 24)).keys
        "`anna`, `ben's laptop`"
        """
        return ", ".join(f"`{name}`" for name in self.ssh_keys)

    def warning(self, today: date, networks: Sequence[IPv4Network]) -> str:
        """Say what is open on this day to whoever comes from those networks, or that it is closed again."""
        if today > self.until:
            return f"`debug.until` ({self.until}) has passed: sshd has ended on every node, and no launch is possible"
        where = ", ".join(map(str, networks))
        return f"`debug` is set: until {self.until}, who holds {self.keys} logs in as root on every node, from {where}"
