"""Settings from the environment: missing and dangerous variables are named, secrets are hidden."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from rebalance_executor.domain.errors import ConfigurationError
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.settings import DATA_URL, LIVE_URL, PAPER_URL, Settings, load_settings, validate_url

Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that loads the settings from two tables and these variables; None removes a variable."""
    for name in os.environ:
        monkeypatch.delenv(name)

    def with_variables(**variables: str | None) -> Settings:
        tables: dict[str, str | None] = {"EXECUTION_TABLE": "execution", "IDEMPOTENCY_TABLE": "idempotency"}
        for name, value in (tables | variables).items():
            if value is not None:
                monkeypatch.setenv(name, value)
        return load_settings()

    return with_variables


def test_two_tables_suffice_and_select_paper_trading(load: Load) -> None:
    settings = load()
    assert (settings.execution_table, settings.idempotency_table) == ("execution", "idempotency")
    assert (settings.account, settings.alpaca_paper) == ("default", True)
    assert (settings.trading_url, settings.alpaca_data_url) == (PAPER_URL, DATA_URL)
    optional = (settings.alpaca_secret_name, settings.alpaca_api_key, settings.plan_bucket, settings.result_bus)
    assert optional == (None,) * 4


def test_every_variable_is_read(load: Load) -> None:
    settings = load(
        ACCOUNT="growth",
        ALPACA_SECRET_NAME="alpaca/{account}",
        ALPACA_TRADING_URL="http://127.0.0.1:8001/",
        ALPACA_DATA_URL="https://data.example/feed/",
        EXECUTION_CONFIG='{"max_children": 3}',
        PLAN_BUCKET="plans",
        RESULT_BUS="results",
    )
    assert (settings.account, settings.alpaca_secret_name) == ("growth", "alpaca/{account}")
    assert settings.trading_url == "http://127.0.0.1:8001"
    assert settings.alpaca_data_url == "https://data.example/feed"
    assert settings.execution_config == '{"max_children": 3}'
    assert (settings.plan_bucket, settings.result_bus) == ("plans", "results")


@pytest.mark.parametrize("table", ["EXECUTION_TABLE", "IDEMPOTENCY_TABLE"])
@pytest.mark.parametrize("value", [None, ""])
def test_missing_table_is_named(load: Load, table: str, value: str | None) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(**{table: value})
    assert (raised.value.field, raised.value.problem) == (table, "is not set")


# --- live trading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("switch", [None, "", "no", "true", "1", "YES", "yes "])
def test_live_trading_needs_an_explicit_switch(load: Load, switch: str | None) -> None:
    with pytest.raises(ConfigurationError, match="LIVE_NOT_ALLOWED") as raised:
        load(ALPACA_PAPER="false", LIVE_TRADING=switch)
    assert raised.value.field == "LIVE_TRADING"


def test_live_trading_uses_the_live_endpoint(load: Load) -> None:
    assert load(ALPACA_PAPER="false", LIVE_TRADING="yes").trading_url == LIVE_URL


def test_live_trading_switch_alone_keeps_paper_trading(load: Load) -> None:
    settings = load(LIVE_TRADING="yes")
    assert settings.alpaca_paper
    assert settings.trading_url == PAPER_URL


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({}, BrokerKind.PAPER),
        ({"ALPACA_TRADING_URL": "https://proxy.example"}, BrokerKind.PAPER),
        ({"ALPACA_TRADING_URL": "http://127.0.0.1:8001"}, BrokerKind.SIMULATED),
        ({"ALPACA_TRADING_URL": "http://localhost:8001"}, BrokerKind.SIMULATED),
        ({"ALPACA_PAPER": "false", "LIVE_TRADING": "yes"}, BrokerKind.LIVE),
        ({"ALPACA_PAPER": "false", "LIVE_TRADING": "yes", "ALPACA_TRADING_URL": "https://localhost"}, BrokerKind.LIVE),
    ],
)
def test_settings_say_what_the_broker_is(load: Load, variables: dict[str, str], kind: BrokerKind) -> None:
    assert load(**variables).broker_kind is kind


def test_invalid_boolean_is_rejected(load: Load) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(ALPACA_PAPER="maybe")
    assert raised.value.field == "ALPACA_PAPER"


# --- idempotency -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["1", "true", "false", "0"])
def test_idempotency_cannot_be_disabled(load: Load, value: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(POWERTOOLS_IDEMPOTENCY_DISABLED=value)
    assert raised.value.field == "POWERTOOLS_IDEMPOTENCY_DISABLED"


# --- endpoints -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://paper-api.alpaca.markets", "https://paper-api.alpaca.markets"),
        ("https://proxy.example/alpaca/", "https://proxy.example/alpaca"),
        (" https://proxy.example ", "https://proxy.example"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("http://127.8.8.8", "http://127.8.8.8"),
        ("http://localhost:8001/", "http://localhost:8001"),
        ("http://[::1]:8001", "http://[::1]:8001"),
        ("HTTP://LOCALHOST", "HTTP://LOCALHOST"),
    ],
)
def test_https_and_plain_http_to_this_machine_are_accepted(url: str, kept: str) -> None:
    assert validate_url(url, "ALPACA_TRADING_URL") == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://paper-api.alpaca.markets",
        "http://10.0.0.1",
        "http://0.0.0.0:8001",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://localhost@example.com",
        "http://127.1",
    ],
)
@pytest.mark.parametrize("variable", ["ALPACA_TRADING_URL", "ALPACA_DATA_URL"])
def test_plain_http_to_another_host_is_rejected(load: Load, url: str, variable: str) -> None:
    with pytest.raises(ConfigurationError, match="plain http") as raised:
        load(**{variable: url})
    assert raised.value.field == variable


@pytest.mark.parametrize("url", ["", "  ", "paper-api.alpaca.markets", "ftp://127.0.0.1", "https://", "file:///etc"])
def test_invalid_endpoint_is_rejected(url: str) -> None:
    """alpaca-py replaces an empty URL by its default."""
    with pytest.raises(ConfigurationError, match=r"must be an http\(s\) URL"):
        validate_url(url, "ALPACA_TRADING_URL")


@pytest.mark.parametrize(
    "url",
    [
        "https://api.alpaca.markets",
        "https://API.Alpaca.Markets:443/",
        "https://api.alpaca.markets.",
        "https://api.alpaca.markets..",
        "https://api.alpaca。markets",
        "https://api.alpaca．markets",
        "https://api｡alpaca.markets",
        "https://ａpi.alpaca.markets",
        "https://api%2Ealpaca.markets",
        "https://user@api.alpaca.markets",
        "https://paper-api.alpaca.markets\\@api.alpaca.markets",
        "https://api.alpaca\u00ad.markets",
    ],
)
def test_paper_trading_never_uses_the_live_endpoint_in_any_spelling(load: Load, url: str) -> None:
    with pytest.raises(ConfigurationError):
        load(ALPACA_TRADING_URL=url)


@pytest.mark.parametrize("name", ["{account}", "/{account}", "--{account}", "{account}/alpaca", "{account}{account}"])
def test_secret_name_needs_a_prefix_before_the_account(load: Load, name: str) -> None:
    with pytest.raises(ConfigurationError, match="letters or digits before") as raised:
        load(ALPACA_SECRET_NAME=name)
    assert raised.value.field == "ALPACA_SECRET_NAME"


@pytest.mark.parametrize("name", ["alpaca/{account}", "/alpaca/{account}/keys", "a-{account}", "one-secret"])
def test_secret_name_with_a_prefix_or_without_the_account_is_accepted(load: Load, name: str) -> None:
    assert load(ALPACA_SECRET_NAME=name).alpaca_secret_name == name


@pytest.mark.parametrize("variable", ["ALPACA_TRADING_URL", "ALPACA_DATA_URL"])
@pytest.mark.parametrize("url", ["  ", "paper-api.alpaca.markets", "http://[::1"])
def test_variable_of_an_invalid_endpoint_is_named(load: Load, variable: str, url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(**{variable: url})
    assert raised.value.field == variable


def test_empty_endpoint_counts_as_unset(load: Load) -> None:
    """The template passes empty parameters on; the default endpoints are then used explicitly."""
    settings = load(ALPACA_TRADING_URL="", ALPACA_DATA_URL="")
    assert (settings.trading_url, settings.alpaca_data_url) == (PAPER_URL, DATA_URL)


# --- secrets and names -----------------------------------------------------------------------------------


def test_representation_hides_secrets(load: Load) -> None:
    settings = load(ALPACA_API_KEY="PKSECRET", ALPACA_SECRET_KEY="TOPSECRET")
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "PKSECRET" not in shown
    assert "TOPSECRET" not in shown
    assert settings.alpaca_api_key is not None
    assert settings.alpaca_api_key.get_secret_value() == "PKSECRET"


def test_error_shows_no_value(load: Load) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(ALPACA_PAPER="maybe-TOPSECRET", ALPACA_SECRET_KEY="TOPSECRET")
    assert "TOPSECRET" not in f"{raised.value} {raised.value.context}"


def test_account_name_is_limited_to_100_characters(load: Load) -> None:
    assert load(ACCOUNT="a" * 100).account == "a" * 100
    with pytest.raises(ConfigurationError) as raised:
        load(ACCOUNT="a" * 101)
    assert raised.value.field == "ACCOUNT"


def test_served_accounts_are_separated_by_commas_and_optional(load: Load) -> None:
    assert load().accounts == ()
    assert load(ACCOUNT="main", ACCOUNTS="main, growth").accounts == ("main", "growth")


@pytest.mark.parametrize("accounts", ["growth", "growth,,main2", ","])
def test_served_accounts_contain_the_account_of_plans_that_name_none(load: Load, accounts: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(ACCOUNT="main", ACCOUNTS=accounts)
    assert raised.value.field == "ACCOUNTS"


def test_other_variables_are_ignored(load: Load) -> None:
    assert load(AWS_REGION="us-east-1", execution_table="another").execution_table == "execution"


# --- journal file ----------------------------------------------------------------------------------------


def test_journal_file_replaces_the_tables(load: Load) -> None:
    settings = load(EXECUTION_TABLE=None, IDEMPOTENCY_TABLE=None, JOURNAL_FILE="/data/journal.sqlite")

    assert str(settings.journal_file) == "/data/journal.sqlite"
    assert settings.execution_table != settings.idempotency_table


@pytest.mark.parametrize("missing", ["EXECUTION_TABLE", "IDEMPOTENCY_TABLE", None])
def test_journal_file_and_a_table_contradict_each_other(load: Load, missing: str | None) -> None:
    variables = {missing: None} if missing is not None else {}

    with pytest.raises(ConfigurationError, match="set one or the other") as raised:
        load(JOURNAL_FILE="/data/journal.sqlite", **variables)
    assert raised.value.field == "JOURNAL_FILE"
