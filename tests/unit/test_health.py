"""The health request runs every check, even after one has failed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from rebalance_executor.domain.errors import BrokerUnavailable
from rebalance_executor.domain.market import Account
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.health import account_warnings, check_health
from rebalance_executor.settings import Settings


class RecordingLog:
    """Log that records its events."""

    def __init__(self) -> None:
        self.events: list[tuple[LogEvent, dict[str, object]]] = []

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.events.append((event, fields))


def an_account(**fields: Any) -> Account:
    return Account("PA1", "ACTIVE", Decimal(1), Decimal(1), blocked_by=None, **fields)


def settings(**variables: object) -> Settings:
    return Settings.model_validate({"EXECUTION_TABLE": "e", "IDEMPOTENCY_TABLE": "i"} | variables)


@pytest.mark.parametrize(
    ("account", "names"),
    [
        (an_account(), []),
        (an_account(shorting_enabled=True), ["short selling"]),
        (an_account(multiplier=Decimal(2)), ["margin"]),
        (replace(an_account(), account_number="123456789"), ["paper money"]),
    ],
)
def test_account_that_could_trade_more_than_it_should_is_a_warning(account: Account, names: list[str]) -> None:
    assert list(account_warnings(account, settings())) == names


@pytest.mark.parametrize(
    "variables",
    [{"ALPACA_TRADING_URL": "http://127.0.0.1:8080"}, {"ALPACA_PAPER": "false", "LIVE_TRADING": "yes"}],
    ids=["local broker", "real money"],
)
def test_number_without_pa_is_expected_with_a_local_broker_and_with_real_money(variables: dict[str, str]) -> None:
    assert account_warnings(replace(an_account(), account_number="123456789"), settings(**variables)) == {}


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
