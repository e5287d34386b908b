"""Reads the roster again, at boot and on a timer; mesh and addons follow its changes."""

from __future__ import annotations

from hardway import here, mesh, roster


def step() -> None:
    """Read the roster again, and have what depends on it follow."""
    before = here.read(here.ROSTER)
    found, _ = roster.refresh()
    # What was applied is compared, not what was known: another step may have read the roster first.
    if mesh.exists() and here.read(mesh.APPLIED) != mesh.peers(here.facts(), found):
        mesh.follow(found)
    if before and before["addons"] != found["addons"] and here.facts()["role"] == "control-plane":
        here.run("systemctl", "try-restart", "--no-block", "hardway-bootstrap.service")
