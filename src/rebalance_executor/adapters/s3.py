"""Plan documents in S3, read through the one bucket that is configured."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from rebalance_executor.adapters.aws import error_code, error_text
from rebalance_executor.domain.errors import ConfigurationError, InvalidInput, PlanSourceUnavailable
from rebalance_executor.triggers import MAX_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NO_KEY = frozenset({"NoSuchKey", "404", "KeyTooLongError"})
_NO_VERSION = frozenset({"NoSuchVersion", "InvalidArgument", "MethodNotAllowed"})
"""Unknown, malformed, or the mark of a deletion."""


class S3PlanStore:
    """Implements ``PlanStore``.

    Args:
        bucket: the only bucket that pointers may name (``PLAN_BUCKET``), or None where none is configured.
        client: gives an S3 client with time-outs; asked when the first plan is fetched, because most plans come
            inline and making a client takes a part of the cold start.
    """

    def __init__(self, bucket: str | None, client: Callable[[], S3Client]) -> None:
        self._bucket = bucket
        self._client = client

    def fetch(self, bucket: str, key: str, version_id: str | None = None) -> bytes:
        """The document's bytes, at most 1 MiB.

        Raises:
            InvalidInput: another bucket, no such object or version, or too large.
            ConfigurationError: no bucket is configured, or it may not be read.
            PlanSourceUnavailable: S3 did not answer; another delivery can help.
        """
        if self._bucket is None:
            raise ConfigurationError("PLAN_BUCKET", "is not set, so that no plan can be read from S3")
        if bucket != self._bucket:
            raise InvalidInput("plan_s3.bucket", f"is {bucket!r}; plans are read from the configured bucket only")
        request: Any = {"Bucket": bucket, "Key": key} | ({"VersionId": version_id} if version_id is not None else {})
        try:
            answer = self._client().get_object(**request)
            with answer["Body"] as body:
                size = answer["ContentLength"]
                if size > MAX_BYTES:
                    raise InvalidInput("plan_s3.key", f"has {size} bytes, at most {MAX_BYTES} are accepted")
                return body.read()
        except ClientError as error:
            _refuse(error, key)
        except BotoCoreError as error:
            raise PlanSourceUnavailable(f"S3 did not answer: {error}", aws_code=type(error).__name__) from error


def _refuse(error: ClientError, key: str) -> NoReturn:
    code = error_code(error)
    if code in _NO_KEY:
        raise InvalidInput("plan_s3.key", f"there is no object {key!r}") from error
    if code in _NO_VERSION:
        raise InvalidInput("plan_s3.version_id", f"there is no such version of {key!r}: {code}") from error
    if code == "NoSuchBucket":
        raise ConfigurationError("PLAN_BUCKET", "does not exist") from error
    if code == "AccessDenied":  # also S3's answer for an absent object to whoever may not list the bucket
        raise ConfigurationError("PLAN_BUCKET", f"{key!r} may not be read, or is not there", aws_code=code) from error
    text = f"S3 could not give the plan just now: {code}: {error_text(error)}"
    raise PlanSourceUnavailable(text, aws_code=code) from error
