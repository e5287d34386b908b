"""Speaks to Spaces: the bucket, its policy, and objects below a cluster's prefix; the only module that imports boto3.

Source: https://docs.digitalocean.com/reference/api/spaces/ (an S3 dialect)
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import md5
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from generator import bounded
from generator.errors import Problem
from generator.provider.connection import SPACES_KEY_ID, Connection

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LONGEST_URL = timedelta(hours=2)
LIMIT_BYTES = 64 * 1024 * 1024
MISSING = ("404", "NoSuchBucket", "NoSuchKey", "NoSuchBucketPolicy", "NoSuchCORSConfiguration", "NotFound")
NO_RULES = (*MISSING, "NoSuchLifecycleConfiguration")
UNKNOWN = ("NotImplemented", "501")


@dataclass(frozen=True)
class Stored:
    """One object as a list shows it; `modified` is the time by the store's clock, `tag` another for other content."""

    key: str
    size: int
    modified: datetime
    tag: str = ""


@dataclass(frozen=True)
class Settings:
    """What a bucket as a whole is set to, its policy aside.

    `grants` are those of its access list to others than its owner, as grantee and permission; `cors` the origins whose
    pages may ask; `versioning` is empty while it was never switched on.
    """

    grants: tuple[tuple[str, str], ...] = ()
    cors: tuple[str, ...] = ()
    versioning: str = ""


class Trouble(Problem):
    """Spaces said no, said nothing, or the bucket is one that can't be used; `code` is what they said, if anything."""

    code = ""


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

        from generator.provider.transport import sender, stay

        # Profiles and files of the user's other tools say nothing about this account.
        core = botocore.session.Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": (None, None, os.devnull, None),
                "credentials_file": (None, None, os.devnull, None),
            }
        )
        client = boto3.session.Session(botocore_session=core).client(
            "s3",
            region_name=self.region,
            endpoint_url=self._endpoint,
            aws_access_key_id=self._connection.spaces_key_id,
            aws_secret_access_key=self._connection.spaces_secret,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"mode": "standard", "max_attempts": 5},
            ),
        )
        # What this hook gives is taken for the server's answer, which the stubs don't know.
        send: Any = sender(self._connection.proxy, self._connection.ca_file)
        client.meta.events.register("before-send.s3", send)
        client.meta.events.register_last("before-parameter-build.s3", stay)
        client.meta.events.register("before-call.s3.PutBucketLifecycleConfiguration", _with_md5)
        return client

    @property
    def endpoint(self) -> str:
        """Give the address of the region's Spaces."""
        return self._endpoint

    def beside(self, bucket: str) -> Spaces:
        """Give another bucket of the same account and region."""
        return Spaces(self._connection, bucket=bucket, region=self.region)

    def bucket_exists(self) -> bool:
        """Tell whether the bucket is there and ours.

        Raises:
            Trouble: it belongs to someone else, or the key is refused.
        """
        with self._errors(*MISSING) as missing:
            self._client.head_bucket(Bucket=self.bucket)
        return not missing

    def settings(self) -> Settings:
        """Read what the bucket is set to."""
        with self._errors():
            versioning = self._client.get_bucket_versioning(Bucket=self.bucket).get("Status", "")
            access = self._client.get_bucket_acl(Bucket=self.bucket)
        owner = access.get("Owner", {}).get("ID")
        grants = []
        for grant in access.get("Grants", ()):
            grantee = grant.get("Grantee", {})
            name = grantee.get("URI") or grantee.get("ID") or grantee.get("EmailAddress") or "nobody known"
            if grantee.get("Type") != "CanonicalUser" or name != owner:
                grants.append((name.rpartition("/")[2] or name, grant.get("Permission", "something")))
        return Settings(tuple(grants), self._cors(), versioning)

    def _cors(self) -> tuple[str, ...]:
        with self._errors(*MISSING):
            rules = self._client.get_bucket_cors(Bucket=self.bucket).get("CORSRules", ())
            return tuple(", ".join(rule.get("AllowedOrigins", ())) or "nobody known" for rule in rules)
        return ()

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

    def delete_bucket(self) -> bool:
        """Delete the bucket; False where something is in it, whosever that is."""
        with self._errors(*MISSING, "BucketNotEmpty") as refused:
            self._client.delete_bucket(Bucket=self.bucket)
        return "BucketNotEmpty" not in refused

    def policy(self) -> str | None:
        """Read the bucket's policy as it was written; None when there is none."""
        with self._errors(*MISSING):
            return self._client.get_bucket_policy(Bucket=self.bucket)["Policy"]
        return None

    def put_policy(self, text: str | None) -> None:
        """Write the bucket's policy, or take it away."""
        with self._errors(*MISSING if text is None else ()):
            if text is None:
                self._client.delete_bucket_policy(Bucket=self.bucket)
            else:
                self._client.put_bucket_policy(Bucket=self.bucket, Policy=text)

    def lifecycle(self) -> tuple[Mapping[str, Any], ...] | None:
        """Read the rules by which objects expire; None where the store knows no such rules."""
        with self._errors(*NO_RULES, *UNKNOWN) as refused:
            return tuple(self._client.get_bucket_lifecycle_configuration(Bucket=self.bucket).get("Rules", ()))
        return None if any(code in UNKNOWN for code in refused) else ()

    def put_lifecycle(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Write the rules by which objects expire; none at all takes them away."""
        with self._errors(*NO_RULES if not rules else ()):
            if rules:
                values: Any = {"Rules": list(rules)}
                self._client.put_bucket_lifecycle_configuration(Bucket=self.bucket, LifecycleConfiguration=values)
            else:
                self._client.delete_bucket_lifecycle(Bucket=self.bucket)

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
                    found.append(Stored(entry["Key"], entry["Size"], modified, entry.get("ETag", "")))
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
            hint = (
                f"`{SPACES_KEY_ID}` needs full access (one that is limited to buckets can neither make one nor set its"
                " policy), and the bucket's name has to be this account's"
            )
        trouble = Trouble(
            f"Spaces answered {code}: {message or 'nothing more'}", where=f"bucket {self.bucket}", hint=hint
        )
        trouble.code = code
        return trouble


def _with_md5(params: dict[str, Any], **_: Any) -> None:
    """Add the checksum that Spaces want with lifecycle rules, and that the client no longer sends.

    Source: https://docs.ceph.com/en/latest/radosgw/s3/bucketops/ (Spaces are made of it)
    """
    digest = md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()
