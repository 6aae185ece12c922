"""Errors as their callers rely on them: which family, which fields."""

from __future__ import annotations

import pytest

from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    ConfigurationError,
    CredentialsRejected,
    DuplicateClientOrderId,
    Fenced,
    InvalidInput,
    JournalContradiction,
    JournalUnavailable,
    LeaseHeld,
    NotFound,
    OrderRejected,
    OutcomeUnknown,
    OverfillGuard,
    PlanChanged,
    PlanExpired,
    PlanSourceUnavailable,
    PlanYielded,
    RateLimited,
    RebalanceError,
    Redeliver,
    UnknownAccount,
)
from tests.support.builders import NOW


@pytest.mark.parametrize(
    "error",
    [
        BrokerUnavailable,
        CredentialsRejected,
        Fenced,
        JournalUnavailable,
        LeaseHeld,
        PlanSourceUnavailable,
        PlanYielded,
        RateLimited,
    ],
)
def test_transient_errors_ask_for_redelivery(error: type[RebalanceError]) -> None:
    assert issubclass(error, Redeliver)


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError,
        DuplicateClientOrderId,
        InvalidInput,
        JournalContradiction,
        NotFound,
        OrderRejected,
        OutcomeUnknown,
        OverfillGuard,
        PlanChanged,
        PlanExpired,
        UnknownAccount,
    ],
)
def test_permanent_errors_do_not_ask_for_redelivery(error: type[RebalanceError]) -> None:
    assert not issubclass(error, Redeliver)


@pytest.mark.parametrize("error", [InvalidInput, PlanExpired, PlanChanged, UnknownAccount, ConfigurationError])
def test_field_error_names_the_field_in_text_and_context(
    error: type[InvalidInput] | type[ConfigurationError],
) -> None:
    raised = error("items.3.trade_amount", "must be positive", plan_id="plan-1")
    assert str(raised) == "items.3.trade_amount: must be positive"
    assert raised.field == "items.3.trade_amount"
    assert raised.problem == "must be positive"
    assert raised.context == {"field": "items.3.trade_amount", "plan_id": "plan-1"}


def test_rejection_carries_the_brokers_answer() -> None:
    raised = OrderRejected("insufficient qty", http_status=403, broker_code=40310000)
    assert str(raised) == "insufficient qty"
    assert (raised.reason, raised.http_status, raised.broker_code) == ("insufficient qty", 403, 40310000)
    assert raised.context == {"http_status": 403, "broker_code": 40310000}


def test_rejection_without_code_has_none() -> None:
    assert OrderRejected("no", http_status=422).broker_code is None


def test_a_rate_limit_says_when_it_ends() -> None:
    assert RateLimited("slow down", retry_at=NOW).retry_at == NOW
    assert RateLimited("slow down").retry_at is None


def test_rate_limit_carries_its_end_and_the_path() -> None:
    error = RateLimited("slow down", retry_at=NOW, path="/v2/orders")
    assert (error.retry_at, str(error)) == (NOW, "slow down")
    assert error.context == {"path": "/v2/orders"}
