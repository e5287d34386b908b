"""Whatever a server does, each reader of the operator's machine ends in time, within its bytes, in plain words."""

from __future__ import annotations

import concurrent.futures
import gzip
import resource
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3

from generator import deadline
from generator.clock import Clock
from generator.cluster import fleet, kube_api
from generator.cluster.kinds import firewall, ssh_key, tag, vpc
from generator.cluster.kube_api import Credentials, Kube
from generator.cluster.launch_lock import LaunchLock
from generator.errors import Problem, Problems
from generator.lab.services.authority import Authority
from generator.provider import retry, transport
from generator.provider.connection import Connection
from generator.provider.digitalocean import Cloud
from generator.provider.spaces import Spaces
from generator.release import registry
from generator.release.registry import Repository
from tests.hostile import KINDS, OK, Talk, body, drip, pour, say, serving

SECONDS = 0.3
PATIENCE_SECONDS = 12.0
"""For all readers of one client at once, some of which ask several times; a busy machine has its share in it."""
LIMIT_BYTES = 1 << 20
TOKEN = "dop_v1_" + "a" * 64
CANARY = "canary-5d0e"
DIGEST = "sha256:" + "a" * 64


def refusal(content: bytes, endless: bytes = b"") -> bytes:
    """Write a refusal, of a length unless it is endless."""
    length = b"" if endless else b"Content-Length: %d\r\n" % len(content)
    return b"HTTP/1.1 403 No\r\nContent-Type: application/json\r\n" + length + b"\r\n" + (endless or content)


MORE: dict[str, Talk] = {
    "HTML": body(b"<html><body>Please log in</body></html>"),
    "a list": body(b"[]"),
    "a number": body(b"7"),
    "null": body(b"null"),
    "an empty object": body(b"{}"),
    "lists without end": body(b"[" * 100_000),
    "a bomb": say(OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"\0" * (64 << 20))),
    "what can't be decoded": say(OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
    "redirected to another host": say(
        b"HTTP/1.1 307 No\r\nLocation: https://127.0.0.2:1/\r\nContent-Length: 0\r\n\r\n"
    ),
    "to be asked again in ages": say(
        b"HTTP/1.1 429 No\r\nRetry-After: 99999999999999999\r\nContent-Length: 2\r\n\r\n{}"
    ),
    "to be asked again before": say(b"HTTP/1.1 429 No\r\nRetry-After: -5\r\nContent-Length: 2\r\n\r\n{}"),
    "to be asked again at a word": say(b"HTTP/1.1 503 No\r\nRetry-After: soon\r\nContent-Length: 2\r\n\r\n{}"),
    "a refusal that rings": say(refusal(b'{"message":"\\u001b[2J\\u0007"}')),
    "a refusal of much": pour(refusal(b"", b'{"message": "'), b"x" * 65536),
    "a length of too much": say(OK + b"Content-Length: 629145600\r\n\r\n{"),
    "another request": say(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"),
    "another region": say(b"HTTP/1.1 301 No\r\nx-amz-bucket-region: evil.example/\r\nContent-Length: 0\r\n\r\n"),
    "XML entities": body(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
}
ALL = KINDS | MORE

Readers = Mapping[str, Callable[[], object]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def hostile(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Talk], str]]:
    monkeypatch.setattr(transport, "LIMIT_SECONDS", SECONDS)
    monkeypatch.setattr(transport, "LIMIT_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(kube_api, "LIMIT_SECONDS", SECONDS)
    monkeypatch.setattr(kube_api, "LIMIT_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(registry, "LIMIT_SECONDS", SECONDS)
    monkeypatch.setattr(registry, "LIMIT_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(retry, "REPEATS", (1,))
    monkeypatch.setattr(retry, "LOOKS", (1,))
    monkeypatch.setattr(retry, "POSTS", 2)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(["localhost"]))
    with serving(context) as start:
        yield lambda talk: start(talk).replace("127.0.0.1", "localhost")


def cloud(address: str, authority: Authority) -> Readers:
    connection = Connection(
        TOKEN, "key", CANARY, api_endpoint=f"https://{address}", ca_file=Path(authority.certificate_file)
    )

    shared = Cloud(connection, Clock(sleep=lambda _: None))

    def made() -> Cloud:
        return shared

    kinds = {"droplets": fleet, "firewalls": firewall, "keys": ssh_key, "tags": tag, "VPCs": vpc}
    every: dict[str, Callable[[], object]] = {
        "account": lambda: made().account(),
        "count": lambda: made().droplet_count(),
        "sizes": lambda: made().sizes(),
        "image": lambda: made().image_regions("debian"),
    }
    for name, kind in kinds.items():
        found: Any = kind.COLLECTION
        every[f"list {name}"] = lambda found=found: made().list(found)  # type: ignore[misc]
    every |= {
        "find": lambda: made().find(fleet.COLLECTION, 7, "x"),
        "create": lambda: made().create(fleet.COLLECTION, {}, "x", lambda: None),
        "update": lambda: made().update(firewall.COLLECTION, "7", {}, "x"),
        "delete": lambda: made().delete(fleet.COLLECTION, 7, "x"),
    }
    return every


def store(address: str, authority: Authority) -> Readers:
    connection = Connection(
        TOKEN, "key", CANARY, spaces_endpoint=f"https://{address}", ca_file=Path(authority.certificate_file)
    )

    shared = Spaces(connection, bucket="bucket", region="fra1")
    shared.url("key")  # makes the client, before many threads do

    def made() -> Spaces:
        return shared

    return {
        "exists": lambda: made().bucket_exists(),
        "settings": lambda: made().settings(),
        "get": lambda: made().get("key"),
        "facts": lambda: made().facts("key"),
        "objects": lambda: made().objects("prefix"),
        "put": lambda: made().put("key", b"x", content_type="text/plain"),
        "delete": lambda: made().delete("key"),
        "lock": lambda: LaunchLock(made(), "orderbook", Clock(sleep=lambda _: None), print).__enter__(),
    }


def kubernetes(address: str, authority: Authority) -> Readers:
    certificate, key = authority.issue(["client"])
    credentials = Credentials(Path(authority.certificate_file), Path(certificate), Path(key), "localhost")

    def made() -> Kube:
        return Kube("localhost", credentials, None)

    return {
        "ready": lambda: made().ready(),
        "nodes": lambda: made().nodes(),
        "addons": lambda: made().addons(),
        "data": lambda: made().data("/x"),
        "all data": lambda: made().all_data("/x"),
        "token": lambda: made().token("/x", timedelta(hours=1)),
        "create": lambda: made().create("/x", {}),
        "delete": lambda: made().delete("/x"),
    }


def registries(address: str, authority: Authority) -> Readers:
    def made() -> Repository:
        pool = urllib3.PoolManager(retries=False, ssl_context=deadline.context(Path(authority.certificate_file)))
        return Repository(f"{address}/a/b:c", pool)

    return {"by tag": lambda: made().manifest("c"), "by digest": lambda: made().manifest(DIGEST)}


CLIENTS = {"provider": cloud, "store": store, "Kubernetes": kubernetes, "registry": registries}


def outcome(reader: Callable[[], object]) -> str:
    """Read; tell what came: a value, or a problem in plain words."""
    try:
        reader()
    except (Problem, Problems) as problem:
        said = str(problem)
        assert CANARY not in said
        assert TOKEN not in said
        return said
    return "a value"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("kind", ALL)
def test_every_reader_ends(
    hostile: Callable[[Talk], str],
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    client: str,
) -> None:
    address = hostile(ALL[kind])
    monkeypatch.setattr(kube_api, "API_PORT", int(address.partition(":")[2]))
    readers = CLIENTS[client](address, authority)
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with concurrent.futures.ThreadPoolExecutor(len(readers)) as pool:
        futures = {name: pool.submit(outcome, reader) for name, reader in readers.items()}
        ended = {name: future.result(PATIENCE_SECONDS * 4) for name, future in futures.items()}
    assert time.monotonic() - begun < PATIENCE_SECONDS, ended
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 1024, "KiB of memory"


def test_an_answer_in_time_is_taken(hostile: Callable[[Talk], str], authority: Authority) -> None:
    said = b'{"account": {"droplet_limit": 3, "status": "active"}}'
    address = hostile(say(OK + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(said) + said))
    assert outcome(cloud(address, authority)["account"]) == "a value"


def test_what_drips_is_heard_no_longer_than_it_may(authority: Authority) -> None:
    """The socket's own limit starts anew with every byte; the whole's does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(["localhost"]))
    with serving(context) as start:
        address = start(drip(OK, b"X-A: b\r\n")).replace("127.0.0.1", "localhost")
        pool = urllib3.PoolManager(
            ssl_context=deadline.context(Path(authority.certificate_file)), retries=False, timeout=5
        )
        begun = time.monotonic()
        with deadline.within(0.5), pytest.raises(urllib3.exceptions.HTTPError):
            pool.request("GET", f"https://{address}/")
        assert 0.4 < time.monotonic() - begun < 3
