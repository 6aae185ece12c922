"""Results published as EventBridge events."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from rebalance_executor.adapters.aws import error_code, error_text
from rebalance_executor.domain.errors import PublishFailed
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.envelopes import OWN_SOURCE

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

DETAIL_TYPE = "RebalanceExecuted"

MAX_ENTRY_BYTES = 1_000_000
"""EventBridge's limit of an entry: 1 MB since January 2026, read as the smaller of its two meanings.

Source: AWS Compute Blog, "More room to build: serverless services now support payloads up to 1 MB",
https://aws.amazon.com/blogs/compute/more-room-to-build-serverless-services-now-support-payloads-up-to-1-mb
"""
FORMER_ENTRY_BYTES = 256_000
"""The limit before, which AWS's API reference still states: for a partition or a substitute of AWS that has it."""
_ENVELOPE_BYTES = 14 + len(OWN_SOURCE) + len(DETAIL_TYPE)
"""Bytes that EventBridge counts beside the detail: 14 for the time, and both texts."""

_MAX_ATTEMPTS = 3
_TOO_LARGE = frozenset({"ValidationException", "RequestEntityTooLargeException"})
"""Error codes of a request with an entry above the limit."""
_TRANSIENT = frozenset({"InternalFailure", "InternalException", "ThrottlingException"})
"""Error codes of entries that were not published and are retried."""


class EventBridgePublisher:
    """Implementation of ``ResultPublisher``: one event per result, with the result as its detail.

    Args:
        bus: the bus's name (``RESULT_BUS``).
        client: an EventBridge client with timeouts.
    """

    channel = "event"

    def __init__(self, bus: str, client: EventBridgeClient) -> None:
        self._bus = bus
        self._client = client

    def publish(self, result: ExecutionResult) -> None:
        """Publish the result. A result too large for an event is trimmed and marked with ``orders_truncated``.

        Raises:
            PublishFailed: EventBridge did not answer or did not accept the event.
        """
        text = detail(result)
        try:
            self._send(result, text)
        except PublishFailed as failure:
            trimmed = detail(result, FORMER_ENTRY_BYTES)
            if failure.context["aws_code"] not in _TOO_LARGE or trimmed == text:
                raise
            self._send(result, trimmed)

    def _send(self, result: ExecutionResult, text: str) -> None:
        entry: Any = {
            "EventBusName": self._bus,
            "Source": OWN_SOURCE,
            "DetailType": DETAIL_TYPE,
            "Time": result.execution_timestamp,
            "Detail": text,
        }
        code = message = ""
        for _ in range(_MAX_ATTEMPTS):
            response = self._put(entry)
            if response["FailedEntryCount"] == 0:
                return
            failed = response["Entries"][0]
            code, message = failed.get("ErrorCode", "Unknown"), failed.get("ErrorMessage", "no message")
            if code not in _TRANSIENT:
                break
        raise PublishFailed(f"bus {self._bus} did not accept the event: {code}: {message}", aws_code=code)

    def _put(self, entry: Any) -> Any:
        try:
            return self._client.put_events(Entries=[entry])
        except ClientError as error:
            code = error_code(error)
            text = f"bus {self._bus} did not accept the event: {code}: {error_text(error)}"
            raise PublishFailed(text, aws_code=code) from error
        except BotoCoreError as error:
            code = type(error).__name__
            raise PublishFailed(f"EventBridge did not answer: {error}", aws_code=code) from error


def detail(result: ExecutionResult, max_entry_bytes: int = MAX_ENTRY_BYTES) -> str:
    """Return the event's detail: the result as JSON, trimmed to the size limit of an event.

    A detail that is too large loses the children of its orders, then the orders, then the metadata, until it fits.
    """
    max_bytes = max_entry_bytes - _ENVELOPE_BYTES
    text = result.model_dump_json()
    if len(text.encode()) <= max_bytes:
        return text
    body = result.model_dump(mode="json")
    for trim in _TRIMS:
        if len(text.encode()) <= max_bytes:
            return text
        body |= {**trim(body), "orders_truncated": True, "orders_total": len(result.orders)}
        text = _json(body)
    return text


_TRIMS: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (
    lambda body: {"orders": [{**order, "children": []} for order in body["orders"]]},
    lambda _: {"orders": []},
    lambda _: {"metadata": {}},
)


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
