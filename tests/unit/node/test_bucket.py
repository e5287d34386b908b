"""Requests to the bucket for snapshots: signed as the S3 dialect's own client signs them, and refusals in words."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hardway import bucket
from hardway.bucket import Bucket
from hardway.here import Failure

from .conftest import Answer, Store

NOW = datetime(2026, 11, 28, 2, 10, 18, tzinfo=UTC)
KEY, SECRET = "DO00TESTTESTTESTTEST", "s3cr3t+/"


@pytest.mark.parametrize("name", ["etcd/20261128T021018Z-node01.age", "etcd/a name+with=odd~signs", "etcd/ü"])
def test_it_is_the_signature_of_the_dialect_s_own_client(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Bucket("https://fra1.digitaloceanspaces.com", "fra1", "b-state", "orderbook/", KEY, SECRET)
    url = f"{found.endpoint}/{found.bucket}/{bucket.quote(found.prefix + name)}"
    digest = sha256(b"content").hexdigest()
    ours = found.signed("PUT", url, digest, NOW)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    request = botocore.awsrequest.AWSRequest("PUT", url, {"x-amz-content-sha256": digest}, b"content")
    credentials = botocore.credentials.Credentials(KEY, SECRET)
    botocore.auth.S3SigV4Auth(credentials, "s3", "fra1").add_auth(request)
    assert ours["Authorization"] == request.headers["Authorization"]
    assert SECRET not in repr(found)


def test_small_ones_and_files_arrive_whole(store: Store, tmp_path: Path) -> None:
    found = Bucket(store.url, "fra1", "b", "c/", KEY, SECRET)
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 5000)
    store.answers |= {"/b/c/etcd/x.age": Answer(), "/b/c/etcd/x.json": Answer()}
    found.put("etcd/x.age", file, sha256(file.read_bytes()).hexdigest())
    found.put("etcd/x.json", b"{}", sha256(b"{}").hexdigest())
    assert [body for *_, body in store.requests] == [file.read_bytes(), b"{}"]


def test_a_refusal_says_what_and_why_and_nothing_secret(store: Store) -> None:
    found = Bucket(store.url, "fra1", "b", "c/", KEY, SECRET)
    store.answers["/b/c/x"] = Answer(b"<Error><Code>AccessDenied</Code></Error>", 403)
    with pytest.raises(Failure) as refused:
        found.put("x", b"", sha256(b"").hexdigest())
    assert str(refused.value) == "the bucket b does not take x: answer 403 AccessDenied"


def test_without_a_way_there_is_none(facts: object) -> None:
    with pytest.raises(Failure, match="names no way to a bucket"):
        bucket.find()
