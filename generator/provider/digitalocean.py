"""Speaks to the DigitalOcean API: typed answers, every status looked at, and no POST sent twice in the dark.

The only module that imports pydo. pydo repeats a POST by itself when the answer was a 5xx, and hands
out some error answers as if they were results; both are switched off here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from generator.clock import Clock
from generator.provider import answers
from generator.provider.connection import Connection
from generator.provider.resources import Account, Event, Json, Size, Snapshot
from generator.provider.retry import Answer, Exchange, inside

if TYPE_CHECKING:
    from pydo import Client

T = TypeVar("T")


@dataclass(frozen=True)
class Collection(Generic[T]):
    """One kind of object in an account.

    `operations` is pydo's name of what can be asked of it, and the key of its lists unless `lists` is; `key` holds one
    object in an answer; `read` turns that into a value.
    """

    operations: str
    key: str
    read: Callable[[Json], T]
    lists: str = ""


class Cloud:
    """One account, as far as this program needs it.

    What is specific to one kind of object (how one is found again, what it is made of) is that kind's business.
    """

    def __init__(self, connection: Connection, clock: Clock | None = None) -> None:
        self._connection = connection
        self.clock = clock or Clock()
        self._api = Exchange(self.clock)

    @property
    def connection(self) -> Connection:
        """Tell how the account is reached."""
        return self._connection

    @property
    def requests(self) -> int:
        """Tell how many requests were sent."""
        return self._api.requests

    @cached_property
    def _client(self) -> Client:
        from pydo import Client  # slow to import, and most verbs need no provider

        from generator.provider.transport import Transport

        ca_file, proxy = self._connection.ca_file, self._connection.proxy
        options: dict[str, Any] = {"transport": Transport(ca_file, use_env_settings=proxy is None)}
        if ca_file:
            options["connection_verify"] = str(ca_file)
        if proxy:
            options["proxies"] = {"https": proxy}
        return Client(
            token=self._connection.token,
            endpoint=self._connection.api_endpoint,
            retry_total=0,
            connection_timeout=10,
            read_timeout=60,
            permit_redirects=False,
            **options,
        )

    def account(self) -> tuple[Account, datetime]:
        """Give the account, and the time by the provider's clock."""
        answer = self._api.get("account", self._client.account.get)
        account = inside("account", answers.account)(answer)
        return account, _date(answer.headers.get("date", "")) or self.clock.now()

    def droplet_count(self) -> int:
        """Count all droplets of the account, also those of others."""
        answer = self._api.get("droplets", self._client.droplets.list, per_page=1)
        return inside("meta", answers.total)(answer)

    def sizes(self) -> tuple[Size, ...]:
        """List the sizes, but those of a form that is not known here."""
        found = self._api.pages("sizes", answers.size, self._client.sizes.list)
        return tuple(one for one in found if one is not None)

    def image_regions(self, slug: str) -> tuple[str, ...] | None:
        """List where an image can be had; None when there is no such image."""
        answer = self._api.get(f"image {slug}", self._client.images.get, slug, missing=True)
        return inside("image", answers.image_regions)(answer) if answer.status == 200 else None

    def snapshots(self) -> tuple[Snapshot, ...]:
        """List the account's snapshots of droplets."""
        found = self._api.pages("images", answers.snapshot, self._client.images.list, private=True)
        return tuple(one for one in found if one is not None)

    def take_snapshot(self, droplet: int, name: str) -> int:
        """Ask for a snapshot of a droplet's disk and give the event's number; one that was asked for before is as good.

        A second snapshot costs as much as the first: what became of an answer that was lost, the droplet's events tell.
        """
        where = f"snapshot {name}"

        def asked() -> int | None:
            found = self._api.pages("actions", answers.event, partial(self._client.droplet_actions.list, droplet))
            return next((one.id for one in found if one.type == "snapshot" and one.status != "errored"), None)

        if (before := asked()) is not None:
            return before
        post = partial(self._client.droplet_actions.post, droplet)
        return self._api.create(where, post, {"type": "snapshot", "name": name}, lambda one: _event(one).id, asked)

    def event(self, number: int, where: str) -> Event:
        """Tell how far something is that was asked for."""
        return _event(self._api.get(where, self._client.actions.get, number))

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Delete a snapshot; one that is gone already is as good."""
        self._api.delete(f"snapshot {snapshot.name}", self._client.images.delete, snapshot.id)

    def list(self, kind: Collection[T], **query: Any) -> tuple[T, ...]:
        """List all objects of one kind that the account has."""
        return self._api.pages(kind.lists or kind.operations, kind.read, self._operations(kind).list, **query)

    def find(self, kind: Collection[T], identifier: str | int, where: str) -> T | None:
        """Give one object; None when it is gone, or so new that reads do not know it yet."""
        answer = self._api.get(where, self._operations(kind).get, identifier, missing=True)
        return inside(kind.key, kind.read)(answer) if answer.status == 200 else None

    def create(
        self, kind: Collection[T], body: Json, where: str, find: Callable[[], T | None], *, unique: bool = True
    ) -> T:
        """Make one object, or find the one that an unclear attempt made.

        Args:
            body: the request; what is secret in it is shown nowhere.
            where: names the object in messages.
            find: look for what an attempt has made.
            unique: the provider refuses a second one of the name, so a refusal may mean that it exists.
        """
        read = inside(kind.key, kind.read)
        return self._api.create(where, self._operations(kind).create, body, read, find, unique=unique)

    def try_to_create(self, kind: Collection[T], body: Json) -> Answer:
        """Send one POST and give the answer, also one that does not tell whether anything was made.

        Raises:
            Unclear: there is none.
        """
        return self._api.once(self._operations(kind).create, body=body)

    def update(self, kind: Collection[T], identifier: str | int, body: Json, where: str) -> None:
        """Replace what an object says."""
        self._api.expect(self._api.repeat(where, self._operations(kind).update, identifier, body=body), where)

    def act(self, operations: str, identifier: str | int, body: Json, where: str) -> Answer:
        """Ask an object to do something, which may be asked twice, and give the answer for `expect`.

        Args:
            operations: pydo's name of what can be asked.
        """
        known = getattr(self._client, operations)
        return self._api.repeat(where, getattr(known, "post_by_id", None) or known.post, identifier, body=body)

    def delete(self, kind: Collection[T], identifier: str | int, where: str) -> None:
        """Delete an object; one that is gone already is as good."""
        self._api.expect(self.try_to_delete(kind, identifier, where), where, missing=True)

    def try_to_delete(self, kind: Collection[T], identifier: str | int, where: str) -> Answer:
        """Ask for an object's deletion and give the answer, for `expect` or for whoever knows of a better way."""
        operations = self._operations(kind)
        # pydo calls it `destroy` where a query can destroy several.
        return self._api.repeat(where, getattr(operations, "destroy", None) or operations.delete, identifier)

    def expect(self, answer: Answer, where: str) -> None:
        """Raise `Refused` when the answer is an error other than 404."""
        self._api.expect(answer, where, missing=True)

    def _operations(self, kind: Collection[T]) -> Any:
        return getattr(self._client, kind.operations)


_event = inside("action", answers.event)


def _date(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header).replace(tzinfo=UTC)
    except ValueError:
        return None
