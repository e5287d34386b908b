"""Tells the verbs how to reach the lab instead of the provider: proxy, authority and credentials, nothing else."""

from __future__ import annotations

from generator.lab.daemon import control
from generator.lab.settings import credentials
from generator.lab.state import State
from generator.provider.connection import Connection


def connection(state: State) -> Connection:
    """Give the connection that `--lab` stands for; all host names stay the real ones.

    Raises:
        Problem: that lab isn't up.
    """
    answer = control.call(state, "status")
    keys = credentials(state)
    return Connection(
        token=keys.token,
        spaces_key_id=keys.spaces_key_id,
        spaces_secret=keys.spaces_secret,
        proxy=str(answer["proxy"]),
        ca_file=state.directory / "authority" / "ca.crt",
    )
