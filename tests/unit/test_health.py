"""The health request runs every check, even after one has failed."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from rebalance_executor.domain.errors import BrokerUnavailable
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.health import check_health


class RecordingLog:
    """Log that records its events."""

    def __init__(self) -> None:
        self.events: list[tuple[LogEvent, dict[str, object]]] = []

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.events.append((event, fields))


def failing(error: Exception) -> Any:
    """Return a check that raises this error."""

    def check() -> str:
        raise error

    return check


def test_answer_is_healthy_if_every_check_succeeds() -> None:
    log = RecordingLog()
    answer = check_health({"journal": lambda: "answers"}, log)

    assert answer == {"healthy": True, "checks": [{"name": "journal", "ok": True, "detail": "answers"}]}
    assert log.events == [(LogEvent.HEALTH_CHECKED, {"healthy": True, "failing": None})]


def test_each_failed_check_is_named_with_its_reason() -> None:
    log = RecordingLog()
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "not permitted"}}, "HeadBucket")
    answer = check_health(
        {
            "account": failing(BrokerUnavailable("no answer within 10 s")),
            "plans": failing(denied),
            "results": failing(EndpointConnectionError(endpoint_url="http://localhost:1")),
            "journal": lambda: "answers",
        },
        log,
    )

    assert answer["healthy"] is False
    assert [check["ok"] for check in answer["checks"]] == [False, False, False, True]
    assert answer["checks"][0]["detail"] == "BROKER_UNAVAILABLE: no answer within 10 s"
    assert "AccessDenied" in answer["checks"][1]["detail"]
    assert log.events[0][1]["failing"] == "account, plans, results"
