"""The environment as typed settings. Every variable of the function is declared here."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from rebalance_executor.domain.errors import ConfigurationError, LiveNotAllowed
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.order_ids import LOCAL_DEPLOYMENT

PAPER_URL = "https://paper-api.alpaca.markets"
LIVE_URL = "https://api.alpaca.markets"
DATA_URL = "https://data.alpaca.markets"
ACCOUNT_PLACEHOLDER = "{account}"
"""Placeholder for the account's name in a secret's name."""

_PLAIN_AUTHORITY = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?", re.ASCII)
"""Host and port. Other spellings of a host, such as full-width dots, would pass the comparison with the live host."""

_FILE_TABLES = {"EXECUTION_TABLE": "execution", "IDEMPOTENCY_TABLE": "idempotency"}
"""Names of the tables in a journal file."""

_SECRET_PREFIX = re.compile(r"[^A-Za-z0-9]*[A-Za-z0-9]", re.ASCII)


def validate_url(url: str, variable: str) -> str:
    """Return an endpoint without its trailing slash.

    Raises:
        ConfigurationError: empty (alpaca-py would silently use the real API), not http(s), a host that is not a plain
            name or address, or plain http to a host other than this machine (the credentials are sent in headers).
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(variable, "must be an http(s) URL with a host")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ConfigurationError(
            variable, f"plain http is allowed only to this machine, not to {parts.hostname}; use https"
        )
    if not _PLAIN_AUTHORITY.fullmatch(parts.netloc):
        raise ConfigurationError(
            variable, "must have a host in plain letters, digits, dots and hyphens, and no user name or escapes"
        )
    return url.strip().rstrip("/")


def _host(url: str) -> str:
    """Return a URL's host in lower case, without the dot that may end a name."""
    return (urlsplit(url).hostname or "").rstrip(".")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Settings(BaseModel):
    """The settings in the function's environment. Their representation does not show secrets."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    execution_table: str = Field(
        validation_alias="EXECUTION_TABLE", description="DynamoDB table of journal, results and asset flags."
    )
    idempotency_table: str = Field(
        validation_alias="IDEMPOTENCY_TABLE", description="DynamoDB table of the idempotency records."
    )
    journal_file: Path | None = Field(
        default=None,
        validation_alias="JOURNAL_FILE",
        description="SQLite file that holds the journal instead of the two tables, for use without AWS.",
    )
    deployment: str = Field(
        default=LOCAL_DEPLOYMENT,
        max_length=300,
        validation_alias="DEPLOYMENT",
        description="Name of this deployment, unique among those that could have keys of one broker account. Client "
        "order IDs contain its hash. Programs that share an execution table have one name.",
    )
    account: str = Field(
        default="default",
        min_length=1,
        max_length=100,
        validation_alias="ACCOUNT",
        description="Account of plans that do not name one.",
    )
    accounts: tuple[str, ...] = Field(
        default=(),
        validation_alias="ACCOUNTS",
        description="Names of all accounts that plans may name, separated by commas, including `ACCOUNT`. Without it, "
        "every account that has a secret is served.",
    )
    alpaca_secret_name: str | None = Field(
        default=None,
        validation_alias="ALPACA_SECRET_NAME",
        description="Secret with `api_key`, `secret_key` and optionally `account_number`; `{account}` is replaced by "
        "the account's name.",
    )
    alpaca_api_key: SecretStr | None = Field(
        default=None, validation_alias="ALPACA_API_KEY", description="API key, instead of the secret, for local use."
    )
    alpaca_secret_key: SecretStr | None = Field(
        default=None, validation_alias="ALPACA_SECRET_KEY", description="Secret key that belongs to `ALPACA_API_KEY`."
    )
    alpaca_keys_file: Path | None = Field(
        default=None,
        validation_alias="ALPACA_KEYS_FILE",
        description="File of mode 600 with the fields of the secret, instead of the secret.",
    )
    alpaca_keyring: str | None = Field(
        default=None,
        validation_alias="ALPACA_KEYRING",
        description="Entry of the system's keyring with the fields of the secret, instead of the secret. Needs the "
        "optional package `keyring`.",
    )
    alpaca_account_number: str | None = Field(
        default=None,
        validation_alias="ALPACA_ACCOUNT_NUMBER",
        description="Number of the broker account that the keys on this machine must belong to. Plans are denied "
        "`ACCOUNT_MISMATCH` if the keys belong to another one.",
    )
    alpaca_paper: bool = Field(
        default=True, validation_alias="ALPACA_PAPER", description="`true` for paper trading, `false` for real money."
    )
    live_trading: str = Field(
        default="",
        validation_alias="LIVE_TRADING",
        description="Must be `yes` for real money, in addition to `ALPACA_PAPER`.",
    )
    alpaca_trading_url: str | None = Field(
        default=None,
        validation_alias="ALPACA_TRADING_URL",
        description="Trading endpoint, instead of Alpaca's for paper or live; plain http only to this machine.",
    )
    alpaca_data_url: str = Field(
        default=DATA_URL,
        validation_alias="ALPACA_DATA_URL",
        description="Market-data endpoint; plain http only to this machine.",
    )
    plan_queue_url: str | None = Field(
        default=None,
        validation_alias="PLAN_QUEUE_URL",
        description="URL of the queue that delivers plans. The function sets when a message is redelivered; without "
        "the URL, the queue's visibility timeout applies.",
    )
    execution_config: str = Field(
        default="",
        validation_alias="EXECUTION_CONFIG",
        description="JSON object that overrides the defaults of the execution settings.",
    )
    plan_bucket: str | None = Field(
        default=None, validation_alias="PLAN_BUCKET", description="The only bucket that plan pointers may name."
    )
    result_bus: str | None = Field(
        default=None, validation_alias="RESULT_BUS", description="Event bus for `RebalanceExecuted` events."
    )
    result_topic: str | None = Field(
        default=None,
        validation_alias="RESULT_TOPIC",
        description="ARN of the SNS topic for a readable notification of each result.",
    )
    idempotency_disabled: str = Field(default="", validation_alias="POWERTOOLS_IDEMPOTENCY_DISABLED")

    @model_validator(mode="before")
    @classmethod
    def _tables_or_file(cls, variables: dict[str, Any]) -> dict[str, Any]:
        if "JOURNAL_FILE" not in variables:
            return variables
        if tables := [name for name in _FILE_TABLES if name in variables]:
            raise ConfigurationError("JOURNAL_FILE", f"replaces {' and '.join(tables)}; set one or the other")
        return {**variables, **_FILE_TABLES}

    @field_validator("accounts", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value

    @field_validator("alpaca_secret_name")
    @classmethod
    def _secret_has_a_prefix(cls, name: str | None) -> str | None:
        if name is not None and ACCOUNT_PLACEHOLDER in name:
            prefix = name.partition(ACCOUNT_PLACEHOLDER)[0]
            if not _SECRET_PREFIX.match(prefix):
                raise ConfigurationError(
                    "ALPACA_SECRET_NAME",
                    f"must have letters or digits before {ACCOUNT_PLACEHOLDER}, as in alpaca/{ACCOUNT_PLACEHOLDER}: "
                    "without them an account's name could select any secret",
                )
        return name

    @field_validator("alpaca_trading_url")
    @classmethod
    def _trading_url(cls, url: str | None) -> str | None:
        return validate_url(url, "ALPACA_TRADING_URL") if url is not None else None

    @field_validator("alpaca_data_url")
    @classmethod
    def _data_url(cls, url: str) -> str:
        return validate_url(url, "ALPACA_DATA_URL")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.alpaca_paper and self.live_trading != "yes":
            raise LiveNotAllowed(
                "LIVE_TRADING", "live trading needs LIVE_TRADING=yes; for paper trading set ALPACA_PAPER=true"
            )
        if self.alpaca_paper and _host(self.trading_url) == _host(LIVE_URL):
            raise LiveNotAllowed("ALPACA_TRADING_URL", "is the live endpoint, but ALPACA_PAPER selects paper trading")
        if self.accounts and self.account not in self.accounts:
            raise ConfigurationError("ACCOUNTS", f"must contain {self.account}, the account of plans that name none")
        if self.idempotency_disabled:
            raise ConfigurationError(
                "POWERTOOLS_IDEMPOTENCY_DISABLED", "must not be set: it disables the idempotency check"
            )
        return self

    @property
    def trading_url(self) -> str:
        """The trading endpoint: ``ALPACA_TRADING_URL``, or Alpaca's for paper or live."""
        return self.alpaca_trading_url or (PAPER_URL if self.alpaca_paper else LIVE_URL)

    @property
    def broker_kind(self) -> BrokerKind:
        """Kind of account behind the endpoint. Real money is what ``ALPACA_PAPER`` says, whatever the endpoint is."""
        if not self.alpaca_paper:
            return BrokerKind.LIVE
        return BrokerKind.SIMULATED if _is_loopback(_host(self.trading_url)) else BrokerKind.PAPER


def load_settings() -> Settings:
    """Return the settings in the environment. An empty variable counts as unset.

    Raises:
        ConfigurationError: a variable is missing or invalid; the message names it and never contains its value.
        LiveNotAllowed: real money without the explicit switches for it.
    """
    return parse_settings(os.environ)


def parse_settings(variables: Mapping[str, str | None]) -> Settings:
    """Return the settings in these variables. An empty variable counts as unset.

    Raises:
        ConfigurationError, LiveNotAllowed: as for ``load_settings``.
    """
    try:
        return Settings.model_validate({name: value for name, value in variables.items() if value})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        variable = str(first["loc"][0]) if first["loc"] else "environment"
        missing = first["type"] == "missing"
        raise ConfigurationError(variable, "is not set" if missing else first["msg"]) from None
