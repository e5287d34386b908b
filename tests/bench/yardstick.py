"""A fixed piece of work: what it takes tells how quick a machine is just then, and everything else is a ratio to it."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from concurrent.futures import ProcessPoolExecutor

ROUNDS = 6
BLOCK = bytes(range(256)) * 16384
"""4 MiB."""


def seconds() -> float:
    """Have every processor do the same work at once, and give how long all of it took.

    It is what a boot is made of: digests, decompression, and a program that reads and writes text.
    """
    count = os.cpu_count() or 1
    with ProcessPoolExecutor(count) as pool:
        list(pool.map(_idle, range(count)))  # so that starting them is not timed
        begun = time.perf_counter()
        list(pool.map(_work, range(count)))
        return time.perf_counter() - begun


def _idle(_: int) -> None:
    time.sleep(0.05)


def _work(number: int) -> int:
    done = 0
    for turn in range(ROUNDS):
        digest = hashlib.sha256(BLOCK * 8).hexdigest()
        packed = zlib.compress(BLOCK * 2, 6)
        text = json.dumps([{"digest": digest, "number": number + turn + each} for each in range(20_000)])
        done += len(zlib.decompress(packed)) + len(json.loads(text))
    return done
