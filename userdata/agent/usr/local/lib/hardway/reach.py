"""Finds out what answers, from and to given addresses: packets of a given size, many at once; and connections."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

# Of `linux/in.h`: every packet says that nobody may cut it, and goes out whatever was learnt of the way before.
IP_MTU_DISCOVER, IP_PMTUDISC_PROBE = 10, 3
ECHO, ECHO_REPLY = 8, 0
HEADERS_BYTES = 28
SMALL_BYTES = 84
TRIES, TRY_SECONDS = 2, 1.0
# The way was seen to answer, so what is silent now is lost.
SIZE_SECONDS = 0.3
KNOCK_SECONDS = 2.0
DISCARD = 9
MOST_SOCKETS = 200

Pair = tuple[str, str]


@dataclass(frozen=True)
class Echo:
    """One question: from where to where, as a packet of so many bytes."""

    source: str
    target: str
    size: int = SMALL_BYTES


def answered(asked: Iterable[Echo], seconds: float = TRY_SECONDS) -> set[Echo]:
    """Ask all at once, twice if need be; give what came back whole.

    A source that this machine does not have gets no answers.
    """
    numbered = dict(enumerate(dict.fromkeys(asked)))
    found: set[Echo] = set()
    ident = int.from_bytes(os.urandom(2), "big")
    with ExitStack() as stack:
        ears = {}
        for source in {echo.source for echo in numbered.values()}:
            with suppress(OSError):
                ears[source] = stack.enter_context(_ear(source))
        for _ in range(TRIES):
            for number, echo in numbered.items():
                if echo.source in ears and echo not in found:
                    with suppress(OSError):  # larger than the interface, or nothing leads there
                        ears[echo.source].sendto(_question(ident, number, echo.size), (echo.target, 0))
            end = time.monotonic() + seconds
            while len(found) < len(numbered) and (left := end - time.monotonic()) > 0:
                for ear in select.select(list(ears.values()), [], [], left)[0]:
                    found |= _heard(ear, ident, numbered)
    return found


def largest(pairs: Iterable[Pair], below: int) -> dict[Pair, int]:
    """Find for each pair, whose small packets pass, the largest packet that does, smaller than `below`."""
    bounds = dict.fromkeys(pairs, (SMALL_BYTES, below - 1))
    while open_ := {pair: (low + high + 1) // 2 for pair, (low, high) in bounds.items() if low < high}:
        passed = answered((Echo(*pair, size) for pair, size in open_.items()), SIZE_SECONDS)
        for pair, size in open_.items():
            low, high = bounds[pair]
            bounds[pair] = (size, high) if Echo(*pair, size) in passed else (low, size - 1)
    return {pair: low for pair, (low, _) in bounds.items()}


def refused(pairs: Iterable[Pair], port: int = DISCARD, seconds: float = KNOCK_SECONDS) -> set[Pair]:
    """Knock where nobody listens: a refusal proves the way there and back."""
    waiting, found = list(dict.fromkeys(pairs)), set()
    while waiting:
        found |= _refused(waiting[:MOST_SOCKETS], port, seconds)
        del waiting[:MOST_SOCKETS]
    return found


def _refused(pairs: list[Pair], port: int, seconds: float) -> set[Pair]:
    found = set()
    with ExitStack() as stack:
        knocks = {}
        for source, target in pairs:
            knock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            knock.setblocking(False)
            with suppress(OSError):
                knock.bind((source, 0))
                code = knock.connect_ex((target, port))
                if code == errno.ECONNREFUSED:
                    found.add((source, target))
                elif code == errno.EINPROGRESS:
                    knocks[knock] = (source, target)
        end = time.monotonic() + seconds
        while knocks and (left := end - time.monotonic()) > 0:
            for knock in select.select([], list(knocks), [], left)[1]:
                pair = knocks.pop(knock)
                if knock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED:
                    found.add(pair)
    return found


def _ear(source: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    try:
        made.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
        made.bind((source, 0))
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


def _question(ident: int, number: int, size: int) -> bytes:
    """Write an echo request; the number is in its body, as there may be more than 65,536."""
    body = struct.pack("!I", number).ljust(size - HEADERS_BYTES, b"\0")
    head = struct.pack("!BBHHH", ECHO, 0, 0, ident, number & 0xFFFF)
    return struct.pack("!BBHHH", ECHO, 0, _checksum(head + body), ident, number & 0xFFFF) + body


def _heard(ear: socket.socket, ident: int, asked: dict[int, Echo]) -> set[Echo]:
    found = set()
    with suppress(BlockingIOError):
        while True:
            packet, (sender, _) = ear.recvfrom(1 << 16)
            at = (packet[0] & 15) * 4
            if len(packet) < at + 12:
                continue
            kind, _, _, whose, _, number = struct.unpack("!BBHHHI", packet[at : at + 12])
            echo = asked.get(number)
            if (kind, whose) == (ECHO_REPLY, ident) and echo and (sender, len(packet)) == (echo.target, echo.size):
                found.add(echo)
    return found


def _checksum(data: bytes) -> int:
    even = data if len(data) % 2 == 0 else data + b"\0"
    total: int = sum(struct.unpack(f"!{len(even) // 2}H", even))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
