"""Behind the lab's front every host answers under its own name: real boto3, redirects, tokens, ranges, outages."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from generator.lab.content import images
from generator.lab.content.archive import Member
from generator.lab.content.cache import Cache
from generator.lab.content.images import Settings
from generator.lab.services import front, programs
from generator.lab.services.authority import Authority
from generator.lab.services.children import Child, Program
from generator.lab.services.front import Front
from generator.lab.services.hosts import Hosts
from generator.lab.services.proxy import Address, Relay, proxy
from generator.lab.services.registry_token import TokenService
from generator.lab.webserver import Reply, Server, tcp_listener, unix_listener

KEYS = ("DO00CONTRACTTESTKEYS", "contract-secret")
BUCKET = "orderbook-hardway"
ETCD = "https://github.com/etcd-io/etcd/releases/download/v3.6.14/etcd-v3.6.14-linux-amd64.tar.gz"
KUBELET = "https://dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubelet"
PACKAGE = "https://deb.debian.org/debian/pool/main/g/gcc/libstdc%2B%2B6_14.2.0-19~deb13_amd64.deb"
CONTENT = bytes(range(256)) * 400


def tool(name: str) -> Path:
    """Find a program of the lab: in its cache, where builds leave it, or on PATH."""
    if name == "nginx":
        found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    else:
        cached = sorted((Cache.default().directory / "tools").glob(f"*/{name}"), key=lambda path: path.stat().st_mtime)
        found = str(cached[-1]) if cached else shutil.which(name)
    if not found:
        message = f"{name} is missing: `gen lab build` and scripts/setup bring it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return Path(found)


@dataclass(frozen=True)
class Lab:
    proxy: str
    authority: Path
    stopped: Path
    image: str
    directory: Path

    def http(self) -> urllib3.ProxyManager:
        retries = urllib3.Retry(3, connect=0, read=0, status=0, other=0)
        return urllib3.ProxyManager(self.proxy, ca_certs=str(self.authority), retries=retries, timeout=10)

    def s3(self, secret: str = KEYS[1], region: str = "fra1", style: str = "path") -> Any:
        return boto3.client(
            "s3",
            region_name=region,
            endpoint_url="https://fra1.digitaloceanspaces.com",
            aws_access_key_id=KEYS[0],
            aws_secret_access_key=secret,
            verify=str(self.authority),
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": style},
                proxies={"https": self.proxy},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"mode": "standard", "total_max_attempts": 1},
            ),
        )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    directory = tmp_path_factory.mktemp("l")
    for name in ("nginx", "versitygw", "registry"):
        tool(name)
    sockets, stopped = directory / "s", directory / "stopped"
    for path in (sockets, stopped, directory / "front"):
        path.mkdir()
    content = directory / "content"
    content.write_bytes(CONTENT)
    downloads = directory / "downloads"
    front.link_downloads(downloads, {ETCD: content, KUBELET: content, PACKAGE: content})
    image, storage = _registries(directory)
    authority = Authority(directory / "authority")
    hosts = Hosts.of(["github.com", "dl.k8s.io", "deb.debian.org", "docker.io", "registry.k8s.io"])
    certificate, key = authority.issue(hosts.certificate_names)
    listener = tcp_listener("127.0.0.1", 0)
    port = listener.getsockname()[1]
    plain = tcp_listener("127.0.0.1", 0)
    plain_port = plain.getsockname()[1]
    listener.close()
    plain.close()
    configuration = front.configuration(
        Front(
            address="127.0.0.1",
            port=port,
            plain_port=plain_port,
            certificate=certificate,
            key=key,
            hosts=hosts,
            downloads=downloads,
            storage=storage,
            regions=("fra1",),
            sockets=sockets,
            stopped=stopped,
            work=directory / "front",
            log=directory / "front.jsonl",
        )
    )
    wanted: list[Program] = [
        programs.front(configuration, directory / "front"),
        programs.spaces(tool("versitygw"), "fra1", KEYS, directory / "spaces", sockets),
        *(programs.registry(tool("registry"), name, storage[name], directory / name, sockets) for name in storage),
    ]
    children = [Child(replace(program, listens=None), directory / f"{program.name}.log") for program in wanted]
    echo = Server(unix_listener(sockets / "api.sock"), lambda call: Reply(200, json.dumps(call.path).encode()))
    tokens = Server(unix_listener(sockets / "token.sock"), TokenService().respond)

    def connect(address: Address) -> socket.socket:
        return socket.create_connection((address[0], port if address[1] == 443 else plain_port), 10)

    relay = Relay(
        tcp_listener("127.0.0.1", 0), proxy(lambda host: "127.0.0.1" if hosts.is_known(host) else None, connect)
    )
    try:
        for child in children:
            child.start()
        for child in children:
            child.await_ready()
        _await_port(port)
        yield Lab(f"http://127.0.0.1:{relay.port}", authority.certificate_file, stopped, image, directory)
    finally:
        relay.close()
        for child in children:
            child.stop()
        echo.close()
        tokens.close()


def _registries(directory: Path) -> tuple[str, dict[str, Path]]:
    cache = Cache(directory / "cache")
    layer = directory / "hello"
    layer.write_bytes(b"hello\n" * 1000)
    image = images.make(cache, "hello", [Member("hello", layer)], Settings(["/hello"], "65532:65532"))
    storage = {name: directory / "storage" / name for name in ("docker.io", "registry.k8s.io")}
    images.lay_out(cache, storage["docker.io"], "library/hello", "1", image)
    images.lay_out(cache, storage["registry.k8s.io"], "hello", "1", image)
    return image, storage


def _await_port(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
    raise AssertionError("the front does not listen")


def test_the_api_answers_under_its_name_and_strangers_do_not(lab: Lab) -> None:
    answer = lab.http().request("GET", "https://api.digitalocean.com/v2/account")
    assert json.loads(answer.data) == "/v2/account"
    with pytest.raises(urllib3.exceptions.HTTPError, match="403"):
        lab.http().request("GET", "https://example.com/")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (ETCD, "https://release-assets.githubusercontent.com/github-production-release-asset/etcd-io/etcd/"),
        (KUBELET, "https://cdn.dl.k8s.io/release/v1.36.4/"),
        (PACKAGE, None),
    ],
)
def test_downloads_come_from_their_upstream_addresses(lab: Lab, url: str, target: str | None) -> None:
    first = lab.http().request("GET", url, redirect=False)
    if target:
        assert first.status == 302
        assert first.headers["location"].startswith(target)
    assert lab.http().request("GET", url).data == CONTENT
    part = lab.http().request("GET", url, headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.data) == (206, CONTENT[1000:2000])
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(CONTENT)}"
    assert lab.http().request("GET", f"{url}.sig").status == 404


def test_an_outage_of_the_downloads_is_a_switch(lab: Lab) -> None:
    (lab.stopped / "downloads").touch()
    assert [lab.http().request("GET", url, redirect=False).status for url in (ETCD, KUBELET, PACKAGE)] == [503] * 3
    (lab.stopped / "downloads").unlink()
    assert lab.http().request("GET", PACKAGE).status == 200


def test_docker_io_asks_for_a_token_and_redirects_blobs(lab: Lab) -> None:
    http = lab.http()
    base = "https://registry-1.docker.io/v2"
    refused = http.request("GET", f"{base}/library/hello/manifests/1")
    assert refused.status == 401
    assert refused.headers["www-authenticate"] == (
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/hello:pull"'
    )
    fields = {"service": "registry.docker.io", "scope": "repository:library/hello:pull"}
    token = json.loads(http.request("GET", "https://auth.docker.io/token", fields=fields).data)["token"]
    accept = {"Accept": images.MANIFEST, "Authorization": f"Bearer {token}"}
    answer = http.request("GET", f"{base}/library/hello/manifests/1", headers=accept)
    assert answer.headers["docker-content-digest"] == lab.image
    blob = json.loads(answer.data)["layers"][0]["digest"]
    assert http.request("GET", f"{base}/library/hello/blobs/{blob}").status == 401
    sent = http.request("GET", f"{base}/library/hello/blobs/{blob}", headers=accept, redirect=False)
    assert sent.status == 307
    assert sent.headers["location"].startswith("https://production.cloudflare.docker.com/registry-v2/")
    assert http.request("GET", sent.headers["location"]).status == 200
    assert http.request("GET", f"{base}/library/other/manifests/1", headers=accept).status == 401
    forged = token[:-1] + ("0" if token[-1] != "0" else "1")
    assert http.request("GET", f"{base}/", headers={"Authorization": f"Bearer {forged}"}).status == 401


def test_registry_k8s_io_redirects_blobs_and_repositories_are_apart_by_host(lab: Lab) -> None:
    http = lab.http()
    base = "https://registry.k8s.io/v2/hello"
    answer = http.request("GET", f"{base}/manifests/{lab.image}", headers={"Accept": images.MANIFEST})
    manifest = json.loads(answer.data)
    for blob in (manifest["config"], *manifest["layers"]):
        sent = http.request("HEAD", f"{base}/blobs/{blob['digest']}", redirect=False)
        assert "amazonaws.com/containers/images/sha256:" in sent.headers["location"]
        assert len(http.request("GET", f"{base}/blobs/{blob['digest']}").data) == blob["size"]
    assert http.request("GET", "https://registry.k8s.io/v2/library/hello/manifests/1").status == 404
    assert http.request("GET", f"{base}/blobs/sha256:{'0' * 64}").status == 404
    assert http.request("POST", f"{base}/blobs/uploads/").status in (403, 404, 405)
    assert http.request("GET", "https://quay.io/v2/").status == 404


def test_a_bucket_lives_as_in_spaces(lab: Lab) -> None:
    s3 = lab.s3()
    assert _code(lambda: s3.head_bucket(Bucket=BUCKET)) == (404, "404")
    s3.create_bucket(Bucket=BUCKET)
    assert "Status" not in s3.get_bucket_versioning(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="c/bundles/x", Body=b"sealed")
    s3.put_object(Bucket=BUCKET, Key="c/lock", Body=b"one", IfNoneMatch="*")
    again = _code(lambda: s3.put_object(Bucket=BUCKET, Key="c/lock", Body=b"two", IfNoneMatch="*"))
    assert again == (412, "PreconditionFailed")
    assert _code(lambda: lab.s3(secret="wrong").head_bucket(Bucket=BUCKET))[0] == 403
    assert _code(lambda: lab.s3(secret="wrong").list_objects_v2(Bucket=BUCKET)) == (403, "SignatureDoesNotMatch")
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="c/")["Contents"]]
    assert keys == ["c/bundles/x", "c/lock"]
    assert [entry["Key"] for entry in lab.s3(style="virtual").list_objects_v2(Bucket=BUCKET)["Contents"]] == keys
    assert _code(lambda: s3.delete_bucket(Bucket=BUCKET)) == (409, "BucketNotEmpty")
    s3.create_bucket(Bucket="keeps-versions")
    s3.put_bucket_versioning(Bucket="keeps-versions", VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket="keeps-versions")["Status"] == "Enabled"
    for key in keys:
        s3.delete_object(Bucket=BUCKET, Key=key)
    for bucket in (BUCKET, "keeps-versions"):
        s3.delete_bucket(Bucket=bucket)


def test_anyone_may_read_what_the_policy_names_and_nothing_else(lab: Lab) -> None:
    s3, http = lab.s3(), lab.http()
    s3.create_bucket(Bucket=BUCKET)
    statement = {
        "Sid": "HardwayPublicRead",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/c/0123/public/*",
    }
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    s3.put_object(Bucket=BUCKET, Key="c/0123/public/roster.json", Body=b"{}")
    s3.put_object(Bucket=BUCKET, Key="c/status/node01.json", Body=b"{}")
    base = f"https://fra1.digitaloceanspaces.com/{BUCKET}"
    assert http.request("GET", f"{base}/c/0123/public/roster.json").data == b"{}"
    assert http.request("GET", f"{base}/c/0123/public/none").status in (403, 404)
    for path in ("c/status/node01.json", "", "?list-type=2", "?policy"):
        assert http.request("GET", f"{base}/{path}").status == 403, path
    assert http.request("PUT", f"{base}/c/0123/public/roster.json", body=b"x").status == 403
    for key in ("c/0123/public/roster.json", "c/status/node01.json"):
        s3.delete_object(Bucket=BUCKET, Key=key)
    s3.delete_bucket(Bucket=BUCKET)


def test_presigned_addresses_work_until_they_expire(lab: Lab) -> None:
    s3, http = lab.s3(), lab.http()
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="b", Body=b"sealed")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "b"}, ExpiresIn=60)
    assert url.startswith("https://fra1.digitaloceanspaces.com/")
    assert http.request("GET", url).data == b"sealed"
    assert http.request("GET", url[:-1] + ("0" if url[-1] != "0" else "1")).status == 403
    assert http.request("PUT", url, body=b"other").status == 403
    put = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "status"}, ExpiresIn=60)
    assert http.request("PUT", put, body=b"{}", headers={"Content-Type": "application/json"}).status == 200
    assert http.request("PUT", put, body=b"{1}").status == 200
    assert s3.get_object(Bucket=BUCKET, Key="status")["Body"].read() == b"{1}"
    # the signature holds for the time it was made at, so a URL made in the past needs no waiting
    old = url.replace("X-Amz-Expires=60", "X-Amz-Expires=0")
    assert http.request("GET", old).status in (400, 403)
    long = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "b"}, ExpiresIn=604_801)
    assert http.request("GET", long).status in (400, 403)
    for key in ("b", "status"):
        s3.delete_object(Bucket=BUCKET, Key=key)
    s3.delete_bucket(Bucket=BUCKET)


def test_no_log_of_the_lab_holds_a_signature(lab: Lab) -> None:
    text = "".join(path.read_text(errors="replace") for path in lab.directory.glob("*") if path.is_file())
    assert '"path":"/orderbook-hardway/b"' in text
    assert "X-Amz" not in text
    assert KEYS[1] not in text


def _code(call: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]
