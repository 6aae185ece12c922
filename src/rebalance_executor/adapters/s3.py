"""Plan documents in S3, read only from the configured bucket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from rebalance_executor.adapters.aws import error_code, error_text
from rebalance_executor.domain.errors import ConfigurationError, InvalidInput, PlanSourceUnavailable
from rebalance_executor.triggers import MAX_BYTES, PlanVersion

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NO_KEY = frozenset({"NoSuchKey", "404", "KeyTooLongError"})
_CHANGED = frozenset({"PreconditionFailed", "412"})
_NO_VERSION = frozenset({"NoSuchVersion", "InvalidArgument", "MethodNotAllowed"})
"""An unknown version, a malformed version ID, a delete marker."""


class S3PlanStore:
    """Implementation of ``PlanStore``.

    Args:
        bucket: the only bucket that pointers may name (``PLAN_BUCKET``), or None if none is configured.
        client: returns an S3 client with timeouts. It is called when the first plan is fetched: most plans are inline,
            and a client adds to the cold start.
    """

    def __init__(self, bucket: str | None, client: Callable[[], S3Client]) -> None:
        self._bucket = bucket
        self._client = client

    def fetch(self, version: PlanVersion) -> tuple[bytes, PlanVersion]:
        """Return the document, up to 1 MiB, and the version that it is.

        Raises:
            InvalidInput: another bucket, no such object or version, or too large.
            ConfigurationError: no bucket is configured, or this function has no permission to read it.
            PlanSourceUnavailable: S3 did not answer; the plan is redelivered.
        """
        if self._bucket is None:
            raise ConfigurationError("PLAN_BUCKET", "is not set: plans cannot be read from S3")
        if version.bucket != self._bucket:
            raise InvalidInput(
                "plan_s3.bucket", f"is {version.bucket!r}; plans are read only from the configured bucket"
            )
        request: Any = {"Bucket": version.bucket, "Key": version.key}
        if version.version_id is not None:
            request["VersionId"] = version.version_id
        elif version.etag is not None:
            request["IfMatch"] = version.etag
        try:
            response = self._client().get_object(**request)
            with response["Body"] as body:
                size = response["ContentLength"]
                if size > MAX_BYTES:
                    raise InvalidInput("plan_s3.key", f"has {size} bytes; the limit is {MAX_BYTES}")
                found = replace(version, version_id=_version_id(response), etag=response["ETag"])
                return body.read(), found
        except ClientError as error:
            _raise_typed(error, version.key)
        except BotoCoreError as error:
            raise PlanSourceUnavailable(f"S3 did not answer: {error}", aws_code=type(error).__name__) from error


def _version_id(response: Any) -> str | None:
    """Return the object's version; None in a bucket without versioning, where S3 says ``null`` or nothing."""
    version_id = response.get("VersionId")
    return str(version_id) if version_id not in (None, "null") else None


def _raise_typed(error: ClientError, key: str) -> NoReturn:
    code = error_code(error)
    if code in _NO_KEY:
        raise InvalidInput("plan_s3.key", f"object {key!r} does not exist") from error
    if code in _NO_VERSION:
        raise InvalidInput("plan_s3.version_id", f"object {key!r} has no such version: {code}") from error
    if code in _CHANGED:
        text = f"object {key!r} was replaced after the plan's first delivery, and its bucket keeps no versions"
        raise InvalidInput("plan_s3.key", f"{text}; send the new plan as a new event") from error
    if code == "NoSuchBucket":
        raise ConfigurationError("PLAN_BUCKET", "does not exist") from error
    if code == "AccessDenied":  # S3 also sends it for a missing object if the caller may not list the bucket
        raise ConfigurationError(
            "PLAN_BUCKET", f"no permission to read {key!r}, or the object does not exist", aws_code=code
        ) from error
    text = f"S3 could not return the plan: {code}: {error_text(error)}"
    raise PlanSourceUnavailable(text, aws_code=code) from error
