"""What a request to the emulated API and its answer are: the fields' kinds, JSON, and lists page by page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from generator.lab.account.account import Refusal, unprocessable

API_HOST = "api.digitalocean.com"
_PER_PAGE, _MOST_PER_PAGE = 20, 200
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("name", "region", "size", "vpc_uuid", "type", "protocol", "description", "ip_range"), str),
    **dict.fromkeys(("image", "ports", "resource_id"), (str, int)),
    **dict.fromkeys(("sources", "destinations"), dict),
}
_ENTRIES: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("names", "tags", "addresses", "volumes", "load_balancer_uids", "kubernetes_ids"), str),
    **dict.fromkeys(("inbound_rules", "outbound_rules", "resources", "grants"), dict),
    "ssh_keys": (str, int),
    "droplet_ids": int,
}
"""What the fields of requests may hold, wherever they stand: one value of a kind, or a list of values of a kind."""


@dataclass(frozen=True)
class Request:
    """One request that has passed authentication."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """Status and JSON of an answer; no body with 204."""

    status: int
    body: Mapping[str, Any] | None = None


def check_kinds(value: object) -> None:
    """Refuse what holds a value of a wrong kind, however deep."""
    if isinstance(value, list):
        for entry in value:
            check_kinds(entry)
    if not isinstance(value, Mapping):
        return
    for name, entry in value.items():
        entries = entry if name in _ENTRIES and isinstance(entry, list) else [entry]
        kind = _ENTRIES.get(name, _KINDS.get(name, object))
        wrong = not all(isinstance(one, kind) for one in entries) or (name in _ENTRIES and not isinstance(entry, list))
        if entry is not None and wrong:
            raise Refusal(400, "bad_request", f"{name} has a wrong type")
        check_kinds(entry)


def page(request: Request, key: str, entries: list[dict[str, Any]]) -> Answer:
    """Give one page of a list, with links to the others when there are any.

    Source: https://docs.digitalocean.com/reference/api/ (links and pagination)
    """
    number, size = _positive(request, "page", 1), min(_positive(request, "per_page", _PER_PAGE), _MOST_PER_PAGE)
    last = max(1, -(-len(entries) // size))
    others: dict[str, int] = {}
    if number > 1:
        others |= {"first": 1, "prev": number - 1}
    if number < last:
        others |= {"next": number + 1, "last": last}
    links = {"pages": {name: _link(request, other) for name, other in others.items()}} if others else {}
    shown = entries[(number - 1) * size : number * size]
    return Answer(200, {key: shown, "links": links, "meta": {"total": len(entries)}})


def _positive(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise unprocessable(f"{name} is invalid")
    return int(text)


def _link(request: Request, number: int) -> str:
    return f"https://{API_HOST}{request.path}?{urlencode({**request.query, 'page': number})}"


def parse_body(text: bytes) -> Mapping[str, Any]:
    """Read a request's JSON object; none at all is an empty one."""
    if not text.strip():
        return {}
    try:
        body = json.loads(text)
    except ValueError:
        raise unprocessable("Request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise unprocessable("Request body is not a JSON object.")
    return body
