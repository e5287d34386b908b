"""Sends single requests to an API by rules of its own: what may be repeated is, what may not is looked for first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import ValidationError

from generator import waiting
from generator.clock import Clock
from generator.errors import Problem
from generator.provider import scopes
from generator.provider.connection import TOKEN
from generator.provider.resources import Json

T = TypeVar("T")

PAGE, PAGES = 200, 200
"""Entries on a page, and as many pages as anybody has."""
REPEATS = (1, 2, 4, 8, 16, 30, 30)
"""Seconds between the tries of a request that may be repeated."""
LOOKS = (1, 2, 4, 8, 15)
"""Seconds between looking for the effect of a POST whose answer was lost; lists lag behind by up to 30 s."""
POSTS = 3
FOR_GOOD = 86_400.0
"""Seconds that stand for all that is longer than a day."""
_SECONDS = re.compile(r"[0-9]{1,10}")
LONGEST_WAIT = 300
"""Seconds that a rate limit is waited for; an hourly limit is reported instead."""


@dataclass(frozen=True)
class Answer:
    """Status, body and headers of one answer."""

    status: int
    body: Json
    headers: Mapping[str, str]

    @property
    def request(self) -> str | None:
        """Give the id by which the provider's support finds the request."""
        found = self.body.get("request_id") or self.headers.get("x-request-id")
        return str(found)[:100] if found else None


class Refused(Problem):
    """The API understood and said no."""

    def __init__(self, answer: Answer, where: str) -> None:
        said = str(answer.body.get("message") or answer.body.get("error") or "nothing more")
        suffix = f" (request {answer.request})" if answer.request else ""
        hint = None
        if answer.status == 401:
            hint = f"is `{TOKEN}` right, and not expired?"
        elif answer.status == 403:
            hint = f"`{TOKEN}` needs the scopes {scopes.text()}"
        super().__init__(f"DigitalOcean answered {answer.status}: {said}{suffix}", where=where, hint=hint)
        self.status = answer.status
        self.said = said


class Unclear(Exception):  # noqa: N818 - not an error yet
    """No answer, or one that does not tell whether the request took effect."""


class Exchange:
    """Sends requests and counts them.

    GET, PUT and DELETE are repeated with growing pauses. After a POST whose outcome is unclear its effect is
    looked for several times before another is sent: there are no idempotency keys, and names are not unique.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.requests = 0

    def get(self, where: str, operation: Callable[..., Any], *args: Any, missing: bool = False, **query: Any) -> Answer:
        """Send a GET; with `missing` a 404 is an answer too."""
        answer = self.repeat(where, operation, *args, **query)
        self.expect(answer, where, missing=missing)
        return answer

    def delete(self, where: str, operation: Callable[..., Any], name: str | int) -> None:
        """Send a DELETE; what is gone already is as good."""
        self.expect(self.repeat(where, operation, name), where, missing=True)

    def pages(self, key: str, read: Callable[[Json], T], operation: Callable[..., Any], **query: Any) -> tuple[T, ...]:
        """Read all pages of a list, whose entries are below `key`."""
        return tuple(self._read_pages(key, read, operation, **query))

    def _read_pages(
        self, key: str, read: Callable[[Json], T], operation: Callable[..., Any], **query: Any
    ) -> Iterator[T]:
        for page in range(1, PAGES + 1):
            answer = self.get(key, operation, per_page=PAGE, page=page, **query)
            # No list is not an empty one: what isn't seen would be made again.
            for entry in _read(lambda body: _list(body[key]), answer.body, key, answer):
                yield _read(read, entry, key, answer)
            if not _next_page(answer.body):
                return
        raise Problem(f"DigitalOcean's list has more than {PAGES} pages", where=key)

    def create(
        self,
        where: str,
        operation: Callable[..., Any],
        body: Json,
        read: Callable[[Answer], T],
        find: Callable[[], T | None],
        *,
        unique: bool = True,
    ) -> T:
        """Send a POST; when its outcome is unclear look for the effect, and only then send another.

        Args:
            find: look for the effect.
            unique: the provider refuses a second one of the name, so a refusal may mean that it exists.
        """
        trouble: Unclear | None = None
        for _ in range(POSTS):
            try:
                answer = self._send(operation, body=body)
            except Unclear as error:
                trouble = error
                found = self._look(find)
                if found is not None:
                    return found
                continue
            if unique and answer.status in (400, 409, 422) and (found := find()) is not None:
                return found
            self.expect(answer, where)
            return read(answer)
        raise Problem(f"DigitalOcean gave no clear answer to {POSTS} requests: {trouble}", where=where) from trouble

    def _look(self, find: Callable[[], T | None]) -> T | None:
        for pause in LOOKS:
            self._clock.sleep(pause)
            found = find()
            if found is not None:
                return found
        return None

    def repeat(self, where: str, operation: Callable[..., Any], *args: Any, **options: Any) -> Answer:
        """Send a request that may be repeated, until its answer is clear."""

        def send() -> Answer:
            return self._send(operation, *args, **options)

        try:
            return waiting.repeat(send, REPEATS, self._clock.sleep, while_=lambda error: isinstance(error, Unclear))
        except Unclear as error:
            raise Problem(f"DigitalOcean can't be reached: {error}", where=where) from error

    def _send(self, operation: Callable[..., Any], *args: Any, **options: Any) -> Answer:
        """Send one request, waiting out the rate limit; a limited request had no effect.

        Raises:
            Unclear: nothing is known about its effect.
        """
        waited = 0.0
        while True:
            answer = self._call(operation, *args, **options)
            if answer.status >= 500 or answer.status == 408:
                raise Unclear(f"{answer.status} {answer.body.get('message', '')}".strip())
            if answer.status != 429:
                return answer
            pause = self._limited(answer)
            waited += pause
            if waited > LONGEST_WAIT:
                free = self._clock.now() + timedelta(seconds=pause)
                raise Problem("the hour's requests to DigitalOcean are spent", hint=f"try again after {free:%H:%M} UTC")
            self._clock.sleep(pause)

    def _limited(self, answer: Answer) -> float:
        after = answer.headers.get("retry-after", "")
        if _SECONDS.fullmatch(after):
            return min(max(1.0, float(after)), FOR_GOOD)
        reset = answer.headers.get("ratelimit-reset", "")
        if _SECONDS.fullmatch(reset):
            pause = (datetime.fromtimestamp(int(reset), UTC) - self._clock.now()).total_seconds()
            return min(max(1.0, pause), FOR_GOOD)
        return 10.0

    def _call(self, operation: Callable[..., Any], *args: Any, **options: Any) -> Answer:
        from azure.core.exceptions import AzureError, HttpResponseError

        self.requests += 1
        try:
            answer: Answer = operation(*args, cls=_take, **options)
        except HttpResponseError as error:
            # Below 400 it is the body that could not be read.
            if error.response is None or error.status_code is None or error.status_code < 400:
                raise Unclear(_one_line(error)) from error
            return Answer(error.status_code, _body(error.response), _headers(error.response))
        except (AzureError, ValueError, RecursionError) as error:
            raise Unclear(_one_line(error)) from error
        return answer

    def once(self, operation: Callable[..., Any], **options: Any) -> Answer:
        """Send a request once and give whatever is answered.

        Raises:
            Unclear: nothing is.
        """
        return self._call(operation, **options)

    @staticmethod
    def expect(answer: Answer, where: str, *, missing: bool = False) -> None:
        """Raise `Refused` when the answer is an error."""
        if answer.status >= 400 and not (missing and answer.status == 404):
            raise Refused(answer, where)


def _take(pipeline: Any, body: Any, _headers_of_spec: Any) -> Answer:
    response = pipeline.http_response
    return Answer(response.status_code, body if isinstance(body, dict) else {}, _headers(response))


def _headers(response: Any) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _body(response: Any) -> Json:
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list")
    return value


def _one_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:300]


def inside(key: str, read: Callable[[Json], T]) -> Callable[[Answer], T]:
    """Make a reader of the object that an answer holds below `key`.

    What is not there, or not what it should be, is a problem that says where, and of which request.
    """

    def within(answer: Answer) -> T:
        return _read(lambda body: read(body[key]), answer.body, key, answer)

    return within


def _read(read: Callable[[Any], T], data: Any, where: str, answer: Answer) -> T:
    try:
        return read(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = f"'{'.'.join(map(str, first['loc'])) or 'all of it'}'"
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = _one_line(error)
    suffix = f" (request {answer.request})" if answer.request else ""
    raise Problem(f"DigitalOcean's answer lacks or mistells {what}{suffix}", where=where)


def _next_page(body: Any) -> bool:
    """Tell whether a list has another page; a list of links that is none has none."""
    links = body.get("links")
    pages = links.get("pages") if isinstance(links, dict) else None
    return bool(isinstance(pages, dict) and pages.get("next"))
