"""``ExecutionConfig``: every number that steers execution, with its unit and the reason for its default."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from pydantic import Field, ValidationError

from rebalance_executor.domain.errors import ConfigurationError
from rebalance_executor.domain.limits import Limits
from rebalance_executor.domain.values import Amount

_DAY = 86_400
"""Seconds; nothing waits longer."""
_CENTURY = 100 * 366 * 24 * 60
"""Minutes."""
_SHORTEST_TICK = Decimal("0.05")
"""Seconds; below it the loop would do nothing but look."""


class OrderStyle(StrEnum):
    """What a child order is."""

    MARKETABLE_LIMIT = "marketable_limit"
    """A limit at the far touch: fills at once when the quote holds, and never worse than its limit."""
    MARKET = "market"
    """A market order: Alpaca collars it, the price is whatever comes."""


class ExecutionConfig(Limits):
    """How plans are executed. Frozen; ``EXECUTION_CONFIG`` (a JSON object) overrides single fields."""

    # The limits of the controls stand in ``domain.limits``; they are fields of this object like those below.

    # when a plan may be begun
    max_plan_age_minutes: Amount = Field(
        default=Decimal(30), gt=0, le=_CENTURY, description="Minutes after its timestamp; an older plan is not begun."
    )
    max_clock_skew_seconds: Amount = Field(
        default=Decimal(120),
        ge=0,
        le=_DAY,
        description="Seconds a plan's timestamp may lie in the future: clocks differ.",
    )
    plan_time_limit_minutes: Amount = Field(
        default=Decimal(60),
        gt=0,
        le=_DAY,
        description="Minutes from begin after which what is left is not traded any more.",
    )

    # child orders
    order_style: OrderStyle = Field(
        default=OrderStyle.MARKETABLE_LIMIT, description="Limits bound the price; market orders do not."
    )
    child_wait_seconds: Amount = Field(
        default=Decimal(5),
        gt=0,
        le=_DAY,
        description="Seconds a child may rest before it is cancelled and priced anew.",
    )
    max_children: int = Field(default=5, ge=1, le=50, description="Child orders a parent may use.")
    price_collar: Amount = Field(
        default=Decimal("0.03"),
        gt=0,
        lt=1,
        description="Fraction of arrival mid that a limit may move against us.",
    )
    minimum_notional: Amount = Field(
        default=Decimal(1), ge=1, description="Dollars; Alpaca refuses smaller buys. Sells are exempt there."
    )
    quote_wait_seconds: Amount = Field(
        default=Decimal(5),
        ge=0,
        le=_DAY,
        description="Seconds to look again for a usable quote before the item is denied.",
    )
    quote_refresh_seconds: Amount = Field(
        default=Decimal(2),
        ge=0,
        le=_DAY,
        description="Seconds after which a quote is read again before it prices a child.",
    )

    # cash
    cash_buffer: Amount = Field(
        default=Decimal("0.005"),
        ge=0,
        lt=1,
        description="Fraction of cash + proceeds that buys leave untouched.",
    )
    proceeds_wait_seconds: Amount = Field(
        default=Decimal(30),
        ge=0,
        le=_DAY,
        description="Seconds to wait for the account to show the proceeds of the sells.",
    )

    # bounded waits
    tick_seconds: Amount = Field(
        default=Decimal("0.5"),
        ge=_SHORTEST_TICK,
        le=_DAY,
        description="Seconds between two looks: 120 a minute leaves room under 200.",
    )
    cancel_wait_seconds: Amount = Field(
        default=Decimal(60),
        gt=0,
        le=_DAY,
        description="Seconds for a cancel to become terminal; then an operator must look.",
    )
    price_wait_seconds: Amount = Field(
        default=Decimal(15), ge=0, le=_DAY, description="Seconds for a fill's average price to appear."
    )
    arrival_horizon_seconds: Amount = Field(
        default=Decimal(120),
        gt=0,
        le=_DAY,
        description="Seconds after which a submission without an answer can no longer appear at the broker.",
    )

    # the way to the broker
    connect_timeout_seconds: Amount = Field(default=Decimal(3), gt=0, le=_DAY, description="Seconds to connect.")
    read_timeout_seconds: Amount = Field(
        default=Decimal(10), gt=0, le=_DAY, description="Seconds to wait for an answer."
    )
    rate_limit_per_minute: int = Field(
        default=200, ge=10, description="Requests a minute and account; Alpaca's published limit."
    )
    asset_cache_hours: Amount = Field(
        default=Decimal(12), gt=0, le=_DAY, description="Hours that asset flags are believed; they change overnight."
    )

    @classmethod
    def from_json(cls, text: str) -> ExecutionConfig:
        """The configuration from the text of ``EXECUTION_CONFIG``; empty text gives the defaults.

        Raises:
            ConfigurationError: not a JSON object, an unknown field, or a value out of its range.
        """
        if not text.strip():
            return cls()
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(["EXECUTION_CONFIG", *(str(part) for part in first["loc"])])
            raise ConfigurationError(where, first["msg"]) from None
