"""The shape of credentials, and that they never show."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.domain.errors import ConfigurationError

SECRET = "s3cr3t-value"
WHOLE: dict[str, Any] = {"api_key": "PK123", "secret_key": SECRET, "account_number": "PA9"}


def test_given_a_whole_secret_when_parsed_then_everything_is_there() -> None:
    found = Credentials.parse(WHOLE, "alpaca/main")

    assert (found.api_key, found.secret_key, found.account_number) == ("PK123", SECRET, "PA9")


def test_given_no_account_number_when_parsed_then_there_is_none() -> None:
    assert Credentials.parse({"api_key": "PK123", "secret_key": SECRET}, "alpaca/main").account_number is None


def test_given_credentials_when_shown_then_no_key_shows() -> None:
    found = Credentials.parse(WHOLE, "alpaca/main")

    for shown in (repr(found), str(found), f"{found}"):
        assert SECRET not in shown
        assert "PK123" not in shown
        assert "PA9" in shown


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
def test_given_a_key_that_is_missing_or_unusable_when_parsed_then_it_is_named_and_no_value_shows(
    change: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Credentials.parse(WHOLE | change, "alpaca/main")

    assert caught.value.field == field
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("document", [None, [], "text", 5])
def test_given_no_object_when_parsed_then_the_secret_is_named(document: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Credentials.parse(document, "alpaca/main")

    assert caught.value.field == "alpaca/main"
