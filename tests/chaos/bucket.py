"""The bucket in the hands of whoever has its key: its roster is read, put back, and forged."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from generator.documents.roster import payload, sign, verify
from generator.lab.connection import connection
from generator.plan.names import roster_key
from generator.plan.project import Project
from generator.provider.spaces import Spaces
from tests.e2e.harness import Cluster


class Bucket:
    """The bucket of a cluster in the lab."""

    def __init__(self, cluster: Cluster) -> None:
        self._plan = Project.load(cluster.directory / "cluster.yaml").plan
        there = connection(cluster.lab)
        self._spaces = Spaces(there, bucket=self._plan.spaces_bucket, region=self._plan.spaces_region)
        self._key = roster_key(self._plan.public_prefix)

    @property
    def roster(self) -> bytes:
        """Give the published roster."""
        found = self._spaces.get(self._key)
        assert found is not None, "no roster is published"
        return found

    def publish(self, body: bytes) -> None:
        """Publish a roster."""
        self._spaces.put(self._key, body, content_type="application/json")

    def forged(self) -> bytes:
        """Give the published roster with a signature of somebody else's."""
        known = verify(self.roster, self._plan.operator_public_key, cluster_id=self._plan.cluster_id)
        return sign(payload(known), Ed25519PrivateKey.generate())
