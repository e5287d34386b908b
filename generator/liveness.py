"""Knows a process of this machine again by its number and start time; one that was not waited for counts as gone."""

from __future__ import annotations

from pathlib import Path


def start_time(pid: int) -> int | None:
    """Tell when a process began, in ticks since the machine did; None when it has ended.

    Source: proc_pid_stat(5); state is the third field, starttime the 22nd.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name stands in parentheses and may hold anything, also parentheses.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
