"""Enters the lab's network namespaces: a thread that does so never comes back, sockets stay where they were made."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable

from generator.lab.state import State, namespace_path

_CLONE_NEWNET = 0x40000000
_CONNECT_SECONDS = 10.0
_libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace: str) -> None:
    """Move the calling thread into a network namespace; the process' other threads stay where they are.

    Python 3.11 has no `os.setns`. Source: setns(2)
    """
    descriptor = os.open(namespace_path(namespace), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(namespace_path(namespace)))
    finally:
        os.close(descriptor)


def make(namespace: str, make_socket: Callable[[], socket.socket]) -> socket.socket:
    """Make a socket inside a network namespace, by a thread that ends with it."""
    made: list[socket.socket] = []
    errors: list[OSError] = []

    def work() -> None:
        try:
            enter(namespace)
            made.append(make_socket())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=work, name=f"socket in {namespace}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return made[0]


def connect(state: State, address: tuple[str, int]) -> socket.socket:
    """Connect from where a lab's operator sits; the calling thread stays there for good."""
    enter(state.operator_namespace)
    return socket.create_connection(address, _CONNECT_SECONDS)
