"""Validation of credentials, whose values are never shown."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.domain.errors import ConfigurationError

SECRET = "s3cr3t-value"
SECRET_DOCUMENT: dict[str, Any] = {"api_key": "PK123", "secret_key": SECRET, "account_number": "PA9"}


def test_complete_secret_is_parsed() -> None:
    credentials = Credentials.parse(SECRET_DOCUMENT, "alpaca/main")

    assert (credentials.api_key, credentials.secret_key, credentials.account_number) == ("PK123", SECRET, "PA9")


def test_account_number_is_optional() -> None:
    assert Credentials.parse({"api_key": "PK123", "secret_key": SECRET}, "alpaca/main").account_number is None


def test_representation_hides_keys() -> None:
    credentials = Credentials.parse(SECRET_DOCUMENT, "alpaca/main")

    for text in (repr(credentials), str(credentials), f"{credentials}"):
        assert SECRET not in text
        assert "PK123" not in text
        assert "PA9" in text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"api_key": None}, "alpaca/main.api_key"),
        ({"api_key": ""}, "alpaca/main.api_key"),
        ({"api_key": 5}, "alpaca/main.api_key"),
        ({"secret_key": None}, "alpaca/main.secret_key"),
        ({"secret_key": f"{SECRET}\n"}, "alpaca/main.secret_key"),
        ({"secret_key": f"{SECRET} "}, "alpaca/main.secret_key"),
        ({"secret_key": f"{SECRET}é"}, "alpaca/main.secret_key"),
        ({"account_number": ""}, "alpaca/main.account_number"),
        ({"account_number": 5}, "alpaca/main.account_number"),
    ],
)
def test_invalid_key_is_named_without_its_value(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Credentials.parse(SECRET_DOCUMENT | change, "alpaca/main")

    assert caught.value.field == field
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("document", [None, [], "text", 5])
def test_secret_that_is_not_an_object_is_named(document: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Credentials.parse(document, "alpaca/main")

    assert caught.value.field == "alpaca/main"
