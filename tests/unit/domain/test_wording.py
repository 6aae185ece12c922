"""What a person reads when a plan is refused: one sentence for the first problem, and how many more there are."""

from __future__ import annotations

from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.plan import RebalancePlan
from tests.support.builders import a_plan_document, an_item_document


def refused(document: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        RebalancePlan.parse(document)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"schema_version": "2.0"}, "schema_version", "only 1.x is understood"),
        ({"total_trade_value": True}, "total_trade_value", "is a boolean where something else is expected"),
        ({"total_trade_value": "1_000"}, "total_trade_value", "is not a decimal number"),
        ({"total_trade_value": "1E+16"}, "total_trade_value", "is outside the range of amounts (10^16, 60 decimals)"),
        ({"plan_id": "a\tb"}, "plan_id", "holds control characters"),
        ({"timestamp": "9999-12-31T23:59:59-05:00"}, "timestamp", "lies outside the years 1 to 9999 in UTC"),
        (
            {"timestamp": "2026-01-26T15:45:00"},
            "timestamp",
            "must have a time zone, like 2026-01-26T15:45:00-05:00",
        ),
        ({"items": "none"}, "items", "must be a list"),
        ({"items": []}, "items", "must have at least one item"),
    ],
)
def test_one_problem_is_one_plain_sentence(fields: dict[str, Any], field: str, problem: str) -> None:
    error = refused(a_plan_document(**fields))

    assert (error.field, error.problem) == (field, problem)
    assert error.context["problems"] == [f"{field}: {problem}"]


@pytest.mark.parametrize("wrong", [2, 3])
def test_further_problems_are_counted_and_listed(wrong: int) -> None:
    names = ["plan_id", "correlation_id", "causation_id"][:wrong]
    error = refused({key: value for key, value in a_plan_document().items() if key not in names})

    assert error.problem == f"is missing (and {wrong - 1} more)"
    assert error.context["problems"] == [f"{name}: is missing" for name in names]


def test_an_item_that_is_wrong_is_not_said_to_be_missing_as_well() -> None:
    error = refused(a_plan_document(an_item_document() | {"priority": 9}))

    assert error.field == "items.0.priority"
    assert error.context["problems"] == [f"items.0.priority: {error.problem}"]


@pytest.mark.parametrize("amount", ["-1", "0"])
def test_a_rule_over_several_fields_names_the_field_it_is_about(amount: str) -> None:
    error = refused(a_plan_document(an_item_document("AAA", "BUY", amount)))

    assert error.field == "items.0.trade_amount"
    assert error.problem == f"must be positive for BUY, is {amount}"


def test_a_symbol_twice_is_a_problem_of_the_items() -> None:
    error = refused(a_plan_document(an_item_document("AAA"), an_item_document("aaa")))

    assert (error.field, error.problem) == ("items", "symbol AAA appears twice; merge its items")


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "null"), ([], "a list"), ("plan", "text"), (True, "a boolean"), (3.5, "a number"), (b"x", "bytes")],
)
def test_what_is_no_object_is_called_by_its_kind(value: object, kind: str) -> None:
    error = refused(value)

    assert (error.field, error.problem) == ("$", f"must be a JSON object holding a plan, is {kind}")
