"""A small registry over TLS that, as the real ones do, wants a token even of anybody who may read everything."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from generator.lab.services.authority import Authority

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
NAME = "registry.test"
TOKENS = "tokens.test"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry:
    """What is in the registry, and which paths it was asked for; a private repository gives nobody a token.

    After `limit` manifests it answers as docker.io does to who has asked too often.
    """

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.private: set[str] = set()
        self.asked: list[str] = []
        self.limit: int | None = None
        self.port = 0

    def add(self, repository: str, tag: str, *platforms: str) -> str:
        """Add an image for one platform, or an index of several, and give the digest that the tag means."""
        made = [self._image(repository, platform) for platform in platforms or ("amd64",)]
        if not platforms:
            return self._put(f"/v2/{repository}/manifests/", self.content[made[0]], tag)
        entries = [
            {"digest": place.rpartition("/")[2], "platform": {"os": "linux", "architecture": platform}}
            for place, platform in zip(made, platforms, strict=True)
        ]
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        return self._put(f"/v2/{repository}/manifests/", index, tag)

    def reference(self, repository: str, tag: str) -> str:
        return f"{NAME}:{self.port}/{repository}:{tag}"

    def spend(self) -> bool:
        """Tell whether one more manifest is to be had, and take it off."""
        self.limit = (self.limit or 0) - 1
        return self.limit >= 0

    def _image(self, repository: str, platform: str) -> str:
        config, layer = json.dumps({"architecture": platform}).encode(), f"layer of {repository} {platform}".encode()
        for blob in (config, layer):
            self.content[f"/v2/{repository}/blobs/{sha256(blob)}"] = blob
        parts = {"config": {"digest": sha256(config)}, "layers": [{"digest": sha256(layer)}]}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **parts}).encode()
        return f"/v2/{repository}/manifests/{self._put(f'/v2/{repository}/manifests/', manifest)}"

    def _put(self, place: str, content: bytes, *tags: str) -> str:
        for name in (sha256(content), *tags):
            self.content[place + name] = content
        return sha256(content)


def _handler(registry: Registry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            registry.asked.append(self.path)
            parts = urlsplit(self.path)
            if parts.path == "/token":
                scope = parse_qs(parts.query)["scope"][0]
                is_private = scope.split(":")[1] in registry.private
                self.answer(401 if is_private else 200, json.dumps({"token": f"for {scope}"}).encode())
                return
            scope = f"repository:{parts.path.removeprefix('/v2/').rsplit('/', 2)[0]}:pull"
            if self.headers.get("Authorization") != f"Bearer for {scope}":
                realm = f"https://{TOKENS}:{registry.port}/token"
                challenge = f'Bearer realm="{realm}",service="registry",scope="{scope}"'
                self.answer(401, b"{}", {"WWW-Authenticate": challenge})
            elif registry.limit is not None and not registry.spend():
                self.answer(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]}')
            elif parts.path not in registry.content:
                self.answer(404, b"{}")
            else:
                self.answer(200, registry.content[parts.path])

        def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def serving(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Serve a registry under its name on this machine, trusted by everything that trusts public authorities."""
    authority = Authority(directory / "authority")
    certificate, key = authority.issue([NAME, TOKENS])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    registry = Registry()
    resolve = socket.getaddrinfo

    def here(host: Any, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if str(host).endswith(".test") else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate_file))
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(registry)) as listening:
        listening.daemon_threads = True
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        registry.port = listening.server_port
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield registry
        finally:
            listening.shutdown()
            thread.join()
