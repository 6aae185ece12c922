"""JSON texts: bounded numbers, no key twice, any Unicode encoding, and only ``InvalidInput`` as an error."""

from __future__ import annotations

import codecs
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.json_text import decode_json

DOCUMENT: Any = {"plan_id": "plän-1", "items": [{"symbol": "AAA", "weight": 0.1, "priority": 1, "note": None}]}


def error_of(text: str | bytes) -> InvalidInput:
    with pytest.raises(InvalidInput) as raised:
        decode_json(text)
    return raised.value


@pytest.mark.parametrize(
    "number", ["1e10000000", "-1e10000000", "1e9999999999999999999", "1e309", "9" * 309, "9" * 200_000]
)
@pytest.mark.parametrize(
    ("text", "field"),
    [("%s", "$"), ('{"priority": %s}', "priority"), ('{"items": [{"a": 1}, {"weight": %s}]}', "items.1.weight")],
    ids=["alone", "in an object", "in an item"],
)
def test_number_beyond_a_double_is_refused_at_once_with_its_field(number: str, text: str, field: str) -> None:
    started = time.process_time()
    error = error_of(text % number)
    assert error.field == field
    assert error.problem.endswith("numbers must be below 10^308")
    assert len(error.problem) < 100
    assert time.process_time() - started < 1


@pytest.mark.parametrize("number", ["1e-10000000", "0e10000000", "1e-9999999999999999999"])
def test_number_too_small_for_a_double_is_zero(number: str) -> None:
    assert decode_json(number) == 0


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300))
def test_number_is_what_lambda_makes_of_it(number: float) -> None:
    assert decode_json(repr(number)) == json.loads(repr(number))


def test_digits_beyond_a_double_are_rounded_as_by_lambda() -> None:
    text = "0.02666809368770691465719278284"
    assert repr(decode_json(text)) == repr(json.loads(text)) == "0.026668093687706916"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"trade_amount": 1000, "trade_amount": 90000}', "trade_amount"),
        ('{"items": [{"a": 1}, {"a": 1, "b": 2, "a": 1}]}', "items.1.a"),
        ('{"a": {"": 1, "": 2}}', "a."),
    ],
)
def test_key_that_an_object_has_twice_is_named(text: str, field: str) -> None:
    error = error_of(text)
    assert error.field == field
    assert "more than once" in error.problem


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", b""),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-32-le", codecs.BOM_UTF32_LE),
    ],
)
def test_bytes_in_every_encoding_are_the_same_document(encoding: str, mark: bytes) -> None:
    assert decode_json(mark + json.dumps(DOCUMENT, ensure_ascii=False).encode(encoding)) == DOCUMENT


def test_text_may_start_with_a_byte_order_mark() -> None:
    assert decode_json("\ufeff" + json.dumps(DOCUMENT)) == DOCUMENT


@pytest.mark.parametrize("text", ["", b"", b"\xff\xfe\xfd", "\ufeff\ufeff{}", "[" * 200_000, '{"a":' * 200_000, "NaN"])
def test_text_that_is_not_json_is_refused(text: str | bytes) -> None:
    assert error_of(text).field == "$"


@given(st.text() | st.binary() | st.from_regex(r'[\[{]("a": ?)?-?[0-9]{1,20}(\.[0-9]+)?([eE][+-]?[0-9]{1,25})?[\]}]'))
def test_every_text_is_decoded_or_refused(text: str | bytes) -> None:
    try:
        decode_json(text)
    except InvalidInput as error:
        assert error.field  # noqa: PT017 - either outcome is correct
