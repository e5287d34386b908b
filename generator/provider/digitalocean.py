"""Speaks to the DigitalOcean API: typed answers, every status looked at, and no POST sent twice in the dark.

The only module that imports pydo. pydo repeats a POST by itself when the answer was a 5xx, and hands
out some error answers as if they were results; both are switched off here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from generator.clock import Clock
from generator.provider import resources
from generator.provider.connection import Connection
from generator.provider.resources import Account, Droplet, Firewall, Json, Rule, Size, SshKey, Vpc
from generator.provider.retry import REPEATS, Exchange, Refused, inside

if TYPE_CHECKING:
    from pydo import Client

KEY_LAG = (2, 3, 5, 10, 10, 15, 15)
"""Seconds between tries: a fresh SSH key is not known to droplet creation at once."""


class Cloud:
    """One account, as far as this program needs it.

    Objects are found by name or tag; whatever creates one gives the one that an unclear attempt made.
    """

    def __init__(self, connection: Connection, clock: Clock | None = None) -> None:
        self._connection = connection
        self._clock = clock or Clock()
        self._api = Exchange(self._clock)

    @property
    def requests(self) -> int:
        """Tell how many requests were sent."""
        return self._api.requests

    @cached_property
    def _client(self) -> Client:
        from pydo import Client  # slow to import, and most verbs need no provider

        options: dict[str, Any] = {}
        if self._connection.ca_file:
            options["connection_verify"] = str(self._connection.ca_file)
        if self._connection.proxy:
            options["proxies"] = {"https": self._connection.proxy}
            options["use_env_settings"] = False
        return Client(
            token=self._connection.token,
            endpoint=self._connection.api_endpoint,
            retry_total=0,
            connection_timeout=10,
            read_timeout=60,
            **options,
        )

    def account(self) -> tuple[Account, datetime]:
        """Give the account, and the time by the provider's clock."""
        answer = self._api.get("account", self._client.account.get)
        account = inside("account", resources.account)(answer.body)
        date = answer.headers.get("date")
        return account, parsedate_to_datetime(date).replace(tzinfo=UTC) if date else self._clock.now()

    def droplet_count(self) -> int:
        """Count all droplets of the account, also those of others."""
        answer = self._api.get("droplets", self._client.droplets.list, per_page=1)
        return int(answer.body.get("meta", {}).get("total", 0))

    def sizes(self) -> tuple[Size, ...]:
        """List the sizes."""
        return self._api.pages("sizes", resources.size, self._client.sizes.list)

    def image_regions(self, slug: str) -> tuple[str, ...] | None:
        """List where an image can be had; None when there is no such image."""
        answer = self._api.get(f"image {slug}", self._client.images.get, slug, missing=True)
        return tuple(answer.body["image"]["regions"]) if answer.status == 200 else None

    def vpcs(self) -> tuple[Vpc, ...]:
        """List the account's VPCs."""
        return self._api.pages("vpcs", resources.vpc, self._client.vpcs.list)

    def create_vpc(self, name: str, description: str, region: str, ip_range: str) -> Vpc:
        """Make a VPC, or find the one that an unclear attempt made."""
        body = {"name": name, "description": description, "region": region, "ip_range": ip_range}

        def find() -> Vpc | None:
            return next((vpc for vpc in self.vpcs() if (vpc.name, vpc.description) == (name, description)), None)

        return self._api.create(f"vpc {name}", self._client.vpcs.create, body, inside("vpc", resources.vpc), find)

    def describe_vpc(self, vpc: Vpc, description: str) -> None:
        """Write another description onto a VPC."""
        body = {"name": vpc.name, "description": description}
        where = f"vpc {vpc.name}"
        self._api.expect(self._api.repeat(where, self._client.vpcs.update, vpc.id, body=body), where)

    def delete_vpc(self, vpc: Vpc) -> bool:
        """Delete a VPC; False while droplets that are gone still count as its members."""
        answer = self._api.repeat(f"vpc {vpc.name}", self._client.vpcs.delete, vpc.id)
        if answer.status == 409 or (answer.status == 403 and "member" in str(answer.body.get("message"))):
            return False
        self._api.expect(answer, f"vpc {vpc.name}", missing=True)
        return True

    def firewalls(self, name: str) -> tuple[Firewall, ...]:
        """List the firewalls of that name."""
        listed = self._api.pages("firewalls", resources.firewall, self._client.firewalls.list)
        return tuple(sorted((one for one in listed if one.name == name), key=lambda one: one.id))

    def create_firewall(self, name: str, tag: str, inbound: Sequence[Rule], outbound: Sequence[Rule]) -> Firewall:
        """Make a firewall for all droplets with the tag, or find the one that an unclear attempt made."""
        body = resources.firewall_body(name, tag, inbound, outbound)

        def find() -> Firewall | None:
            return next(iter(self.firewalls(name)), None)

        read = inside("firewall", resources.firewall)
        return self._api.create(f"firewall {name}", self._client.firewalls.create, body, read, find)

    def update_firewall(self, firewall: Firewall, tag: str, inbound: Sequence[Rule], outbound: Sequence[Rule]) -> None:
        """Replace everything the firewall says."""
        body = resources.firewall_body(firewall.name, tag, inbound, outbound)
        where = f"firewall {firewall.name}"
        self._api.expect(self._api.repeat(where, self._client.firewalls.update, firewall.id, body=body), where)

    def delete_firewall(self, firewall: Firewall) -> None:
        """Delete a firewall, if it is still there."""
        self._api.delete(f"firewall {firewall.name}", self._client.firewalls.delete, firewall.id)

    def tags(self, cluster_tag: str) -> frozenset[str]:
        """List the cluster's tag and those that begin with it and a colon."""
        listed = self._api.pages("tags", lambda data: str(data["name"]), self._client.tags.list)
        return frozenset(tag for tag in listed if tag == cluster_tag or tag.startswith(f"{cluster_tag}:"))

    def create_tag(self, name: str) -> None:
        """Make a tag; one that exists is as good."""

        def find() -> str | None:
            answer = self._api.get(f"tag {name}", self._client.tags.get, name, missing=True)
            return name if answer.status == 200 else None

        read = inside("tag", lambda data: str(data["name"]))
        self._api.create(f"tag {name}", self._client.tags.create, {"name": name}, read, find)

    def delete_tag(self, name: str) -> None:
        """Delete a tag, if it is still there."""
        self._api.delete(f"tag {name}", self._client.tags.delete, name)

    def ssh_keys(self, name: str) -> tuple[SshKey, ...]:
        """List the registered public keys of that name; the API allows this ten times a minute."""
        listed = self._api.pages("ssh_keys", resources.ssh_key, self._client.ssh_keys.list)
        return tuple(sorted((key for key in listed if key.name == name), key=lambda key: key.id))

    def create_ssh_key(self, name: str, public_key: str, fingerprint: str) -> SshKey:
        """Register a public key, or find it by its fingerprint after an unclear attempt."""
        body = {"name": name, "public_key": public_key}

        def find() -> SshKey | None:
            answer = self._api.get(f"ssh key {name}", self._client.ssh_keys.get, fingerprint, missing=True)
            return inside("ssh_key", resources.ssh_key)(answer.body) if answer.status == 200 else None

        read = inside("ssh_key", resources.ssh_key)
        return self._api.create(f"ssh key {name}", self._client.ssh_keys.create, body, read, find)

    def delete_ssh_key(self, key: SshKey) -> None:
        """Delete a registered public key, if it is still there."""
        self._api.delete(f"ssh key {key.name}", self._client.ssh_keys.delete, key.id)

    def droplets(self, tag: str) -> tuple[Droplet, ...]:
        """List the droplets that carry a tag, the oldest first."""
        listed = self._api.pages("droplets", resources.droplet, self._client.droplets.list, tag_name=tag)
        return tuple(sorted((one for one in listed if tag in one.tags), key=lambda one: one.id))

    def droplet(self, number: int) -> Droplet | None:
        """Give one droplet; None when it is gone, or so new that reads do not know it yet."""
        answer = self._api.get(f"droplet {number}", self._client.droplets.get, number, missing=True)
        return inside("droplet", resources.droplet)(answer.body) if answer.status == 200 else None

    def create_droplet(self, body: Json, node_tag: str, known: Iterable[int] = ()) -> Droplet:
        """Make a droplet, or find by its node's tag the one that an unclear attempt made.

        Args:
            body: the request; its user data is shown nowhere.
            node_tag: the tag that no other node carries.
            known: droplets with that tag that were there before, and are about to go.
        """
        before = frozenset(known)
        where = f"droplet {body['name']}"

        def find() -> Droplet | None:
            return next((one for one in self.droplets(node_tag) if one.id not in before), None)

        for pause in (*KEY_LAG, None):
            try:
                read = inside("droplet", resources.droplet)
                return self._api.create(where, self._client.droplets.create, body, read, find, unique=False)
            except Refused as refusal:
                if pause is None or refusal.status != 422 or "invalid key" not in refusal.said:
                    raise
                self._clock.sleep(pause)
        raise AssertionError("the last try raises")

    def delete_droplet(self, droplet: Droplet) -> None:
        """Delete a droplet, if it is still there; it goes some seconds later."""
        where = f"droplet {droplet.name} ({droplet.id})"
        for pause in (*REPEATS, None):
            answer = self._api.repeat(where, self._client.droplets.destroy, droplet.id)
            if answer.status == 422 and "pending" in str(answer.body.get("message")) and pause is not None:
                self._clock.sleep(pause)
                continue
            self._api.expect(answer, where, missing=True)
            return
