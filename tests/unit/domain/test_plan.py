"""Valid and invalid plans: every invalid one names its field."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.plan import MAX_ITEMS, Action, RebalancePlan, SizeBy, Urgency, unknown_fields
from tests.support.builders import a_plan, a_plan_document, an_exit, an_item, an_item_document

ABSENT = object()


def invalid(document: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as raised:
        RebalancePlan.parse(document)
    return raised.value


def without_absent(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not ABSENT}


# --- valid -----------------------------------------------------------------------------------------------


def test_plan_needs_no_optional_field() -> None:
    plan = RebalancePlan.parse(a_plan_document())
    assert plan.schema_version == "1.0.0"
    assert plan.max_drift_tolerance == Decimal("0.05")
    assert plan.execution_urgency is Urgency.NORMAL
    optional = (plan.strategy_id, plan.estimated_duration_minutes, plan.metadata, plan.account, plan.valid_until)
    assert optional == (None,) * 5
    assert plan.items[0].strategy_id is None


def test_plan_keeps_every_optional_field() -> None:
    plan = a_plan(
        schema_version="1.2",
        max_drift_tolerance="0.1",
        execution_urgency="URGENT",
        strategy_id="momentum",
        estimated_duration_minutes=5,
        metadata={"cash_balance": "5000"},
        account="growth",
        valid_until="2026-01-26T16:00:00+00:00",
        size_by="target_value",
    )
    assert plan.size_by is SizeBy.TARGET_VALUE
    assert (plan.schema_version, plan.execution_urgency) == ("1.2", Urgency.URGENT)
    assert (plan.strategy_id, plan.account, plan.estimated_duration_minutes) == ("momentum", "growth", 5)
    assert plan.metadata == {"cash_balance": "5000"}
    assert plan.valid_until == datetime(2026, 1, 26, 16, tzinfo=UTC)


def test_unknown_keys_are_ignored() -> None:
    item = an_item_document(event_id="e-1")
    assert RebalancePlan.parse(a_plan_document(item, source_module="x")) == RebalancePlan.parse(a_plan_document())


@pytest.mark.parametrize("symbol", ["brk.b", " BRK.B", "Brk.b\n"])
def test_symbol_is_trimmed_and_upper_case(symbol: str) -> None:
    assert an_item(symbol).symbol == "BRK.B"


@pytest.mark.parametrize("amount", ["1000", "1000.00", 1000, 1000.0, "1E+3", Decimal(1000)])
def test_amount_may_be_a_string_or_a_number(amount: object) -> None:
    """Production failure 33."""
    assert an_item(amount=amount).trade_amount == 1000


def test_28_digits_stay_exact() -> None:
    """Production failure 33."""
    text = "-0.01871264990783499419610331245"
    assert an_item(weight_diff=text).weight_diff == Decimal(text)


@pytest.mark.parametrize("zero", ["0E+20", "0E-14", "0.00", 0])
def test_sell_to_a_target_of_zero_is_a_full_exit(zero: object) -> None:
    """Production failure 33: "0E+20" is a zero."""
    assert an_item(action="SELL", amount="-1", target_value=zero).is_full_exit(SizeBy.TRADE_AMOUNT)
    assert an_item(action="SELL", amount="-1", target_weight=zero).is_full_exit(SizeBy.TRADE_AMOUNT)


@pytest.mark.parametrize(
    ("action", "amount", "target"), [("SELL", "-1", "0.01"), ("HOLD", "0", "0"), ("BUY", "1", "0")]
)
def test_other_items_are_not_full_exits(action: str, amount: str, target: str) -> None:
    assert not an_item(action=action, amount=amount, target_value=target).is_full_exit(SizeBy.TRADE_AMOUNT)


@pytest.mark.parametrize("amount", ["0", "0E+20", "12.5", "-12.5"])
def test_hold_may_have_any_amount_and_is_not_traded(amount: str) -> None:
    plan = a_plan(an_item("AAA", "HOLD", amount), an_item("BBB"), an_exit("CCC"))
    assert [item.symbol for item in plan.trades] == ["BBB", "CCC"]


@pytest.mark.parametrize("priority", [1, 5, "3", 2.0])
def test_priority_may_be_a_string_or_a_number(priority: object) -> None:
    assert an_item(priority=priority).priority == int(float(str(priority)))


@pytest.mark.parametrize("version", ["1", "1.0", "1.0.0", "1.14.2"])
def test_every_schema_1_x_is_accepted(version: str) -> None:
    assert a_plan(schema_version=version).schema_version == version


def test_maximum_number_of_items_is_accepted() -> None:
    items = [an_item_document(f"S{number}") for number in range(MAX_ITEMS)]
    assert len(RebalancePlan.parse(a_plan_document(*items)).items) == MAX_ITEMS


# --- invalid ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (None, "null"),
        ([], "a list"),
        ([{"plan_id": "x"}], "a list"),
        ("plan", "text"),
        (7, "a number"),
        (Decimal("7.5"), "a number"),
        (True, "a boolean"),
    ],
)
def test_document_other_than_an_object_is_invalid(document: object, kind: str) -> None:
    error = invalid(document)
    assert error.field == "$"
    assert error.problem.endswith(f"is {kind}")


@pytest.mark.parametrize(
    "field",
    ["plan_id", "correlation_id", "causation_id", "timestamp", "items", "total_portfolio_value", "total_trade_value"],
)
def test_missing_field_is_named(field: str) -> None:
    error = invalid(without_absent(a_plan_document(**{field: ABSENT})))
    assert error.field == field
    assert "is missing" in error.problem


@pytest.mark.parametrize(
    "field",
    [
        "symbol",
        "action",
        "trade_amount",
        "current_weight",
        "target_weight",
        "weight_diff",
        "target_value",
        "current_value",
        "priority",
    ],
)
def test_missing_field_of_an_item_is_named_with_its_index(field: str) -> None:
    bad = without_absent(an_item_document("BAD") | {field: ABSENT})
    error = invalid(a_plan_document(an_item_document("GOOD"), bad))
    assert error.field == f"items.1.{field}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema_version", "2.0.0"),
        ("schema_version", "10.0"),
        ("schema_version", "0.9"),
        ("schema_version", "1."),
        ("schema_version", ""),
        ("plan_id", ""),
        ("plan_id", "   "),
        ("plan_id", "p" * 101),
        ("plan_id", "a\nb"),
        ("plan_id", None),
        ("plan_id", 7),
        ("correlation_id", ""),
        ("causation_id", "c" * 101),
        ("timestamp", "2026-01-26T15:00:00"),
        ("timestamp", "2026-01-26"),
        ("timestamp", "yesterday"),
        ("timestamp", None),
        ("items", []),
        ("items", None),
        ("items", {}),
        ("items", "ABC"),
        ("total_portfolio_value", "-0.01"),
        ("total_portfolio_value", "NaN"),
        ("total_trade_value", "Infinity"),
        ("max_drift_tolerance", "1.01"),
        ("max_drift_tolerance", "-0.01"),
        ("execution_urgency", "SOON"),
        ("size_by", "weight"),
        ("estimated_duration_minutes", 0),
        ("metadata", []),
        ("account", ""),
        ("valid_until", "2026-01-26T16:00:00"),
    ],
)
def test_invalid_field_is_named(field: str, value: object) -> None:
    error = invalid(a_plan_document(**{field: value}))
    assert error.field == field
    assert error.problem


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("symbol", ""),
        ("symbol", "  "),
        ("symbol", "S" * 51),
        ("symbol", "A,B"),
        ("symbol", "A B"),
        ("symbol", "A&B"),
        ("symbol", "A?B"),
        ("symbol", "A%2FB"),
        ("symbol", "A\x00"),
        ("symbol", None),
        ("action", "buy"),
        ("action", "SHORT"),
        ("trade_amount", "NaN"),
        ("trade_amount", float("nan")),
        ("trade_amount", "Infinity"),
        ("trade_amount", "-Infinity"),
        ("trade_amount", "1E+16"),
        ("trade_amount", "ten"),
        ("trade_amount", True),
        ("current_weight", "1.01"),
        ("target_weight", "-0.01"),
        ("weight_diff", "NaN"),
        ("target_value", "-0.01"),
        ("current_value", "-0.01"),
        ("priority", 0),
        ("priority", 6),
        ("priority", 1.5),
        ("strategy_id", "s" * 101),
    ],
)
def test_invalid_field_of_an_item_is_named_with_its_index(field: str, value: object) -> None:
    bad = an_item_document("BAD") | {field: value}
    error = invalid(a_plan_document(an_item_document("GOOD"), bad))
    assert error.field == f"items.1.{field}"
    assert error.problem


@pytest.mark.parametrize(
    ("action", "amount"), [("BUY", "-1"), ("BUY", "0"), ("BUY", "0E+20"), ("SELL", "1"), ("SELL", "0")]
)
def test_sign_must_match_the_action(action: str, amount: str) -> None:
    error = invalid(a_plan_document(an_item_document(action=action, amount=amount)))
    assert error.field == "items.0.trade_amount"
    assert action in error.problem


@pytest.mark.parametrize("twin", ["ABC", "abc", " ABC "])
def test_symbol_may_appear_only_once(twin: str) -> None:
    error = invalid(a_plan_document(an_item_document("ABC"), an_item_document("XYZ"), an_item_document(twin)))
    assert error.field == "items"
    assert "ABC" in error.problem


@pytest.mark.parametrize("count", [MAX_ITEMS + 1, 10_000])
def test_too_many_items_are_invalid_before_they_are_read(count: int) -> None:
    error = invalid(a_plan_document(*[None] * count))
    assert error.field == "items"
    assert error.problem == f"has {count} items, at most {MAX_ITEMS} are accepted; split the plan"


@pytest.mark.parametrize("item", [None, [], "ABC", 7])
def test_item_other_than_an_object_is_named_by_its_index(item: object) -> None:
    assert invalid(a_plan_document(an_item_document(), item)).field == "items.1"


def test_context_lists_the_first_twenty_problems() -> None:
    items = [an_item_document(f"S{number}", priority=9) for number in range(30)]
    problems = invalid(a_plan_document(*items)).context["problems"]
    assert isinstance(problems, list)
    assert len(problems) == 20
    assert problems[0].startswith("items.0.priority: ")


def test_plan_is_frozen() -> None:
    plan = a_plan()
    with pytest.raises(ValueError, match="frozen"):
        plan.items[0].action = Action.SELL  # type: ignore[misc]


def test_repeated_symbol_is_reported_with_the_other_problems() -> None:
    items = [
        an_item_document("abc"),
        an_item_document(" ABC "),
        an_item_document("ABC", priority=9),
        {"symbol": None},
        7,
    ]

    error = invalid(a_plan_document(*items))

    assert error.problems[0][0] == error.field == "items.2.priority"
    assert ("items", "symbol ABC appears 3 times; merge its items") in error.problems
    assert len({field for field, _ in error.problems if field.startswith("items.3.")}) > 1


# --- bounds of what is not traded ------------------------------------------------------------------------


@pytest.mark.parametrize("number", [Decimal("1e10000000"), 10**4000, 1e300, 366 * 1440 + 1])
@pytest.mark.parametrize("field", ["estimated_duration_minutes", "items.0.priority"])
def test_whole_number_is_bounded_before_it_is_converted(field: str, number: object) -> None:
    item = an_item_document() | ({"priority": number} if "priority" in field else {})
    document = a_plan_document(item) | ({} if "priority" in field else {field: number})
    with pytest.raises(InvalidInput) as raised:
        RebalancePlan.parse(document)
    assert raised.value.field == field


def test_number_with_a_large_exponent_is_refused_by_its_exponent() -> None:
    """Its digits take half a minute to compute."""
    with pytest.raises(InvalidInput, match=r"10\^16"):
        RebalancePlan.parse(a_plan_document(an_item_document() | {"priority": Decimal("1e100")}))


@pytest.mark.parametrize("number", [1, 30.0, Decimal("30"), "30", 366 * 1440])
def test_duration_may_be_any_whole_number_of_up_to_a_year(number: object) -> None:
    assert RebalancePlan.parse(a_plan_document(estimated_duration_minutes=number)).content_hash


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for level in range(levels - 1):
        value = {"a": [value] if level % 2 else value}
    return value


@pytest.mark.parametrize("metadata", [nested(200), nested(300), {"a": "\ud800"}, {"a": [{"\ud800": 1}]}])
def test_metadata_that_the_journal_cannot_keep_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as raised:
        RebalancePlan.parse(a_plan_document(metadata=metadata))
    assert raised.value.field.startswith("metadata")


@pytest.mark.parametrize("metadata", [nested(30), {"note": "ä😀", "n": [1, 1.5, None, True]}])
def test_valid_metadata_survives_the_journal(metadata: dict[str, Any]) -> None:
    plan = RebalancePlan.parse(a_plan_document(metadata=metadata))
    assert RebalancePlan.model_validate_json(plan.model_dump_json()) == plan


# --- unknown fields --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        (a_plan_document(), ()),
        (None, ()),
        ([], ()),
        ({"items": 7, "x": 1}, ("x",)),
        ({"items": [7, {"symbol": "A"}, {"limit": 1, "stop": 2}, {"limit": 1}]}, ("items.2.limit", "items.2.stop")),
        ({"\x1b[2J": 1, "n" * 100: 1}, ("'\\x1b[2J'", "n" * 60 + "…")),
        ({f"field{n}": 1 for n in range(100)}, tuple(f"field{n}" for n in range(20))),
    ],
)
def test_unknown_fields_are_named_once(document: object, paths: tuple[str, ...]) -> None:
    assert unknown_fields(document) == paths


# --- weights ---------------------------------------------------------------------------------------------


def of_weights(*weights: str, **fields: object) -> dict[str, Any]:
    """Build a plan of one BUY, and of a HOLD for each further weight."""
    items = [an_item_document(f"S{n}", "BUY" if n == 0 else "HOLD", target_weight=w) for n, w in enumerate(weights)]
    return a_plan_document(*items, **fields)


@pytest.mark.parametrize("weights", [("1", "0.000002"), ("0.6", "0.6")])
def test_weights_that_size_a_plan_sum_to_at_most_one(weights: tuple[str, ...]) -> None:
    error = invalid(of_weights(*weights, size_by="target_weight"))
    assert error.field == "size_by"
    plan = RebalancePlan.parse(of_weights(*weights))
    plan.check_weights(SizeBy.TARGET_VALUE)
    with pytest.raises(InvalidInput) as raised:
        plan.check_weights(SizeBy.TARGET_WEIGHT)
    assert raised.value.field == "size_by"


@pytest.mark.parametrize("weights", [("1", "0.000001"), ("0.6", "0.4"), ("0.1",)])
def test_other_weights_are_accepted(weights: tuple[str, ...]) -> None:
    assert RebalancePlan.parse(of_weights(*weights, size_by="target_weight")).size_by is SizeBy.TARGET_WEIGHT
    RebalancePlan.parse(of_weights(*weights)).check_weights(SizeBy.TARGET_WEIGHT)


def test_weights_of_a_plan_that_another_field_sizes_are_not_checked() -> None:
    plan = RebalancePlan.parse(of_weights("0.9", "0.9", size_by="target_value"))
    plan.check_weights(SizeBy.TARGET_WEIGHT)
    assert plan.sized_by(SizeBy.TARGET_WEIGHT) is SizeBy.TARGET_VALUE


def test_weights_of_a_plan_of_holds_are_not_checked() -> None:
    holds = (an_item_document(symbol, "HOLD", target_weight="0.9") for symbol in ("AAA", "BBB"))
    RebalancePlan.parse(a_plan_document(*holds)).check_weights(SizeBy.TARGET_WEIGHT)


def test_plan_without_size_by_takes_the_configured_one() -> None:
    plan = RebalancePlan.parse(a_plan_document())
    assert (plan.size_by, plan.sized_by(SizeBy.TARGET_VALUE)) == (None, SizeBy.TARGET_VALUE)
