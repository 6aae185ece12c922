"""The environment, typed. Every variable of the function stands here once."""

from __future__ import annotations

import ipaddress
import os
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from rebalance_executor.domain.errors import ConfigurationError, LiveNotAllowed

PAPER_URL = "https://paper-api.alpaca.markets"
LIVE_URL = "https://api.alpaca.markets"
DATA_URL = "https://data.alpaca.markets"


def validate_url(url: str, variable: str) -> str:
    """An endpoint without its trailing slash.

    Raises:
        ConfigurationError: empty (alpaca-py would silently take the real API), not http(s), or plain http to
            a host that is not this machine: credentials travel in headers.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(variable, "must be an http(s) URL with a host")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ConfigurationError(variable, f"plain http is allowed to this machine only, not to {parts.hostname}")
    return url.strip().rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Settings(BaseModel):
    """What the function is told by its environment. Secrets never show in its representation."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    execution_table: str = Field(
        validation_alias="EXECUTION_TABLE", description="DynamoDB table of journal, results and asset flags."
    )
    idempotency_table: str = Field(
        validation_alias="IDEMPOTENCY_TABLE", description="DynamoDB table of the front door."
    )
    account: str = Field(
        default="default",
        min_length=1,
        max_length=100,
        validation_alias="ACCOUNT",
        description="Name of the account for plans that name none.",
    )
    alpaca_secret_name: str | None = Field(
        default=None,
        validation_alias="ALPACA_SECRET_NAME",
        description="Secret with `api_key`, `secret_key` and perhaps `account_number`; `{account}` is filled in.",
    )
    alpaca_api_key: SecretStr | None = Field(
        default=None, validation_alias="ALPACA_API_KEY", description="Instead of the secret, for local use."
    )
    alpaca_secret_key: SecretStr | None = Field(
        default=None, validation_alias="ALPACA_SECRET_KEY", description="Belongs to `ALPACA_API_KEY`."
    )
    alpaca_paper: bool = Field(
        default=True, validation_alias="ALPACA_PAPER", description="Paper trading; `false` is real money."
    )
    live_trading: str = Field(
        default="", validation_alias="LIVE_TRADING", description="Must be `yes` for real money, besides `ALPACA_PAPER`."
    )
    alpaca_trading_url: str | None = Field(
        default=None,
        validation_alias="ALPACA_TRADING_URL",
        description="Another trading endpoint; plain http to this machine only.",
    )
    alpaca_data_url: str = Field(
        default=DATA_URL,
        validation_alias="ALPACA_DATA_URL",
        description="Another market-data endpoint; plain http to this machine only.",
    )
    plan_queue_url: str | None = Field(
        default=None,
        validation_alias="PLAN_QUEUE_URL",
        description="The queue that delivers plans: it is told when to deliver again. Without it the queue's own "
        "visibility time-out counts.",
    )
    execution_config: str = Field(
        default="", validation_alias="EXECUTION_CONFIG", description="JSON object over the defaults below."
    )
    plan_bucket: str | None = Field(
        default=None, validation_alias="PLAN_BUCKET", description="The only bucket that plan pointers may name."
    )
    result_bus: str | None = Field(
        default=None, validation_alias="RESULT_BUS", description="Bus on which `RebalanceExecuted` is published."
    )
    result_topic: str | None = Field(
        default=None,
        validation_alias="RESULT_TOPIC",
        description="ARN of the SNS topic that gets a readable notice of each result.",
    )
    idempotency_disabled: str = Field(default="", validation_alias="POWERTOOLS_IDEMPOTENCY_DISABLED")

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
            raise LiveNotAllowed("LIVE_TRADING", "live trading needs LIVE_TRADING=yes; set ALPACA_PAPER=true for paper")
        if self.alpaca_paper and urlsplit(self.trading_url).hostname == urlsplit(LIVE_URL).hostname:
            raise LiveNotAllowed("ALPACA_TRADING_URL", "leads to real money while ALPACA_PAPER says paper")
        if self.idempotency_disabled:
            raise ConfigurationError("POWERTOOLS_IDEMPOTENCY_DISABLED", "must not be set: it opens the front door")
        return self

    @property
    def trading_url(self) -> str:
        """The trading endpoint: the given one, or Alpaca's for paper or live."""
        return self.alpaca_trading_url or (PAPER_URL if self.alpaca_paper else LIVE_URL)


def load_settings() -> Settings:
    """The settings from the environment; an empty variable is as good as none.

    Raises:
        ConfigurationError: names the variable that is missing or unusable, never its value.
    """
    try:
        return Settings.model_validate({name: value for name, value in os.environ.items() if value})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        variable = str(first["loc"][0]) if first["loc"] else "environment"
        missing = first["type"] == "missing"
        raise ConfigurationError(variable, "is not set" if missing else first["msg"]) from None
