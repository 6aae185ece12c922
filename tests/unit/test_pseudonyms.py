"""Replacement of account data: by field, and by form within texts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rebalance_cli.queries.pseudonyms import REMOVED, Pseudonyms

ORDER = "c63fb96f-fd2d-4d23-8fe4-184f59ac4435"
CLIENT = "rb1-0a1b2c3d-0123456789abcdef0123-AAPL-1"


def replaced(*documents: Any) -> list[Any]:
    pseudonyms = Pseudonyms(documents, generic=("default",))
    return [pseudonyms.replaced(document) for document in documents]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"order {ORDER} is open", "order id-1 is open"),
        (f"it sent {CLIENT}", "it sent client-order-1"),
        ("the credentials belong to account 987654321", "the credentials belong to account account-number-1"),
        ("account_number is 123456789", "account_number is account-number-1"),
        ("account PA3ABCDEF012 is ACTIVE", "account account-number-1 is ACTIVE"),
        (
            "broker account PA1234567 belongs to account growth; x",
            "broker account account-number-1 belongs to account account-1; x",
        ),
        ("key PKABCDEFGHIJKLMNOPQR failed", "key key-1 failed"),
        ("arn:aws:sqs:eu-west-1:123456789012:plans", "arn:aws:sqs:eu-west-1:aws-account-1:plans"),
        ("read from s3://acme-plans/2026.json", "read from s3://bucket-1/2026.json"),
        (
            "halted, set by ana maria at 2026-01-26 14:00:00 UTC: drill",
            "halted, set by person-1 at 2026-01-26 14:00:00 UTC: drill",
        ),
        ("notify ana@example.com", "notify email-1"),
    ],
)
def test_account_data_in_a_text_is_found_by_its_form(text: str, expected: str) -> None:
    assert replaced({"reason": text}) == [{"reason": expected}]


@pytest.mark.parametrize(
    "value",
    [
        "AAPL",
        "1234567890.12",
        "0.123456789012",
        "2026-01-26T14:33:10+00:00",
        "limit 255.42 for 5.87291 shares",
        5,
        None,
    ],
)
def test_symbols_amounts_and_times_stay(value: object) -> None:
    assert replaced({"reason": value}) == [{"reason": value}]


def test_value_of_a_field_is_replaced_in_the_texts_of_every_document() -> None:
    first, second = replaced({"reason": "PLAN#growth#1 of growth"}, {"account": "growth", "order_id": "7"})

    assert first == {"reason": "PLAN#account-1#1 of account-1"}
    assert second == {"account": "account-1", "order_id": "order-1"}


def test_name_that_is_a_part_of_a_word_stays() -> None:
    assert replaced({"account": "gro"}, {"reason": "growth"})[1] == {"reason": "growth"}


def test_longer_values_are_replaced_before_their_parts() -> None:
    assert replaced([{"account": "ira"}, {"account": "ira-2"}, "ira-2"])[0][2] == "account-2"


def test_generic_name_stays() -> None:
    assert replaced({"account": "default", "reason": "by default"}) == [{"account": "default", "reason": "by default"}]


def test_keys_of_objects_are_replaced_too() -> None:
    assert replaced({"orders": {ORDER: 1}}) == [{"orders": {"id-1": 1}}]


def test_metadata_is_removed_completely() -> None:
    assert replaced({"metadata": {"owner": {"name": "Ana"}}}) == [{"metadata": REMOVED}]


def test_equal_values_have_one_pseudonym_and_their_places_are_counted() -> None:
    documents = [{"order_id": ORDER}, {"order_id": ORDER, "reason": f"{ORDER} and {ORDER}"}, {"order_id": "8"}]
    pseudonyms = Pseudonyms(documents)
    text = json.dumps(pseudonyms.replaced(documents))

    assert ORDER not in text
    assert pseudonyms.uses == {"order-1": 4, "order-2": 1}
