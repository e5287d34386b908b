"""Has containerd fetch early what the pods need that every node runs: before the API is there to ask for any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

from hardway import addons, here, timeline
from hardway.here import Failure
from hardway.waiting import patiently

UNIT = "hardway-images.service"
CTR = ("ctr", "--namespace", "k8s.io", "images")
CERTIFICATES = "/etc/containerd/certs.d"
READY_SECONDS, PULL_SECONDS = 300, 900


def begin() -> None:
    """Start it beside everything else; nothing waits for it, and what it does not bring the kubelet asks for."""
    words = ("--no-block", "--collect", "--quiet", f"--unit={UNIT}", "--property=MemoryMax=256M")
    with suppress(Failure):
        here.run("systemd-run", *words, "/usr/local/sbin/hardway", "images")


def step() -> None:
    """Fetch what is missing, in the order in which pods come up; what can't be had is only told."""
    have = patiently(listed, READY_SECONDS, 0.5)
    for image in wanted():
        if image in have:
            continue
        began = timeline.now()
        try:
            here.run(*CTR, "pull", "--hosts-dir", CERTIFICATES, image, timeout=PULL_SECONDS)
        except Failure as failure:
            print(f"not fetched early: {failure}", flush=True)
        else:
            print(f"{image}: fetched early", flush=True)
        timeline.note("images", image.partition("@")[0].rpartition("/")[2], began)


def listed() -> set[str]:
    """Name the images that containerd has."""
    return set(here.run(*CTR, "list", "--quiet").split())


def wanted() -> Iterator[str]:
    """Name the images of this node's pods."""
    index = json.loads(addons.unpacked(addons.archive(here.read(here.ROSTER)["addons"]))["index.json"])
    found = index.get("images", {})
    yield from found.get("every", ())
    if here.facts()["schedulable"]:
        yield from found.get("schedulable", ())
