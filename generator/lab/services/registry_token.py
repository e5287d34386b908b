"""Hands out and checks the short-lived tokens that one of the lab's registries asks for, also of strangers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from generator.lab.services.hosts import TOKEN_HOST
from generator.lab.webserver import Call, Reply

SERVICE = "registry.docker.io"
CHECK_PATH = "/check"
LIFETIME_SECONDS = 300
_REPOSITORY = re.compile(r"/v2/(?P<repository>.+)/(?:manifests|blobs|tags|referrers)/[^/]+")


class TokenService:
    """Answers `/token` of the token host, and `/check` for the registry's front; nothing is kept.

    Source: https://distribution.github.io/distribution/spec/auth/token/
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._key = secrets.token_bytes(32)
        self._now = now

    def respond(self, call: Call) -> Reply:
        """Answer one request."""
        if call.path == "/token":
            return self._hand_out(call.query.get("scope", ""))
        if call.path == CHECK_PATH:
            return self._check(call.headers.get("x-original-uri", ""), call.headers.get("authorization", ""))
        return Reply(404)

    def _hand_out(self, scope: str) -> Reply:
        now = self._now()
        claim = json.dumps({"scope": scope, "expires": now + LIFETIME_SECONDS}).encode()
        token = f"{base64.urlsafe_b64encode(claim).decode()}.{self._sign(claim)}"
        issued = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = {"token": token, "access_token": token, "expires_in": LIFETIME_SECONDS, "issued_at": issued}
        return Reply(200, json.dumps(answer).encode(), {"content-type": "application/json"})

    def _check(self, address: str, authorization: str) -> Reply:
        found = _REPOSITORY.fullmatch(address.partition("?")[0])
        scope = f"repository:{found['repository']}:pull" if found else ""
        if self._allows(authorization.removeprefix("Bearer "), scope):
            return Reply(204)
        challenge = f'Bearer realm="https://{TOKEN_HOST}/token",service="{SERVICE}"'
        return Reply(401, b"", {"www-authenticate": f'{challenge},scope="{scope}"' if scope else challenge})

    def _allows(self, token: str, scope: str) -> bool:
        text, _, signature = token.partition(".")
        try:
            claim = base64.urlsafe_b64decode(text)
        except ValueError:
            return False
        if not hmac.compare_digest(signature, self._sign(claim)):
            return False
        value = json.loads(claim)
        return bool(self._now() < value["expires"] and scope in ("", value["scope"]))

    def _sign(self, claim: bytes) -> str:
        return hmac.new(self._key, claim, hashlib.sha256).hexdigest()
