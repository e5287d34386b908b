"""Keeps two launches of one cluster apart by the launch lock, an object in its bucket."""

from __future__ import annotations

import getpass
import json
import os
import platform
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from generator import bounded, liveness
from generator.clock import Clock, stamp
from generator.errors import Problem
from generator.plan.names import lock_key
from generator.provider.spaces import Spaces

STALE = timedelta(minutes=5)
"""A launch lock that nobody renewed for so long belongs to nobody."""
RENEW = timedelta(minutes=1)
LIMIT_BYTES = 16 * 1024
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class LaunchLock:
    """Held from enter to exit; whoever holds it calls `keep` now and then, and before each change."""

    def __init__(self, spaces: Spaces, cluster: str, clock: Clock, say: Callable[[str], None]) -> None:
        self._spaces = spaces
        self._key = lock_key(cluster)
        self._clock = clock
        self._say = say
        self._owner = secrets.token_hex(16)
        self._renewed = clock.now()

    def __enter__(self) -> LaunchLock:
        """Take the launch lock, from a holder that is gone if need be.

        Raises:
            Problem: another launch holds it.
        """
        for _ in range(3):
            if self._spaces.put(self._key, self._content(), content_type="application/json", only_new=True):
                self._renewed = self._clock.now()
                return self
            self._take_over()
        raise Problem("the launch lock changes hands all the time", where=self._key)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give the launch lock back, if it is still ours."""
        if self._holder().get("owner") == self._owner:
            self._spaces.delete(self._key)

    def keep(self) -> None:
        """Renew the launch lock when it is time.

        Raises:
            Problem: someone else has taken it meanwhile, as after a long sleep of this machine.
        """
        holder = self._holder()
        if holder.get("owner") != self._owner:
            raise Problem(
                f"the launch lock was taken over by {_who(holder)}", where=self._key, hint="let that one finish"
            )
        if self._clock.now() - self._renewed < RENEW:
            return
        self._spaces.put(self._key, self._content(), content_type="application/json")
        self._renewed = self._clock.now()

    def _take_over(self) -> None:
        holder = self._holder()
        stored = next((one for one in self._spaces.objects(self._key) if one.key == self._key), None)
        if stored is None:
            return
        idle = self._clock.now() - stored.modified
        if not _gone(holder) and idle < STALE:
            message = f"{_who(holder)} works on this cluster since {holder.get('since', 'some time')}"
            hint = f"wait for it; if it is dead, its launch lock goes stale in {(STALE - idle).total_seconds():.0f} s"
            raise Problem(message, where=self._key, hint=hint)
        self._say(f"taking over the launch lock of {_who(holder)}, which is gone")
        if self._holder() == holder:  # another one may have taken it over just now
            self._spaces.delete(self._key)

    def _holder(self) -> dict[str, Any]:
        try:
            holder = bounded.parse_json(self._spaces.get(self._key, limit_bytes=LIMIT_BYTES) or b"{}")
        except ValueError:
            return {}
        return holder if isinstance(holder, dict) else {}

    def _content(self) -> bytes:
        holder = {
            "version": 1,
            "owner": self._owner,
            "user": getpass.getuser(),
            "host": platform.node(),
            "boot": _boot_id(),
            "namespace": _namespace(),
            "process": os.getpid(),
            "started": liveness.start_time(os.getpid()),
            "since": stamp(self._clock.now()),
        }
        return json.dumps(holder).encode()


def _namespace() -> str:
    """Name what process numbers hold in: containers of one machine have each their own."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _gone(holder: dict[str, Any]) -> bool:
    """Tell whether the holder was a process of this machine and has ended, be its number another's by now."""
    process, started = holder.get("process"), holder.get("started")
    here = (platform.node(), _boot_id(), _namespace())
    if (holder.get("host"), holder.get("boot"), holder.get("namespace")) != here or not here[1]:
        return False
    if not isinstance(process, int) or not isinstance(started, int):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    try:
        return liveness.start_time(process) != started
    except PermissionError:
        return False


def _who(holder: dict[str, Any]) -> str:
    words = (str(holder.get(key, "?"))[:64] for key in ("user", "host", "process"))
    return "{}@{} (process {})".format(*("".join(c for c in word if c.isprintable()) for word in words))
