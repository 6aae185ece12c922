"""The circuit breaker: what counts as a failure, and what an open circuit still lets through."""

from __future__ import annotations

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
REFUSED = OrderRejected("no", http_status=422)


class Scripted:
    """A broker whose submissions go as told; reads succeed unless ``down``."""

    expected_account_number = "PA1"

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.down = False
        self.cancelled: list[str] = []

    def submit(self, request: OrderRequest) -> Any:
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer
        return an_order()

    def account(self) -> Any:
        if self.down:
            raise BrokerUnavailable("503")
        return an_account()

    def cancel(self, order_id: str) -> bool:
        self.cancelled.append(order_id)
        return True


def breaking(script: Scripted) -> CircuitBreakerBroker:
    return CircuitBreakerBroker(cast("Broker", script), 2)


def submit_all(broker: CircuitBreakerBroker, script: Scripted) -> list[str]:
    """Names of what each submission came to, until the script is used up."""
    told = []
    while script.answers:
        try:
            broker.submit(REQUEST)
            told.append("sent")
        except (OutcomeUnknown, OrderRejected, RateLimited) as error:
            told.append(type(error).__name__)
    return told


def test_after_failures_in_a_row_nothing_more_is_sent() -> None:
    script = Scripted(OutcomeUnknown("504"), OutcomeUnknown("time-out"))
    broker = breaking(script)
    assert submit_all(broker, script) == ["OutcomeUnknown", "OutcomeUnknown"]

    with pytest.raises(CircuitOpen, match="2 times in a row") as opened:
        broker.submit(REQUEST)
    assert isinstance(opened.value, Redeliver)


@pytest.mark.parametrize("between", [None, REFUSED, RateLimited("429")], ids=["sent", "refused", "429"])
def test_a_definite_answer_is_no_failure(between: Exception | None) -> None:
    script = Scripted(OutcomeUnknown("504"), between, None)
    assert submit_all(breaking(script), script)[-1] == "sent"


def test_failed_reads_count_too_and_not_found_does_not() -> None:
    script = Scripted(OutcomeUnknown("504"))
    broker = breaking(script)
    script.down = True
    with pytest.raises(BrokerUnavailable):
        broker.account()
    submit_all(broker, script)

    with pytest.raises(CircuitOpen):
        broker.submit(REQUEST)
    assert not isinstance(NotFound("404"), BrokerUnavailable)


def test_an_open_circuit_still_lets_reads_and_cancels_through() -> None:
    script = Scripted(OutcomeUnknown("504"), OutcomeUnknown("504"))
    broker = breaking(script)
    submit_all(broker, script)

    broker.cancel("order-1")
    assert broker.account() == an_account()
    assert script.cancelled == ["order-1"]
    assert broker.expected_account_number == "PA1"
