"""A prefix of a bucket of S3 as a store. Region and credentials come from the environment, as AWS' SDK has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from checkpoint.store import Store, StoreError

#: Seconds. What S3 refuses is tried again by the keeper, which knows what there is time for.
_CONFIG: Final = Config(connect_timeout=3, read_timeout=15, retries={"total_max_attempts": 2, "mode": "standard"})
#: Each part is a request that is paid for: boto3's 8 MiB are 128 for a GiB, these are 16.
_PARTS: Final = TransferConfig(multipart_threshold=64 * 2**20, multipart_chunksize=64 * 2**20)
#: Keys in one request (S3 API, DeleteObjects).
_DELETED_AT_ONCE: Final = 1000
#: Another has written the object, or is about to (S3 user guide, "Conditional writes").
_TAKEN: Final = ("PreconditionFailed", "ConditionalRequestConflict")


class S3Store(Store):
    """Objects below a prefix. The bucket says how they are encrypted."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        with self._told(""):
            self._client = boto3.client("s3", config=_CONFIG)

    def claim(self, key: str, content: bytes) -> bool:
        """See `Store`."""
        with self._told(key):
            try:
                self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=content, IfNoneMatch="*")
            except ClientError as error:
                if error.response["Error"]["Code"] in _TAKEN:
                    return False
                raise
        return True

    def keys(self, prefix: str) -> list[str]:
        """See `Store`."""
        with self._told(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            found = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return sorted(key.removeprefix(self._prefix) for key in found)

    def read(self, key: str) -> bytes:
        """See `Store`."""
        with self._told(key):
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
        return content

    def write(self, key: str, content: bytes) -> None:
        """See `Store`."""
        with self._told(key):
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=content)

    def download(self, key: str, to: Path) -> None:
        """See `Store`."""
        with self._told(key):
            self._client.download_file(self._bucket, self._prefix + key, str(to), Config=_PARTS)

    def upload(self, key: str, source: Path) -> None:
        """See `Store`."""
        with self._told(key):
            self._client.upload_file(str(source), self._bucket, self._prefix + key, Config=_PARTS)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Store`."""
        left = [{"Key": self._prefix + key} for key in keys]
        with self._told(""):
            for first in range(0, len(left), _DELETED_AT_ONCE):
                some = {"Objects": left[first : first + _DELETED_AT_ONCE], "Quiet": True}
                errors = self._client.delete_objects(Bucket=self._bucket, Delete=some).get("Errors", ())
                for error in errors:
                    raise StoreError(f"s3://{self._bucket}/{error['Key']}: {error['Code']} {error['Message']}")

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        try:
            yield
        # boto3's own: an upload that failed, a download whose connection broke too often.
        except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
            raise StoreError(f"s3://{self._bucket}/{self._prefix}{key}: {error}") from error
