"""Amounts, times and names: validation and format."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from rebalance_executor.domain.values import (
    Amount,
    Name,
    Timestamp,
    format_clock,
    format_decimal,
    format_dollars,
    format_shares,
    format_time,
    seconds,
)
from tests.support.properties import property_test


class _Model(BaseModel):
    amount: Amount = Decimal(0)
    at: Timestamp | None = None
    name: Name = "x"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.50", "1.5"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("1E-7", "0.0000001"),
        ("-0.00", "0"),
        ("0E+20", "0"),
        ("-12.340", "-12.34"),
    ],
)
def test_plain_notation_has_neither_exponent_nor_trailing_zeros(value: str, text: str) -> None:
    assert format_decimal(Decimal(value)) == text


@property_test
@given(st.decimals(-(10**15), 10**15, allow_nan=False, allow_infinity=False, places=12))
def test_plain_notation_keeps_the_exact_value(value: Decimal) -> None:
    assert Decimal(format_decimal(value)) == value


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0"),
        ("5", "$5"),
        ("0.5", "$0.50"),
        ("1234567.891", "$1,234,567.89"),
        ("-1200", "-$1,200"),
        ("-0.001", "-$0"),
        ("1E+3", "$1,000"),
    ],
)
def test_dollars_are_grouped_and_rounded_to_the_cent(amount: str, text: str) -> None:
    assert format_dollars(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("given_value", "amount"),
    [
        ("12.5", "12.5"),
        (12.5, "12.5"),
        (12, "12"),
        (0.1, "0.1"),
        ("0E+20", "0"),
        ("0E-14", "0"),
        ("-0", "0"),
        ("0.02666809368770691465719278284", "0.02666809368770691465719278284"),
        ("9999999999999999", "9999999999999999"),
        ("1E-60", "1E-60"),
    ],
)
def test_amount_may_be_a_string_or_a_number_in_a_model(given_value: object, amount: str) -> None:
    """Production failure 33: "0E+20" is a zero, and values carry 28 digits."""
    assert _Model.model_validate({"amount": given_value}).amount == Decimal(amount)


@pytest.mark.parametrize(
    "bad",
    ["NaN", "sNaN", "Infinity", "-Infinity", float("nan"), float("inf"), "", "ten", "1,000", None, True, [1], {"a": 1}],
)
def test_amount_must_be_a_finite_number(bad: object) -> None:
    with pytest.raises(ValidationError):
        _Model.model_validate({"amount": bad})


@pytest.mark.parametrize("bad", ["1E+16", "-1E+16", "1E+999999999", "1E-61", "1E-999999999"])
def test_amount_out_of_range_is_invalid_before_it_fills_memory(bad: str) -> None:
    with pytest.raises(ValidationError, match="must be below 10\\^16"):
        _Model.model_validate({"amount": bad})


def test_amount_is_a_plain_string_in_json() -> None:
    assert _Model(amount=Decimal("1.2500")).model_dump(mode="json")["amount"] == "1.25"


@pytest.mark.parametrize(
    "text", ["2026-01-26T15:00:00Z", "2026-01-26T15:00:00.000+00:00", "2026-01-26T10:00:00-05:00", "1769439600"]
)
def test_time_is_kept_in_utc(text: str) -> None:
    at = _Model.model_validate({"at": text}).at
    assert at == datetime(2026, 1, 26, 15, tzinfo=UTC)
    assert at is not None
    assert at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("bad", ["2026-01-26T15:00:00", "2026-01-26", "soon", True])
def test_time_without_a_zone_is_invalid(bad: object) -> None:
    with pytest.raises(ValidationError):
        _Model.model_validate({"at": bad})


@pytest.mark.parametrize("bad", ["", "a" * 101, "a\nb", "a\x1fb", "a\u2028b"])
def test_name_is_1_to_100_printable_characters(bad: str) -> None:
    with pytest.raises(ValidationError):
        _Model.model_validate({"name": bad})


def test_name_may_have_100_characters() -> None:
    assert _Model(name="é" * 100).name == "é" * 100


@pytest.mark.parametrize(("text", "microseconds"), [("0.5", 500_000), ("120", 120_000_000), ("0.0000019", 1)])
def test_seconds_become_a_timedelta_exact_to_the_microsecond(text: str, microseconds: int) -> None:
    assert seconds(Decimal(text)) == timedelta(microseconds=microseconds)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("2026-01-26T15:45:00.999-05:00", "2026-01-26 20:45:00 UTC (15:45:00 New York)"),
        ("2026-07-26T20:45:00+00:00", "2026-07-26 20:45:00 UTC (16:45:00 New York)"),
        ("2026-01-27T04:59:59+00:00", "2026-01-27 04:59:59 UTC (2026-01-26 23:59:59 New York)"),
        ("0001-01-01T00:00:00+00:00", "1-01-01 00:00:00 UTC"),
    ],
)
def test_time_is_shown_in_utc_and_in_new_york_to_the_second(at: str, text: str) -> None:
    assert format_time(datetime.fromisoformat(at)).lstrip("0") == text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("2026-01-26T20:45:00+00:00", "20:45:00 UTC (15:45:00 New York)"),
        ("2026-01-27T01:00:00+00:00", "01:00:00 UTC (2026-01-26 20:00:00 New York)"),
    ],
)
def test_time_of_day_names_the_date_of_new_york_where_it_differs(at: str, text: str) -> None:
    assert format_clock(datetime.fromisoformat(at)) == text


@pytest.mark.parametrize(
    ("quantity", "text"),
    [("5.802391846", "5.8024"), ("2.10", "2.1"), ("3", "3"), ("0.000012", "0.000012"), ("0", "0")],
)
def test_shares_in_messages_have_four_decimals_unless_those_are_zero(quantity: str, text: str) -> None:
    assert format_shares(Decimal(quantity)) == text


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the time zone of the machine to Tokyo."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_time_zone_of_the_machine_changes_nothing() -> None:
    at = datetime(2026, 1, 26, 20, 45, tzinfo=UTC)

    assert format_time(at) == "2026-01-26 20:45:00 UTC (15:45:00 New York)"
    assert _Model.model_validate({"at": "2026-01-26T15:45:00-05:00"}).at == at
    assert _Model.model_validate({"at": "2026-01-26T15:45:00-05:00"}).model_dump(mode="json")["at"].endswith("Z")
