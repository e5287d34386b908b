"""An object store in memory, on a clock of others: as much of S3 as a launch and its nodes ask of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from fnmatch import fnmatchcase
from hashlib import md5
from xml.sax.saxutils import escape

from generator.lab.webserver import Call, Reply

PAGE = 1000
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html (`max-keys`)"""
NOTHING = {
    "policy": "NoSuchBucketPolicy",
    "cors": "NoSuchCORSConfiguration",
    "lifecycle": "NoSuchLifecycleConfiguration",
}
"""Settings that a bucket may have, and what is said where it has none."""
PLAIN = {
    "versioning": "<VersioningConfiguration/>",
    "acl": "<AccessControlPolicy><Owner><ID>us</ID></Owner><AccessControlList/></AccessControlPolicy>",
}


@dataclass(frozen=True)
class Kept:
    """One object; `modified` is in seconds since 1970."""

    body: bytes
    modified: float
    facts: Mapping[str, str]


@dataclass
class Bucket:
    """What one bucket holds, and what it is set to."""

    objects: dict[str, Kept] = field(default_factory=dict)
    settings: dict[str, bytes] = field(default_factory=dict)


class Store:
    """Some buckets of one owner. Whoever signs is believed to be them; anyone reads what a bucket's policy says."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.RLock()
        self.buckets: dict[str, Bucket] = {}

    def respond(self, call: Call) -> Reply:
        """Answer one request."""
        name, _, key = call.path.removeprefix("/").partition("/")
        with self._lock:
            if call.method == "PUT" and not key and not call.query and _is_signed(call):
                self.buckets.setdefault(name, Bucket())
                return Reply(200)
            bucket = self.buckets.get(name)
            if bucket is None:
                return _error(404, "NoSuchBucket")
            if not _is_signed(call) and not (call.method == "GET" and _is_public(bucket, f"{name}/{key}")):
                return _error(403, "AccessDenied")
            return self._object(bucket, key, call) if key else self._bucket(bucket, call)

    def _bucket(self, bucket: Bucket, call: Call) -> Reply:
        if call.method == "HEAD":
            return Reply(200)
        if "list-type" in call.query:
            return _page(bucket, call.query)
        what = next(one for one in (*NOTHING, *PLAIN) if one in call.query)
        if what in PLAIN:
            return Reply(200, PLAIN[what].encode())
        if call.method == "PUT":
            bucket.settings[what] = call.body
            return Reply(200)
        if call.method == "DELETE":
            bucket.settings.pop(what, None)
            return Reply(204)
        return Reply(200, bucket.settings[what]) if what in bucket.settings else _error(404, NOTHING[what])

    def _object(self, bucket: Bucket, key: str, call: Call) -> Reply:
        kept = bucket.objects.get(key)
        if call.method == "PUT":
            if kept is not None and "if-none-match" in call.headers:
                return _error(412, "PreconditionFailed")
            start = "x-amz-meta-"
            facts = {name: value for name, value in call.headers.items() if name.startswith(start)}
            bucket.objects[key] = Kept(call.body, self._now(), facts)
            return Reply(200, b"", {"ETag": _tag(call.body)})
        if call.method == "DELETE":
            bucket.objects.pop(key, None)
            return Reply(204)
        if kept is None:
            return _error(404, "NoSuchKey")
        modified = format_datetime(datetime.fromtimestamp(kept.modified, UTC), usegmt=True)
        return Reply(200, kept.body, {"ETag": _tag(kept.body), "Last-Modified": modified, **kept.facts})


def _is_signed(call: Call) -> bool:
    return "authorization" in call.headers or "X-Amz-Signature" in call.query


def _is_public(bucket: Bucket, place: str) -> bool:
    statements = json.loads(bucket.settings.get("policy", b"{}")).get("Statement", ())
    resources = [one["Resource"] for one in statements if one["Effect"] == "Allow" and one["Action"] == "s3:GetObject"]
    flat = [each for one in resources for each in ([one] if isinstance(one, str) else one)]
    return any(fnmatchcase(f"arn:aws:s3:::{place}", each) for each in flat)


def _page(bucket: Bucket, query: Mapping[str, str]) -> Reply:
    after = query.get("continuation-token", "")
    keys = sorted(key for key in bucket.objects if key.startswith(query.get("prefix", "")) and key > after)
    shown = keys[:PAGE]
    more = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if len(keys) > PAGE else ""
    contents = "".join(_entry(key, bucket.objects[key]) for key in shown)
    truncated = "true" if more else "false"
    text = f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{more}{contents}</ListBucketResult>"
    return Reply(200, text.encode())


def _entry(key: str, kept: Kept) -> str:
    modified = datetime.fromtimestamp(kept.modified, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{modified}</LastModified>"
        f"<ETag>{escape(_tag(kept.body))}</ETag><Size>{len(kept.body)}</Size></Contents>"
    )


def _tag(body: bytes) -> str:
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'


def _error(status: int, code: str) -> Reply:
    return Reply(status, f"<Error><Code>{code}</Code><Message/></Error>".encode())
