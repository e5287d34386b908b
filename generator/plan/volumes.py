"""Says what a planned disk of a node is: its names, its device, and where it is mounted."""

from __future__ import annotations

from dataclasses import dataclass

from generator.plan import names
from generator.release.lock_file import Filesystem

VOLUMES = "/var/lib/hardway/volumes"


@dataclass(frozen=True)
class Volume:
    """One disk of a node's, which outlives its droplets.

    `full_name` is what it is called in the account, `uuid` what its file system bears, empty until the keys exist;
    `size` is in GiB, and in no document.
    """

    name: str
    size: int
    full_name: str
    uuid: str
    filesystem: Filesystem = "ext4"

    @property
    def device(self) -> str:
        """Give the path of its disk on the node."""
        return names.volume_device(self.full_name)

    @property
    def mount(self) -> str:
        """Give where it is mounted on the node."""
        return f"{VOLUMES}/{self.name}"
