"""Writes into the bucket for what outlives all nodes, with the one key that this cluster has for it.

Requests are signed as the S3 dialect wants it, version 4.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from hardway import fetch, here, sealed
from hardway.here import Failure

LABEL = "hardway-state-access-v1"
WHAT = "the way to the bucket for snapshots"
ALGORITHM = "AWS4-HMAC-SHA256"
PUT_SECONDS = 1800.0


@dataclass(frozen=True)
class Bucket:
    """Where it is, what the cluster's objects begin with there, and the key for it."""

    endpoint: str
    region: str
    bucket: str
    prefix: str
    key_id: str
    secret: str = field(repr=False)

    def put(self, name: str, content: bytes | Path, sha256: str) -> None:
        """Write one object below the cluster's prefix, a small one or a file.

        Raises:
            Failure: the store does not take it.
        """
        url = f"{self.endpoint}/{self.bucket}/{quote(self.prefix + name)}"
        headers = self.signed("PUT", url, sha256, datetime.now(UTC))
        if isinstance(content, bytes):
            status, said, _ = fetch.ask(url, content, "PUT", headers)
        else:
            headers["Content-Length"] = str(content.stat().st_size)
            with content.open("rb") as file:
                status, said, _ = fetch.ask(url, file, "PUT", headers, seconds=PUT_SECONDS)
        if status != 200:
            code = said.decode(errors="replace").partition("<Code>")[2].partition("</Code>")[0][:60]
            raise Failure(f"the bucket {self.bucket} does not take {name}: answer {status} {code}".rstrip())

    def signed(self, method: str, url: str, sha256: str, now: datetime) -> dict[str, str]:
        """Give the headers that sign a request whose body has this digest."""
        where, day, stamp = urlsplit(url), f"{now:%Y%m%d}", f"{now:%Y%m%dT%H%M%SZ}"
        headers = {"host": where.netloc, "x-amz-content-sha256": sha256, "x-amz-date": stamp}
        listed = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        request = f"{method}\n{where.path}\n{where.query}\n{lines}\n{listed}\n{sha256}"
        scope = f"{day}/{self.region}/s3/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{self.secret}".encode()
        for part in (*scope.split("/"), f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}"):
            key = hmac.digest(key, part.encode(), "sha256")
        credential = f"{ALGORITHM} Credential={self.key_id}/{scope}, SignedHeaders={listed}, Signature={key.hex()}"
        del headers["host"]
        return {**headers, "Authorization": credential, "Content-Type": "application/octet-stream"}


def find() -> Bucket:
    """Give the bucket as the roster's sealed word has it.

    Raises:
        Failure: there is none yet, or it can't be had.
    """
    digest = (here.read(here.ROSTER) or {}).get("state_access")
    if not digest:
        raise Failure("the roster names no way to a bucket for snapshots yet")
    found: dict[str, Any] = sealed.opened(LABEL, digest, "access", WHAT)
    return Bucket(**{name: str(found[name]) for name in Bucket.__dataclass_fields__})
