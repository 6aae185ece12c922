"""``content_hash``: equal for every format of the same plan, different as soon as its trades differ."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.plan import RebalancePlan
from tests.support.builders import a_plan, a_plan_document, an_exit, an_item, an_item_document
from tests.support.properties import property_test


def identity(document: dict[str, Any]) -> str:
    return RebalancePlan.parse(document).content_hash


ORIGINAL = identity(a_plan_document())


def test_hash_is_a_sha_256() -> None:
    assert len(bytes.fromhex(ORIGINAL)) == 32


@pytest.mark.parametrize("spelling", [1000, 1000.0, "1000", "1000.00", "1E+3", " 1000 ", Decimal("1000.0")])
def test_format_of_numbers_does_not_change_the_hash(spelling: object) -> None:
    document = a_plan_document(an_item_document(amount=spelling), total_trade_value=spelling)
    assert identity(document) == ORIGINAL


@pytest.mark.parametrize(
    "spelling", ["2026-01-26T15:00:00.000Z", "2026-01-26T15:00:00+00:00", "2026-01-26T10:00:00-05:00"]
)
def test_format_of_a_time_does_not_change_the_hash(spelling: str) -> None:
    assert identity(a_plan_document(timestamp=spelling)) == ORIGINAL


@pytest.mark.parametrize(
    "fields",
    [
        {"schema_version": "1.0.0"},
        {"max_drift_tolerance": 0.05},
        {"execution_urgency": "NORMAL"},
        {"strategy_id": None},
        {"account": None},
        {"size_by": None},
        {"valid_until": None},
    ],
)
def test_explicit_default_does_not_change_the_hash(fields: dict[str, object]) -> None:
    assert identity(a_plan_document(**fields)) == ORIGINAL


@pytest.mark.parametrize(
    "fields",
    [
        {"correlation_id": "another"},
        {"causation_id": "another"},
        {"metadata": {"source": "another"}},
        {"unknown": 1},
    ],
)
def test_origin_of_a_plan_does_not_change_the_hash(fields: dict[str, object]) -> None:
    assert identity(a_plan_document(**fields)) == ORIGINAL


def test_order_of_items_does_not_change_the_hash() -> None:
    first, second = an_item("AAA"), an_exit("BBB")
    assert a_plan(first, second).content_hash == a_plan(second, first).content_hash


def test_case_of_symbols_does_not_change_the_hash() -> None:
    assert identity(a_plan_document(an_item_document(" abc"))) == ORIGINAL


@pytest.mark.parametrize(
    "fields",
    [
        {"plan_id": "plan-2"},
        {"timestamp": "2026-01-26T15:00:00.001Z"},
        {"account": "growth"},
        {"valid_until": "2026-01-26T16:00:00Z"},
        {"execution_urgency": "URGENT"},
        {"max_drift_tolerance": "0.06"},
        {"total_portfolio_value": "100000.01"},
        {"total_trade_value": "1001"},
        {"size_by": "trade_amount"},
        {"size_by": "target_value"},
    ],
)
def test_changed_plan_has_another_hash(fields: dict[str, object]) -> None:
    assert identity(a_plan_document(**fields)) != ORIGINAL


@pytest.mark.parametrize(
    "fields",
    [
        {"symbol": "ABD"},
        {"action": "HOLD"},
        {"trade_amount": "1000.000000000000000000000001"},
        {"target_value": "0"},
        {"current_value": "10001"},
        {"target_weight": "0.21"},
        {"priority": 2},
    ],
)
def test_changed_item_gives_another_hash(fields: dict[str, object]) -> None:
    assert identity(a_plan_document(an_item_document() | fields)) != ORIGINAL


def test_additional_item_gives_another_hash() -> None:
    assert identity(a_plan_document(an_item_document(), an_item_document("XYZ", "HOLD", "0"))) != ORIGINAL


@st.composite
def respelled(draw: st.DrawFn, document: dict[str, Any]) -> str:
    """Draw the JSON of a document with other key order, item order, spacing and trailing zeros."""

    def number(text: str) -> str | int:
        if "." not in text and draw(st.booleans()):
            return int(text)
        return text + ("0" if "." in text else ".0") * draw(st.integers(0, 1))

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = draw(st.permutations(sorted(value)))
            return {key: shuffled(value[key]) for key in keys}
        if isinstance(value, list):
            return [shuffled(item) for item in draw(st.permutations(value))]
        return number(value) if isinstance(value, str) and value.lstrip("-").replace(".", "").isdigit() else value

    return json.dumps(shuffled(document), indent=draw(st.sampled_from([None, 1, 4])))


PLAN_OF_THREE = a_plan_document(
    an_item_document("AAA", amount="1000.5"),
    an_item_document("BBB", "SELL", "-1893.547260560", target_value="805.0174"),
    an_item_document("CCC", "HOLD", "0"),
)


@property_test
@given(respelled(PLAN_OF_THREE))
def test_spacing_order_and_trailing_zeros_never_change_the_hash(text: str) -> None:
    assert identity(json.loads(text)) == identity(PLAN_OF_THREE)
    assert identity(json.loads(text, parse_float=Decimal)) == identity(PLAN_OF_THREE)


@property_test
@given(st.decimals("0.01", "1000000", places=2), st.decimals("0.01", "1000000", places=2))
def test_only_equal_amounts_have_equal_hashes(one: Decimal, other: Decimal) -> None:
    same = a_plan(an_item(amount=one)).content_hash == a_plan(an_item(amount=other)).content_hash
    assert same == (one == other)


def test_plan_that_does_not_say_what_sizes_it_has_no_such_field_in_its_hash() -> None:
    """The hash of such a plan is the one that it had before the field existed."""
    assert ORIGINAL == "3bbf65af1266b97cb600d754bc672bcc1bd1bcdb1311056d828ec11d5e57f78f"
