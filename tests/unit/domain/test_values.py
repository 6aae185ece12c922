"""Amounts, times and names as they come in and go out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from rebalance_executor.domain.values import Amount, Name, Timestamp, format_decimal, format_utc, seconds
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
def test_an_amount_may_be_a_text_or_a_number(given_value: object, amount: str) -> None:
    """Production failure 33: "0E+20" is a zero, and values carry 28 digits."""
    assert _Model.model_validate({"amount": given_value}).amount == Decimal(amount)


@pytest.mark.parametrize(
    "bad",
    ["NaN", "sNaN", "Infinity", "-Infinity", float("nan"), float("inf"), "", "ten", "1,000", None, True, [1], {"a": 1}],
)
def test_what_is_not_a_finite_number_is_refused(bad: object) -> None:
    with pytest.raises(ValidationError):
        _Model.model_validate({"amount": bad})


@pytest.mark.parametrize("bad", ["1E+16", "-1E+16", "1E+999999999", "1E-61", "1E-999999999"])
def test_an_amount_beyond_reason_is_refused_before_it_fills_memory(bad: str) -> None:
    with pytest.raises(ValidationError, match="outside the range of amounts"):
        _Model.model_validate({"amount": bad})


def test_an_amount_is_plain_text_in_json() -> None:
    assert _Model(amount=Decimal("1.2500")).model_dump(mode="json")["amount"] == "1.25"


@pytest.mark.parametrize(
    "text", ["2026-01-26T15:00:00Z", "2026-01-26T15:00:00.000+00:00", "2026-01-26T10:00:00-05:00", "1769439600"]
)
def test_a_time_is_held_in_utc(text: str) -> None:
    at = _Model.model_validate({"at": text}).at
    assert at == datetime(2026, 1, 26, 15, tzinfo=UTC)
    assert at is not None
    assert at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("bad", ["2026-01-26T15:00:00", "2026-01-26", "soon", True])
def test_a_time_without_zone_or_meaning_is_refused(bad: object) -> None:
    with pytest.raises(ValidationError):
        _Model.model_validate({"at": bad})


@pytest.mark.parametrize("bad", ["", "a" * 101, "a\nb", "a\x1fb", "a\u2028b"])
def test_a_name_is_1_to_100_printable_characters(bad: str) -> None:
    with pytest.raises(ValidationError):
        _Model.model_validate({"name": bad})


def test_a_name_may_have_100_characters() -> None:
    assert _Model(name="é" * 100).name == "é" * 100


@pytest.mark.parametrize(("text", "microseconds"), [("0.5", 500_000), ("120", 120_000_000), ("0.0000019", 1)])
def test_seconds_become_a_span_exact_to_the_microsecond(text: str, microseconds: int) -> None:
    assert seconds(Decimal(text)) == timedelta(microseconds=microseconds)


def test_a_time_is_told_to_people_in_utc_to_the_second() -> None:
    in_new_york = datetime.fromisoformat("2026-01-26T15:45:00.999-05:00")

    assert format_utc(in_new_york) == "2026-01-26 20:45:00 UTC"


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's own time zone is not UTC."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_the_machines_own_time_zone_changes_nothing() -> None:
    at = datetime(2026, 1, 26, 20, 45, tzinfo=UTC)

    assert format_utc(at) == "2026-01-26 20:45:00 UTC"
    assert _Model.model_validate({"at": "2026-01-26T15:45:00-05:00"}).at == at
    assert _Model.model_validate({"at": "2026-01-26T15:45:00-05:00"}).model_dump(mode="json")["at"].endswith("Z")
