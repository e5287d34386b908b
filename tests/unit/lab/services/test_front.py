"""What the lab answers for, what it hands out for it, and what its names are."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest

from generator.errors import Problems
from generator.lab.services import programs
from generator.lab.services.authority import Authority
from generator.lab.services.hosts import Hosts
from generator.lab.services.registry_token import CHECK_PATH, LIFETIME_SECONDS, TokenService
from generator.lab.unkindness import KIND, Unkindness, adjust
from generator.lab.webserver import Call

LOCK = ["dl.k8s.io", "github.com", "deb.debian.org", "docker.io", "registry.k8s.io"]


def test_hosts_of_the_lock_the_provider_and_the_registries_are_known_and_no_others() -> None:
    hosts = Hosts.of(LOCK)
    assert hosts.downloads == ("deb.debian.org", "dl.k8s.io", "github.com")
    for name in (*LOCK, "api.digitalocean.com", "fra1.digitaloceanspaces.com", "b.fra1.digitaloceanspaces.com"):
        assert hosts.is_known(name), name
    for name in ("registry-1.docker.io", "auth.docker.io", "quay.io", "ghcr.io", "cdn.dl.k8s.io"):
        assert hosts.is_known(name), name
    for name in ("example.com", "x.dl.k8s.io", "digitaloceanspaces.com", "a.b.fra1.digitaloceanspaces.com", ""):
        assert not hosts.is_known(name), name


def test_names_are_exact_and_everything_else_does_not_exist() -> None:
    text = programs.dns_configuration(Hosts.of(LOCK))
    assert "host-record=dl.k8s.io,203.0.113.10" in text
    assert "address=/dl.k8s.io" not in text, "that would answer for its subdomains"
    assert "local=/#/" in text
    assert "no-resolv" in text


def test_the_authority_stays_and_signs_for_every_name(tmp_path: Path) -> None:
    hosts = Hosts.of(LOCK)
    authority = Authority(tmp_path / "a")
    before = authority.certificate_file.read_bytes()
    certificate, key = authority.issue(hosts.certificate_names)
    assert Authority(tmp_path / "a").certificate_file.read_bytes() == before
    assert key.stat().st_mode & 0o777 == 0o600
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(authority.certificate_file))
    for name in ("api.digitalocean.com", "bucket.fra1.digitaloceanspaces.com", "registry.k8s.io"):
        _handshake(server, client, name)
    for name in ("example.com", "a.b.fra1.digitaloceanspaces.com"):
        with pytest.raises(ssl.SSLCertVerificationError):
            _handshake(server, client, name)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(one, other, server_hostname=name), server.wrap_bio(other, one, server_side=True)]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                continue


def test_tokens_hold_for_one_repository_and_five_minutes() -> None:
    clock = [1000.0]
    service = TokenService(lambda: clock[0])
    answer = service.respond(Call("GET", "/token", {"scope": "repository:library/postgres:pull"}))
    token = json.loads(answer.body)["token"]

    def check(path: str, given: str = token) -> int:
        headers = {"x-original-uri": path, "authorization": f"Bearer {given}"}
        return service.respond(Call("GET", CHECK_PATH, headers=headers)).status

    assert check("/v2/library/postgres/manifests/17") == 204
    assert check("/v2/library/postgres/blobs/sha256:00?x=1") == 204
    assert check("/v2/") == 204
    assert check("/v2/library/traefik/manifests/17") == 401
    for forged in ("", "x", token[:-1], f"{token}0", token.partition(".")[0] + "."):
        assert check("/v2/", forged) == 401, forged
    clock[0] += LIFETIME_SECONDS
    assert check("/v2/library/postgres/manifests/17") == 401
    assert TokenService().respond(Call("GET", CHECK_PATH)).status == 401


def test_unkindness_is_adjusted_by_name_and_every_mistake_told() -> None:
    moods = adjust(KIND, ["read-lag=2.5", "shuffled_addresses=yes", "seed=7"])
    assert (moods.read_lag, moods.shuffled_addresses, moods.seed, moods.list_lag) == (2.5, True, 7, 0)
    assert adjust(Unkindness(), []) == Unkindness()
    with pytest.raises(Problems) as caught:
        adjust(KIND, ["rudeness=1", "read_lag=much", "shuffled_addresses=1", "droplet_limit=-1"])
    assert [problem.message for problem in caught.value.problems] == [
        "`rudeness` is not an unkindness",
        "`read_lag` is 'much', not a number of 0 or more",
        "`shuffled_addresses` is '1', not yes or no",
        "`droplet_limit` is '-1', not a number of 0 or more",
    ]
