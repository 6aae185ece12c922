"""Credentials by account, from Secrets Manager and from the environment."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError

from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.adapters.secrets import (
    LocalCredentials,
    SecretCredentials,
    credentials_source,
)
from rebalance_executor.adapters.stored_keys import write_keys_file
from rebalance_executor.domain.errors import (
    ConfigurationError,
    LiveNotAllowed,
    PlanSourceUnavailable,
    UnknownAccount,
)
from rebalance_executor.settings import Settings, load_settings
from tests.support.aws import Tampered, aws, client_error, once

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SECRET = "s3cr3t-value"
KEYS = {"api_key": "PK-main", "secret_key": SECRET}


class Manager(Tampered):
    """A Secrets Manager client with ``meta``, on which Powertools registers its handlers."""

    def __init__(self, client: SecretsManagerClient) -> None:
        super().__init__(client)
        self.meta = client.meta


@pytest.fixture
def manager() -> Iterator[Manager]:
    with aws() as session:
        client = session.client("secretsmanager")
        client.create_secret(Name="alpaca/main", SecretString=json.dumps(KEYS))
        client.create_secret(Name="alpaca/other", SecretString=json.dumps(KEYS | {"api_key": "PK-other"}))
        yield Manager(client)
        client.close()


def source(manager: Manager, name: str = "alpaca/{account}", *, needs_number: bool = False) -> SecretCredentials:
    return SecretCredentials(cast("SecretsManagerClient", manager), name, "main", needs_number=needs_number)


def store(manager: Manager, name: str, **secret: Any) -> None:
    client = cast("SecretsManagerClient", manager)
    client.create_secret(Name=name, **secret)


def test_secret_is_not_logged_even_at_debug(manager: Manager, caplog: pytest.LogCaptureFixture) -> None:
    """botocore logs the bodies of all responses at DEBUG."""
    with caplog.at_level(logging.DEBUG):
        assert source(manager).credentials("main").secret_key == SECRET
    assert SECRET not in caplog.text


# --- secrets ---------------------------------------------------------------------------------------------


def test_each_account_gets_its_own_secret(manager: Manager) -> None:
    secrets = source(manager)

    assert secrets.credentials("main") == Credentials("PK-main", SECRET)
    assert secrets.credentials("other") == Credentials("PK-other", SECRET)


def test_secret_is_cached(manager: Manager) -> None:
    secrets = source(manager)

    secrets.credentials("main")
    secrets.credentials("main")

    assert manager.count("get_secret_value") == 1


def test_cleared_cache_reads_rotated_keys(manager: Manager) -> None:
    secrets = source(manager)
    secrets.credentials("main")
    rotated = json.dumps(KEYS | {"api_key": "PK-new"})
    cast("SecretsManagerClient", manager).put_secret_value(SecretId="alpaca/main", SecretString=rotated)

    secrets.clear_cache()

    assert secrets.credentials("main").api_key == "PK-new"


def test_account_without_a_secret_is_unknown(
    manager: Manager,
) -> None:
    with pytest.raises(UnknownAccount, match=r"'third'.*another account's are never used"):
        source(manager).credentials("third")

    assert [request["SecretId"] for _, request in manager.calls] == ["alpaca/third"]


@pytest.mark.parametrize("account", ["../main", "main/..", "a b", "", "main*", "ma\u0131n", "x" * 101, "main\n"])
def test_unsafe_account_name_is_unknown_and_reads_nothing(manager: Manager, account: str) -> None:
    with pytest.raises(UnknownAccount):
        source(manager).credentials(account)

    assert manager.calls == []


def test_secret_name_without_placeholder_belongs_to_the_deployed_account(
    manager: Manager,
) -> None:
    secrets = source(manager, "alpaca/main")

    assert secrets.credentials("main").api_key == "PK-main"
    with pytest.raises(UnknownAccount):
        secrets.credentials("other")


def test_binary_secret_is_read(manager: Manager) -> None:
    store(manager, "alpaca/binary", SecretBinary=json.dumps(KEYS).encode())

    assert source(manager).credentials("binary") == Credentials("PK-main", SECRET)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (f"{SECRET} is no JSON", "alpaca/broken"),
        (f'["{SECRET}"]', "alpaca/broken"),
        ("null", "alpaca/broken"),
        (json.dumps({"secret_key": SECRET}), "alpaca/broken.api_key"),
        (json.dumps({"api_key": "PK", "secret_key": f"{SECRET}\n"}), "alpaca/broken.secret_key"),
    ],
)
def test_malformed_secret_is_named_without_its_value(manager: Manager, text: str, field: str) -> None:
    store(manager, "alpaca/broken", SecretString=text)

    with pytest.raises(ConfigurationError) as caught:
        source(manager).credentials("broken")

    assert caught.value.field == field
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (client_error("ResourceNotFoundException"), UnknownAccount),
        (client_error("AccessDeniedException"), ConfigurationError),
        (client_error("DecryptionFailure"), ConfigurationError),
        (client_error("InvalidRequestException", "scheduled for deletion"), ConfigurationError),
        (client_error("InternalServiceError"), PlanSourceUnavailable),
        (client_error("ThrottlingException"), PlanSourceUnavailable),
        (ReadTimeoutError(endpoint_url="http://secrets"), PlanSourceUnavailable),
    ],
    ids=str,
)
def test_secrets_manager_errors_are_typed(manager: Manager, error: Exception, expected: type[Exception]) -> None:
    manager.before = once(error, "get_secret_value")

    with pytest.raises(expected) as caught:
        source(manager).credentials("main")

    assert type(caught.value) is expected


def test_live_secret_without_account_number_is_rejected(manager: Manager) -> None:
    store(manager, "alpaca/live", SecretString=json.dumps(KEYS | {"account_number": "123"}))
    secrets = source(manager, needs_number=True)

    assert secrets.credentials("live").account_number == "123"
    with pytest.raises(ConfigurationError, match=r"alpaca/main\.account_number"):
        secrets.credentials("main")


# --- environment -----------------------------------------------------------------------------------------


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    names = ("ALPACA_SECRET_NAME", "ALPACA_API_KEY", "ALPACA_SECRET_KEY", "ALPACA_PAPER", "LIVE_TRADING", "ACCOUNT")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    given: Mapping[str, str] = {"EXECUTION_TABLE": "e", "IDEMPOTENCY_TABLE": "i", "ACCOUNT": "main"} | variables
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def no_client() -> SecretsManagerClient:
    raise AssertionError("no client is needed")


def test_environment_keys_belong_to_the_deployed_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configured = settings(
        monkeypatch, ALPACA_API_KEY="PK-env", ALPACA_SECRET_KEY=SECRET, ALPACA_SECRET_NAME="x/{account}"
    )

    keys = credentials_source(configured, no_client)

    assert keys.credentials("main") == Credentials("PK-env", SECRET)
    with pytest.raises(UnknownAccount):
        keys.credentials("other")


def test_cleared_cache_keeps_environment_keys() -> None:
    keys = LocalCredentials("main", lambda: Credentials("PK-env", SECRET))

    keys.clear_cache()

    assert keys.credentials("main").api_key == "PK-env"


def test_secret_name_selects_secrets_manager(monkeypatch: pytest.MonkeyPatch, manager: Manager) -> None:
    configured = settings(monkeypatch, ALPACA_SECRET_NAME="alpaca/{account}")

    secrets = credentials_source(configured, lambda: cast("SecretsManagerClient", manager))

    assert secrets.credentials("other").api_key == "PK-other"


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({}, "ALPACA_SECRET_NAME"),
        ({"ALPACA_API_KEY": "PK"}, "ALPACA_SECRET_KEY"),
        ({"ALPACA_SECRET_KEY": SECRET}, "ALPACA_API_KEY"),
        ({"ALPACA_API_KEY": "P K", "ALPACA_SECRET_KEY": SECRET}, "ALPACA_API_KEY"),
        (
            {"ALPACA_API_KEY": "PK", "ALPACA_SECRET_KEY": SECRET, "ALPACA_PAPER": "false", "LIVE_TRADING": "yes"},
            "ALPACA_API_KEY",
        ),
    ],
)
def test_missing_or_invalid_credentials_name_the_variable(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], field: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        credentials_source(settings(monkeypatch, **variables), no_client)

    assert caught.value.field == field
    assert SECRET not in str(caught.value)


def test_live_trading_requires_an_account_number_in_the_secret(
    monkeypatch: pytest.MonkeyPatch, manager: Manager
) -> None:
    configured = settings(monkeypatch, ALPACA_SECRET_NAME="alpaca/{account}", ALPACA_PAPER="false", LIVE_TRADING="yes")

    secrets = credentials_source(configured, lambda: cast("SecretsManagerClient", manager))

    with pytest.raises(ConfigurationError, match="account_number"):
        secrets.credentials("main")


# --- keys on this machine --------------------------------------------------------------------------------


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    write_keys_file(path, Credentials("PK-file", SECRET, "PA1"))
    return path


def test_keys_file_belongs_to_the_configured_account(monkeypatch: pytest.MonkeyPatch, keys_file: Path) -> None:
    keys = credentials_source(settings(monkeypatch, ALPACA_KEYS_FILE=str(keys_file)), no_client)

    assert keys.credentials("main") == Credentials("PK-file", SECRET, "PA1")
    with pytest.raises(UnknownAccount):
        keys.credentials("other")


def test_replaced_keys_are_read_after_the_cache_is_cleared(monkeypatch: pytest.MonkeyPatch, keys_file: Path) -> None:
    keys = credentials_source(settings(monkeypatch, ALPACA_KEYS_FILE=str(keys_file)), no_client)
    keys.credentials("main")
    write_keys_file(keys_file, Credentials("PK-new", SECRET, "PA1"))

    assert keys.credentials("main").api_key == "PK-file"
    keys.clear_cache()
    assert keys.credentials("main").api_key == "PK-new"


@pytest.mark.parametrize(("number", "is_valid"), [("PA1", True), ("PA2", False)])
def test_expected_account_number_must_be_that_of_the_stored_keys(
    monkeypatch: pytest.MonkeyPatch, keys_file: Path, number: str, is_valid: bool
) -> None:
    configured = settings(monkeypatch, ALPACA_KEYS_FILE=str(keys_file), ALPACA_ACCOUNT_NUMBER=number)
    keys = credentials_source(configured, no_client)

    if is_valid:
        assert keys.credentials("main").account_number == number
        return
    with pytest.raises(ConfigurationError, match="ALPACA_ACCOUNT_NUMBER"):
        keys.credentials("main")


def test_expected_account_number_counts_for_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(monkeypatch, ALPACA_API_KEY="PK", ALPACA_SECRET_KEY=SECRET, ALPACA_ACCOUNT_NUMBER="PA1")

    assert credentials_source(configured, no_client).credentials("main").account_number == "PA1"


@pytest.mark.parametrize(
    "sources",
    [
        {"ALPACA_KEYS_FILE": "keys.json", "ALPACA_API_KEY": "PK", "ALPACA_SECRET_KEY": SECRET},
        {"ALPACA_KEYRING": "PA1", "ALPACA_API_KEY": "PK", "ALPACA_SECRET_KEY": SECRET},
        {"ALPACA_KEYRING": "PA1", "ALPACA_KEYS_FILE": "keys.json"},
    ],
)
def test_two_sources_of_keys_are_an_error(monkeypatch: pytest.MonkeyPatch, sources: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="keep one source"):
        credentials_source(settings(monkeypatch, **sources), no_client)


def test_live_trading_accepts_stored_keys_with_an_account_number_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys_file: Path
) -> None:
    live = {"ALPACA_PAPER": "false", "LIVE_TRADING": "yes"}
    unnumbered = tmp_path / "unnumbered.json"
    write_keys_file(unnumbered, Credentials("PK", SECRET))

    keys = credentials_source(settings(monkeypatch, ALPACA_KEYS_FILE=str(keys_file), **live), no_client)
    assert keys.credentials("main").account_number == "PA1"
    keys = credentials_source(settings(monkeypatch, ALPACA_KEYS_FILE=str(unnumbered), **live), no_client)
    with pytest.raises(LiveNotAllowed, match="ALPACA_ACCOUNT_NUMBER"):
        keys.credentials("main")
