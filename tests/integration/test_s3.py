"""Plan documents in S3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError

from rebalance_executor.adapters.s3 import S3PlanStore
from rebalance_executor.domain.errors import ConfigurationError, InvalidInput, PlanSourceUnavailable
from rebalance_executor.triggers import MAX_BYTES
from tests.support.aws import Tampered, aws, client_error, once

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "plans"
KEY = "2026/01/plan 1.json"


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


def test_given_a_document_when_fetched_then_its_bytes_come_back(store: S3PlanStore, client: S3Client) -> None:
    put(client, b'{"plan_id": "\xc3\xa9"}')

    assert store.fetch(BUCKET, KEY) == b'{"plan_id": "\xc3\xa9"}'


def test_given_two_versions_when_one_is_named_then_that_one_comes_back(store: S3PlanStore, client: S3Client) -> None:
    approved = put(client, b"approved")
    put(client, b"newer")

    assert store.fetch(BUCKET, KEY, approved) == b"approved"
    assert store.fetch(BUCKET, KEY) == b"newer"


def test_given_another_bucket_when_fetched_then_the_field_is_named_and_nothing_is_asked(
    store: S3PlanStore, tampered: Tampered
) -> None:
    with pytest.raises(InvalidInput) as caught:
        store.fetch("somebody-elses", KEY)

    assert caught.value.field == "plan_s3.bucket"
    assert tampered.calls == []


def test_given_no_configured_bucket_when_fetched_then_the_variable_is_named() -> None:
    def no_client() -> S3Client:
        raise AssertionError("no client is needed")

    with pytest.raises(ConfigurationError) as caught:
        S3PlanStore(None, no_client).fetch(BUCKET, KEY)

    assert caught.value.field == "PLAN_BUCKET"


def test_given_no_such_object_when_fetched_then_the_key_is_named(store: S3PlanStore) -> None:
    with pytest.raises(InvalidInput) as caught:
        store.fetch(BUCKET, "absent.json")

    assert caught.value.field == "plan_s3.key"
    assert "absent.json" in caught.value.problem


def test_given_no_such_version_when_fetched_then_the_version_is_named(store: S3PlanStore, client: S3Client) -> None:
    put(client, b"{}")

    with pytest.raises(InvalidInput) as caught:
        store.fetch(BUCKET, KEY, "no-such-version")

    assert caught.value.field == "plan_s3.version_id"


def test_given_the_largest_document_when_fetched_then_it_comes_and_one_byte_more_does_not(
    store: S3PlanStore, client: S3Client
) -> None:
    put(client, b" " * MAX_BYTES)
    assert len(store.fetch(BUCKET, KEY)) == MAX_BYTES

    put(client, b" " * (MAX_BYTES + 1))
    with pytest.raises(InvalidInput, match=str(MAX_BYTES + 1)):
        store.fetch(BUCKET, KEY)


class Body:
    """An answer's body that a test breaks."""

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


class OneAnswer:
    """An S3 client with one answer."""

    def __init__(self, body: Body, size: int) -> None:
        self._answer = {"Body": body, "ContentLength": size}

    def get_object(self, **_request: Any) -> Any:
        return self._answer


def test_given_a_document_that_is_too_large_when_fetched_then_it_is_not_even_read() -> None:
    body = Body()

    with pytest.raises(InvalidInput):
        S3PlanStore(BUCKET, lambda: cast("S3Client", OneAnswer(body, 5 * MAX_BYTES))).fetch(BUCKET, KEY)

    assert (body.was_read, body.was_closed) == (False, True)


def test_given_the_connection_breaks_halfway_when_fetched_then_another_delivery_can_help() -> None:
    body = Body(ReadTimeoutError(endpoint_url="http://s3"))

    with pytest.raises(PlanSourceUnavailable):
        S3PlanStore(BUCKET, lambda: cast("S3Client", OneAnswer(body, 2))).fetch(BUCKET, KEY)

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
def test_given_s3_refuses_when_fetched_then_the_error_says_what_helps(
    store: S3PlanStore, tampered: Tampered, error: Exception, expected: type[Exception]
) -> None:
    tampered.before = once(error, "get_object")

    with pytest.raises(expected) as caught:
        store.fetch(BUCKET, KEY)

    assert type(caught.value) is expected
    assert caught.value.__cause__ is error
