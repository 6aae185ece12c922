"""The circuit breaker: which errors count as failures, and which requests pass an open circuit."""

from __future__ import annotations

from datetime import date
from typing import Any, cast

import pytest

from rebalance_executor.adapters.alpaca.circuit_breaker import CircuitBreakerBroker
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    CircuitOpen,
    NotFound,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
    Redeliver,
)
from rebalance_executor.domain.market import OrderRequest, OrderType
from rebalance_executor.execution.ports import Broker
from tests.support.builders import BUY, an_account, an_order

REQUEST = OrderRequest("client-1", "ABC", BUY, OrderType.MARKET, an_order().filled_qty)
REJECTED = OrderRejected("no", http_status=422)


class ScriptedBroker:
    """A broker whose submissions end with these errors or succeed (None). Reads succeed unless ``is_down``."""

    expected_account_number = "PA1"

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.is_down = False
        self.cancelled: list[str] = []

    def submit(self, request: OrderRequest) -> Any:
        error = self.outcomes.pop(0)
        if error is not None:
            raise error
        return an_order()

    def account(self) -> Any:
        if self.is_down:
            raise BrokerUnavailable("503")
        return an_account()

    def daily_bars(self, *_: object) -> Any:
        raise BrokerUnavailable("503")

    def cancel(self, order_id: str) -> bool:
        self.cancelled.append(order_id)
        return True


def with_breaker(script: ScriptedBroker) -> CircuitBreakerBroker:
    return CircuitBreakerBroker(cast("Broker", script), 2)


def submit_all(broker: CircuitBreakerBroker, script: ScriptedBroker) -> list[str]:
    """Submit until the script is used up; return ``sent`` or the name of the error for each submission."""
    outcomes = []
    while script.outcomes:
        try:
            broker.submit(REQUEST)
            outcomes.append("sent")
        except (OutcomeUnknown, OrderRejected, RateLimited) as error:
            outcomes.append(type(error).__name__)
    return outcomes


def test_circuit_opens_after_consecutive_failures() -> None:
    script = ScriptedBroker(OutcomeUnknown("504"), OutcomeUnknown("timeout"))
    broker = with_breaker(script)
    assert submit_all(broker, script) == ["OutcomeUnknown", "OutcomeUnknown"]

    with pytest.raises(CircuitOpen, match="2 times in a row") as opened:
        broker.submit(REQUEST)
    assert isinstance(opened.value, Redeliver)


@pytest.mark.parametrize("between", [None, REJECTED, RateLimited("429")], ids=["sent", "rejected", "429"])
def test_definite_response_resets_the_count(between: Exception | None) -> None:
    script = ScriptedBroker(OutcomeUnknown("504"), between, None)
    assert submit_all(with_breaker(script), script)[-1] == "sent"


def test_failed_reads_count_as_failures() -> None:
    script = ScriptedBroker(OutcomeUnknown("504"))
    broker = with_breaker(script)
    script.is_down = True
    with pytest.raises(BrokerUnavailable):
        broker.account()
    submit_all(broker, script)

    with pytest.raises(CircuitOpen):
        broker.submit(REQUEST)
    assert not isinstance(NotFound("404"), BrokerUnavailable)


def test_reads_and_cancels_pass_an_open_circuit() -> None:
    script = ScriptedBroker(OutcomeUnknown("504"), OutcomeUnknown("504"))
    broker = with_breaker(script)
    submit_all(broker, script)

    broker.cancel("order-1")
    assert broker.account() == an_account()
    assert script.cancelled == ["order-1"]
    assert broker.expected_account_number == "PA1"


def test_failed_reads_of_volumes_do_not_count() -> None:
    script = ScriptedBroker(None)
    broker = with_breaker(script)
    for _ in range(3):
        with pytest.raises(BrokerUnavailable):
            broker.daily_bars(["ABC"], date(2026, 1, 1), date(2026, 1, 25))

    assert submit_all(broker, script) == ["sent"]
