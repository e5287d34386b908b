"""Answers for the provider's API: who asks, how often, what is logged; what is done is `routes`'."""

from __future__ import annotations

import hmac
import json
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from generator.lab.account import masking, requests, routes
from generator.lab.account.account import Account, Refusal
from generator.lab.webserver import Call, Reply
from generator.provider import scopes

_MINUTE, _HOUR = 60, 3600


class Api:
    """Serves one account to many threads, one request at a time.

    Args:
        account: what the requests are about.
        token: what `Authorization: Bearer` must hold.
        log: a file for one JSON line per request.
        changed: called after each request that may have changed the account, while no other one runs.
        now: the account's clock, in seconds since 1970: what lags and limits count by.
    """

    def __init__(
        self,
        account: Account,
        token: str,
        log: Path,
        changed: Callable[[Account], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.account = account
        self.lock = threading.RLock()
        self._token = token
        self._log = log
        self._changed = changed
        self._now = now
        self._times: list[float] = []

    def respond(self, call: Call) -> Reply:
        """Answer one request and log it."""
        started, began = self._now(), time.monotonic()
        number = str(uuid.uuid4())
        with self.lock:
            asked: Any = None
            headers = {}
            try:
                self._authenticate(call)
                self._permit(call)
                headers = self._count(started)
                asked = requests.parse_body(call.body)
                answer = routes.answer(
                    self.account, requests.Request(call.method, call.path, call.query, asked), started
                )
            except Refusal as refusal:
                error = {"id": refusal.identifier, "message": refusal.message, "request_id": number}
                answer = requests.Answer(refusal.status, error)
                if refusal.retry_after is not None:
                    headers["retry-after"] = str(refusal.retry_after)
            if call.method != "GET":
                self._changed(self.account)
            body = b"" if answer.body is None else json.dumps(answer.body).encode()
            self._write(call, asked, answer, started, time.monotonic() - began, number)
        told = format_datetime(datetime.fromtimestamp(started, UTC), usegmt=True)
        headers |= {"x-request-id": number, "content-type": "application/json; charset=utf-8", "date": told}
        return Reply(answer.status, body, headers)

    def _authenticate(self, call: Call) -> None:
        kind, _, given = call.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            raise Refusal(401, "unauthorized", "Unable to authenticate you")

    def _permit(self, call: Call) -> None:
        lacking = self.account.unkind.missing_scope
        if lacking and scopes.needed(call.method, call.path) == lacking:
            raise Refusal(403, "forbidden", f"You are missing the required permission {lacking}.")

    def _count(self, now: float) -> dict[str, str]:
        unkind = self.account.unkind
        self._times = [moment for moment in self._times if moment > now - _HOUR]
        recent = sum(moment > now - _MINUTE for moment in self._times)
        if len(self._times) >= unkind.requests_per_hour:
            raise Refusal(429, "too_many_requests", "API Rate limit exceeded.")
        if recent >= unkind.requests_per_minute:
            raise Refusal(429, "too_many_requests", "API Rate limit exceeded.", retry_after=_MINUTE)
        self._times.append(now)
        return {
            "ratelimit-limit": str(unkind.requests_per_hour),
            "ratelimit-remaining": str(unkind.requests_per_hour - len(self._times)),
            "ratelimit-reset": str(int(self._times[0]) + _HOUR),
        }

    def _write(self, call: Call, asked: Any, answer: requests.Answer, started: float, took: float, number: str) -> None:
        query = "&".join(f"{name}={value}" for name, value in call.query.items())
        line = masking.record(
            time=datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds"),
            method=call.method,
            path=f"{call.path}?{query}" if query else call.path,
            headers=call.headers,
            body=asked,
            status=answer.status,
            answer=answer.body,
            seconds=took,
        )
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"request": number, **line}) + "\n")
