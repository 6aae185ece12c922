"""Messages of invalid plans: one sentence for the first problem, and the number of further ones."""

from __future__ import annotations

from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.plan import RebalancePlan
from tests.support.builders import a_plan_document, an_item_document


def invalid(document: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        RebalancePlan.parse(document)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"schema_version": "2.0"}, "schema_version", "must be a 1.x version"),
        ({"total_trade_value": True}, "total_trade_value", "must not be a boolean"),
        ({"total_trade_value": "1_000"}, "total_trade_value", "is not a decimal number"),
        ({"total_trade_value": "1E+16"}, "total_trade_value", "must be below 10^16 and have at most 60 decimals"),
        ({"plan_id": "a\tb"}, "plan_id", "contains characters that cannot be printed"),
        ({"timestamp": "9999-12-31T23:59:59-05:00"}, "timestamp", "is outside the years 1 to 9999 in UTC"),
        (
            {"timestamp": "2026-01-26T15:45:00"},
            "timestamp",
            "must have a time zone, like 2026-01-26T15:45:00-05:00",
        ),
        ({"items": "none"}, "items", "must be a list"),
        ({"items": []}, "items", "must have at least one item"),
    ],
)
def test_problem_is_one_plain_sentence(fields: dict[str, Any], field: str, problem: str) -> None:
    error = invalid(a_plan_document(**fields))

    assert (error.field, error.problem) == (field, problem)
    assert error.context["problems"] == [f"{field}: {problem}"]


@pytest.mark.parametrize("wrong", [2, 3])
def test_further_problems_are_counted_and_listed(wrong: int) -> None:
    names = ["plan_id", "correlation_id", "causation_id"][:wrong]
    error = invalid({key: value for key, value in a_plan_document().items() if key not in names})

    assert error.problem == f"is missing (and {wrong - 1} more)"
    assert error.context["problems"] == [f"{name}: is missing" for name in names]


def test_invalid_item_is_not_reported_as_missing() -> None:
    error = invalid(a_plan_document(an_item_document() | {"priority": 9}))

    assert error.field == "items.0.priority"
    assert error.context["problems"] == [f"items.0.priority: {error.problem}"]


@pytest.mark.parametrize(
    ("action", "amount", "problem"),
    [
        ("BUY", "-1", "must be positive for BUY, is -1"),
        ("BUY", "0E+20", "must be positive for BUY, is 0"),
        ("SELL", "1", "must be negative for SELL, is 1"),
    ],
)
def test_sign_that_contradicts_the_action_names_the_amount(action: str, amount: str, problem: str) -> None:
    error = invalid(a_plan_document(an_item_document("AAA", action, amount)))

    assert (error.field, error.problem) == ("items.0.trade_amount", problem)


def test_repeated_symbol_is_a_problem_of_the_items() -> None:
    error = invalid(a_plan_document(an_item_document("AAA"), an_item_document("aaa")))

    assert (error.field, error.problem) == ("items", "symbol AAA appears twice; merge its items")


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "null"), ([], "a list"), ("plan", "text"), (True, "a boolean"), (3.5, "a number"), (b"x", "bytes")],
)
def test_document_other_than_an_object_is_named_by_its_kind(value: object, kind: str) -> None:
    error = invalid(value)

    assert (error.field, error.problem) == ("$", f"must be a JSON object that contains a plan, is {kind}")
