"""A health request asks everything, and one broken dependency hides no other."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from rebalance_executor.domain.errors import BrokerUnavailable
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.health import check_health


class Log:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.told: list[tuple[LogEvent, dict[str, object]]] = []

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.told.append((event, fields))


def failing(error: Exception) -> Any:
    """A check that finds this error."""

    def ask() -> str:
        raise error

    return ask


def test_all_is_well_when_every_check_answers() -> None:
    log = Log()
    report = check_health({"journal": lambda: "answers"}, log)

    assert report == {"healthy": True, "checks": [{"name": "journal", "ok": True, "detail": "answers"}]}
    assert log.told == [(LogEvent.HEALTH_CHECKED, {"healthy": True, "failing": None})]


def test_each_broken_dependency_is_named_with_its_reason() -> None:
    log = Log()
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "not yours"}}, "HeadBucket")
    report = check_health(
        {
            "account": failing(BrokerUnavailable("no answer within 10 s")),
            "plans": failing(denied),
            "results": failing(EndpointConnectionError(endpoint_url="http://localhost:1")),
            "journal": lambda: "answers",
        },
        log,
    )

    assert report["healthy"] is False
    assert [check["ok"] for check in report["checks"]] == [False, False, False, True]
    assert report["checks"][0]["detail"] == "BROKER_UNAVAILABLE: no answer within 10 s"
    assert "AccessDenied" in report["checks"][1]["detail"]
    assert log.told[0][1]["failing"] == "account, plans, results"
