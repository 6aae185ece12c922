"""Plan documents in S3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError

from rebalance_executor.adapters.s3 import S3PlanStore
from rebalance_executor.domain.errors import ConfigurationError, InvalidInput, PlanSourceUnavailable
from rebalance_executor.triggers import MAX_BYTES, PlanVersion
from tests.support.aws import Tampered, aws, client_error, once

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "plans"
KEY = "2026/01/plan 1.json"
LATEST = PlanVersion(BUCKET, KEY)


@pytest.fixture
def client() -> Iterator[S3Client]:
    with aws() as session:
        made = session.client("s3")
        made.create_bucket(Bucket=BUCKET)
        made.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield made
        made.close()


@pytest.fixture
def tampered(client: S3Client) -> Tampered:
    return Tampered(client)


@pytest.fixture
def store(tampered: Tampered) -> S3PlanStore:
    return S3PlanStore(BUCKET, lambda: cast("S3Client", tampered))


def put(client: S3Client, body: bytes) -> str:
    return client.put_object(Bucket=BUCKET, Key=KEY, Body=body)["VersionId"]


def test_fetch_returns_the_document(store: S3PlanStore, client: S3Client) -> None:
    version_id = put(client, b'{"plan_id": "\xc3\xa9"}')

    body, version = store.fetch(LATEST)

    assert body == b'{"plan_id": "\xc3\xa9"}'
    assert (version.bucket, version.key, version.version_id) == (BUCKET, KEY, version_id)
    assert version.url == f"s3://{BUCKET}/{KEY}?versionId={version_id}"


def test_fetch_returns_the_named_version(store: S3PlanStore, client: S3Client) -> None:
    approved = put(client, b"approved")
    put(client, b"newer")

    assert store.fetch(replace(LATEST, version_id=approved))[0] == b"approved"
    assert store.fetch(LATEST)[0] == b"newer"


def test_object_of_a_bucket_without_versions_is_read_only_while_it_is_unchanged(client: S3Client) -> None:
    client.create_bucket(Bucket="unversioned")
    store = S3PlanStore("unversioned", lambda: client)
    client.put_object(Bucket="unversioned", Key=KEY, Body=b"first")
    _, version = store.fetch(PlanVersion("unversioned", KEY))

    assert version.version_id is None
    assert store.fetch(version) == (b"first", version)
    client.put_object(Bucket="unversioned", Key=KEY, Body=b"second")
    with pytest.raises(InvalidInput) as raised:
        store.fetch(version)
    assert raised.value.field == "plan_s3.key"


def test_another_bucket_is_invalid_and_not_read(store: S3PlanStore, tampered: Tampered) -> None:
    with pytest.raises(InvalidInput) as caught:
        store.fetch(PlanVersion("another-bucket", KEY))

    assert caught.value.field == "plan_s3.bucket"
    assert tampered.calls == []


def test_missing_bucket_setting_is_named() -> None:
    def no_client() -> S3Client:
        raise AssertionError("no client is needed")

    with pytest.raises(ConfigurationError) as caught:
        S3PlanStore(None, no_client).fetch(LATEST)

    assert caught.value.field == "PLAN_BUCKET"


def test_missing_object_names_the_key(store: S3PlanStore) -> None:
    with pytest.raises(InvalidInput) as caught:
        store.fetch(PlanVersion(BUCKET, "absent.json"))

    assert caught.value.field == "plan_s3.key"
    assert "absent.json" in caught.value.problem


def test_missing_version_names_the_version(store: S3PlanStore, client: S3Client) -> None:
    put(client, b"{}")

    with pytest.raises(InvalidInput) as caught:
        store.fetch(replace(LATEST, version_id="no-such-version"))

    assert caught.value.field == "plan_s3.version_id"


def test_document_is_limited_to_max_bytes(store: S3PlanStore, client: S3Client) -> None:
    put(client, b" " * MAX_BYTES)
    assert len(store.fetch(LATEST)[0]) == MAX_BYTES

    put(client, b" " * (MAX_BYTES + 1))
    with pytest.raises(InvalidInput, match=str(MAX_BYTES + 1)):
        store.fetch(LATEST)


class Body:
    """A response body, which fails with this error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.was_read = self.was_closed = False
        self._error = error

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self.was_closed = True

    def read(self) -> bytes:
        self.was_read = True
        if self._error is not None:
            raise self._error
        return b"{}"


class OneResponse:
    """An S3 client with one response."""

    def __init__(self, body: Body, size: int) -> None:
        self._response = {"Body": body, "ContentLength": size, "ETag": "etag"}

    def get_object(self, **_request: Any) -> Any:
        return self._response


def test_body_of_a_too_large_document_is_not_read() -> None:
    body = Body()

    with pytest.raises(InvalidInput):
        S3PlanStore(BUCKET, lambda: cast("S3Client", OneResponse(body, 5 * MAX_BYTES))).fetch(LATEST)

    assert (body.was_read, body.was_closed) == (False, True)


def test_broken_connection_asks_for_redelivery() -> None:
    body = Body(ReadTimeoutError(endpoint_url="http://s3"))

    with pytest.raises(PlanSourceUnavailable):
        S3PlanStore(BUCKET, lambda: cast("S3Client", OneResponse(body, 2))).fetch(LATEST)

    assert body.was_closed


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (client_error("NoSuchBucket"), ConfigurationError),
        (client_error("AccessDenied"), ConfigurationError),
        (client_error("MethodNotAllowed", "a delete marker"), InvalidInput),
        (client_error("InternalError"), PlanSourceUnavailable),
        (client_error("SlowDown"), PlanSourceUnavailable),
        (ReadTimeoutError(endpoint_url="http://s3"), PlanSourceUnavailable),
    ],
    ids=str,
)
def test_s3_errors_are_typed(
    store: S3PlanStore, tampered: Tampered, error: Exception, expected: type[Exception]
) -> None:
    tampered.before = once(error, "get_object")

    with pytest.raises(expected) as caught:
        store.fetch(LATEST)

    assert type(caught.value) is expected
    assert caught.value.__cause__ is error
