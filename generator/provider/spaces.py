"""Speaks to Spaces: the bucket, its policy, and objects below a cluster's prefix; the only module that imports boto3.

Source: https://docs.digitalocean.com/reference/api/spaces/ (an S3 dialect)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from generator import bounded
from generator.errors import Problem
from generator.provider.connection import SPACES_KEY_ID, Connection

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LONGEST_URL = timedelta(hours=2)
LIMIT_BYTES = 64 * 1024 * 1024
MISSING = ("404", "NoSuchBucket", "NoSuchKey", "NoSuchBucketPolicy", "NotFound")


@dataclass(frozen=True)
class Stored:
    """One object as a list shows it; `modified` is the time by the store's clock."""

    key: str
    size: int
    modified: datetime


class Trouble(Problem):
    """Spaces said no, said nothing, or the bucket is one that can't be used."""


class Spaces:
    """One bucket, in path style, so that bucket names need no certificate of their own."""

    def __init__(self, connection: Connection, *, bucket: str, region: str) -> None:
        self._connection = connection
        self.bucket = bucket
        self.region = region
        self._endpoint = connection.spaces_endpoint.format(region=region).rstrip("/")

    @cached_property
    def _client(self) -> S3Client:
        import boto3  # slow to import, and most verbs need no store
        import botocore.session
        from botocore.config import Config

        # Profiles and files of the user's other tools say nothing about this account.
        core = botocore.session.Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": (None, None, os.devnull, None),
                "credentials_file": (None, None, os.devnull, None),
            }
        )
        proxies = {"http": self._connection.proxy, "https": self._connection.proxy} if self._connection.proxy else None
        return boto3.session.Session(botocore_session=core).client(
            "s3",
            region_name=self.region,
            endpoint_url=self._endpoint,
            aws_access_key_id=self._connection.spaces_key_id,
            aws_secret_access_key=self._connection.spaces_secret,
            verify=str(self._connection.ca_file) if self._connection.ca_file else None,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"mode": "standard", "max_attempts": 5},
                connect_timeout=10,
                read_timeout=60,
                proxies=proxies,
            ),
        )

    def bucket_exists(self) -> bool:
        """Tell whether the bucket is there and ours.

        Raises:
            Trouble: it belongs to someone else, the key is refused, or it keeps old versions of objects.
        """
        with self._errors(*MISSING) as missing:
            self._client.head_bucket(Bucket=self.bucket)
        if missing:
            return False
        with self._errors():
            versioning = self._client.get_bucket_versioning(Bucket=self.bucket).get("Status")
        if versioning:
            raise Trouble(
                f"the bucket keeps old versions of its objects (versioning is {versioning.lower()})",
                where=f"bucket {self.bucket}",
                hint="deleted bundles would stay readable; name another bucket in `spaces.bucket`",
            )
        return True

    def create_bucket(self) -> None:
        """Make the bucket; one that became ours meanwhile is as good."""
        with self._errors():
            try:
                self._client.create_bucket(Bucket=self.bucket)
            except self._client.exceptions.BucketAlreadyOwnedByYou:
                return
            except self._client.exceptions.BucketAlreadyExists as error:
                raise Problem(
                    "the name is taken by another account", where=f"bucket {self.bucket}", hint="choose another name"
                ) from error

    def public_prefixes(self) -> tuple[str, ...]:
        """List the prefixes that anyone may read, as far as statements of this program say so."""
        return tuple(prefix for statement in self._statements() if (prefix := self._granted(statement)))

    def allow_public_read(self, prefix: str) -> None:
        """Let anyone read objects below a prefix, keeping every other statement of the bucket's policy."""
        cluster = prefix.split("/", 1)[0]
        # A Sid is unique within a policy and holds letters and digits only; a cluster's name may hold dashes.
        statement = {
            "Sid": f"HardwayPublicRead{sha256(cluster.encode()).hexdigest()[:16]}",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{self.bucket}/{prefix}/*",
        }
        self._put_statements([*self._foreign_statements(cluster), statement])

    def withdraw_public_read(self, cluster: str) -> None:
        """Take back what was allowed for a cluster, keeping every other statement."""
        before = self._statements()
        after = self._foreign_statements(cluster)
        if len(after) != len(before):
            self._put_statements(after)

    def put(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str = "application/octet-stream",
        facts: Mapping[str, str] | None = None,
        only_new: bool = False,
    ) -> bool:
        """Write an object; False when only a new one was wanted and another's is there.

        Args:
            facts: small public facts kept beside the object.
        """
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if only_new else {}
        with self._errors("PreconditionFailed", "412", "ConditionalRequestConflict") as taken:
            self._client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                CacheControl="no-store",
                Metadata=dict(facts or {}),
                **condition,
            )
        # An answer that was lost is asked for again by the client, which then meets its own first attempt.
        return not taken or self.get(key) == body

    def get(self, key: str, *, limit_bytes: int = LIMIT_BYTES) -> bytes | None:
        """Read an object; None when there is none.

        Raises:
            Trouble: it is longer than anything that is meant there, or comes without end.
        """
        with self._errors(*MISSING):
            body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
            try:
                return bounded.read(body.read, limit_bytes=limit_bytes)
            except bounded.TooMuch as error:
                hint = "look at who put it there, and delete it"
                raise Trouble(f"is no object of ours: {error}", where=f"{self.bucket}/{key}", hint=hint) from error
            finally:
                body.close()
        return None

    def facts(self, key: str) -> Mapping[str, str] | None:
        """Read the facts kept beside an object; None when there is none."""
        with self._errors(*MISSING):
            return self._client.head_object(Bucket=self.bucket, Key=key)["Metadata"]
        return None

    def objects(self, prefix: str) -> tuple[Stored, ...]:
        """List all objects below a prefix; none when there is no bucket."""
        found: list[Stored] = []
        with self._errors(*MISSING):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for entry in page.get("Contents", ()):
                    modified = entry["LastModified"].astimezone(UTC)
                    found.append(Stored(entry["Key"], entry["Size"], modified))
        return tuple(found)

    def delete(self, key: str) -> None:
        """Delete an object, if it is there; one at a time, as the dialect's bulk form wants an obsolete checksum."""
        with self._errors(*MISSING):
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def url(self, key: str) -> str:
        """Give the address of an object, for whoever may read it without a signature."""
        return f"{self._endpoint}/{self.bucket}/{quote(key)}"

    def presign_get(self, key: str, lifetime: timedelta) -> str:
        """Sign an address that reads one object."""
        return self._presign("get_object", key, lifetime)

    def presign_put(self, key: str, lifetime: timedelta) -> str:
        """Sign an address that writes one object."""
        return self._presign("put_object", key, lifetime)

    def _presign(self, operation: str, key: str, lifetime: timedelta) -> str:
        if not timedelta() < lifetime <= LONGEST_URL:
            raise ValueError(f"{lifetime} is no lifetime of a signed address")
        parameters = {"Bucket": self.bucket, "Key": key}
        return self._client.generate_presigned_url(operation, parameters, ExpiresIn=int(lifetime.total_seconds()))

    def _statements(self) -> list[dict[str, Any]]:
        with self._errors(*MISSING):
            text = self._client.get_bucket_policy(Bucket=self.bucket)["Policy"]
            statements = json.loads(text).get("Statement", [])
            return statements if isinstance(statements, list) else [statements]
        return []

    def _put_statements(self, statements: list[dict[str, Any]]) -> None:
        with self._errors(*MISSING if not statements else ()):
            if statements:
                policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
                self._client.put_bucket_policy(Bucket=self.bucket, Policy=policy)
            else:
                self._client.delete_bucket_policy(Bucket=self.bucket)

    def _foreign_statements(self, cluster: str) -> list[dict[str, Any]]:
        ours = f"{cluster}/"
        return [one for one in self._statements() if not (self._granted(one) or "").startswith(ours)]

    def _granted(self, statement: Mapping[str, Any]) -> str | None:
        """Give the prefix of a statement that `allow_public_read` made."""
        start, end = f"arn:aws:s3:::{self.bucket}/", "/*"
        resource = statement.get("Resource")
        resource = resource[0] if isinstance(resource, list) and len(resource) == 1 else resource
        if not isinstance(resource, str) or not resource.startswith(start) or not resource.endswith(end):
            return None
        return resource.removeprefix(start).removesuffix(end) if statement.get("Effect") == "Allow" else None

    @contextmanager
    def _errors(self, *expected: str) -> Iterator[list[str]]:
        """Turn errors into problems; what is expected is swallowed, and noted in the list given."""
        from botocore.exceptions import BotoCoreError, ClientError

        noted: list[str] = []
        try:
            yield noted
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code not in expected:
                raise self._problem(code, str(error.response.get("Error", {}).get("Message", ""))) from error
            noted.append(code)
        except BotoCoreError as error:
            raise Trouble(f"Spaces can't be reached: {error}", where=f"bucket {self.bucket}") from error

    def _problem(self, code: str, message: str) -> Trouble:
        hint = None
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "403"):
            hint = f"is `{SPACES_KEY_ID}` right, with full access, and does the bucket's name belong to this account?"
        return Trouble(f"Spaces answered {code}: {message or 'nothing more'}", where=f"bucket {self.bucket}", hint=hint)
