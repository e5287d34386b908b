"""The rule that no test reaches another machine holds."""

from __future__ import annotations

import socket

import pytest

from ..conftest import NetworkUsed


@pytest.mark.parametrize("host", ["1.1.1.1", "api.digitalocean.com"])
def test_other_machines_are_out_of_reach(host: str) -> None:
    with socket.socket() as one, pytest.raises(NetworkUsed):
        one.connect((host, 443))


def test_this_machine_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as one:
        one.connect(server.getsockname())
