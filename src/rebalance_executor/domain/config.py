"""``ExecutionConfig``: every number that steers execution, with its unit and the reason for its default."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Self

from pydantic import Field, ValidationError, model_validator

from rebalance_executor.domain.errors import ConfigurationError
from rebalance_executor.domain.limits import Limits
from rebalance_executor.domain.plan import Symbol
from rebalance_executor.domain.styles import (
    DEFAULT_LADDER,
    Children,
    Collar,
    Fraction,
    Ladder,
    Seconds,
    Spreads,
    Style,
    SymbolOverride,
)
from rebalance_executor.domain.styles import OrderStyle as OrderStyle
from rebalance_executor.domain.values import DAY_HOURS, DAY_MINUTES, DAY_SECONDS, Amount

_CENTURY = 100 * 366 * 24 * 60
"""Minutes."""
_SHORTEST_TICK = Decimal("0.05")
"""Seconds; below it the loop would do nothing but look."""


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
        le=DAY_SECONDS,
        description="Seconds a plan's timestamp may lie in the future: clocks differ.",
    )
    plan_time_limit_minutes: Amount = Field(
        default=Decimal(60),
        gt=0,
        le=DAY_MINUTES,
        description="Minutes from begin after which what is left is not traded any more.",
    )

    # how an order is worked
    order_style: Style = Field(
        default=OrderStyle.LADDER,
        description="A ladder pays less than the spread where time allows, and ends as a marketable limit.",
    )
    ladder: Ladder = Field(
        default=dict(DEFAULT_LADDER),
        description="By urgency: fractions of the spread, from our own side (0) to the far touch (1), and the seconds "
        "each rung rests. Chosen with the execution lab.",
    )
    improvement_threshold: Fraction = Field(
        default=Decimal("0.1"),
        description="Fraction of the spread, at least one tick, by which a new price must improve on the resting "
        "order: less is not worth its place in the queue and two requests.",
    )
    fast_market_spreads: Spreads = Field(
        default=Decimal(1),
        description="Spreads that the quote must have moved away from a resting order for the market to count as "
        "fast; less is noise.",
    )
    fast_market_wait: Fraction = Field(
        default=Decimal("0.25"),
        description="Fraction of its time that a rung rests in a fast market: what ran away often runs on.",
    )
    shortest_rung_seconds: Seconds = Field(
        default=Decimal(2),
        description="Seconds below which a rung is left out: a cancel, a look and a submission take about one.",
    )
    last_rung_seconds: Seconds = Field(
        default=Decimal(30),
        description="Seconds the last rung may rest where the quote offers no better price; then the order ends "
        "unfinished.",
    )
    last_rung_market: bool = Field(
        default=False, description="Whether the last rung is a market order, whose price nothing bounds."
    )
    opening_wait_seconds: Amount = Field(
        default=Decimal(120),
        ge=0,
        le=3_600,
        description="Seconds after 09:30 New York in which no fractional order is sent, as from 09:27 on: Alpaca has "
        "rejected them. 0 sends them.",
    )
    extended_hours: bool = Field(
        default=False,
        description="Whether a plan may be worked from 04:00 New York to the open, too, with limits only: spreads are "
        "wide and books thin then.",
    )
    child_wait_seconds: Seconds = Field(
        default=Decimal(5),
        description="Seconds a child of another style than the ladder may rest before it is cancelled and priced anew.",
    )
    max_children: Children = Field(
        default=10,
        description="Child orders a parent may use: five rungs, and as many to follow a moving quote.",
    )
    per_symbol: Mapping[Symbol, SymbolOverride] = Field(
        default={},
        description="For single symbols, illiquid ones for instance, other values of "
        + ", ".join(SymbolOverride.model_fields)
        + ".",
    )
    price_collar: Collar = Field(
        default=Decimal("0.03"),
        description="Fraction of arrival mid that a limit may move against us.",
    )
    minimum_notional: Amount = Field(
        default=Decimal(1), ge=1, description="Dollars; Alpaca refuses smaller buys. Sells are exempt there."
    )
    quote_wait_seconds: Amount = Field(
        default=Decimal(5),
        ge=0,
        le=DAY_SECONDS,
        description="Seconds to look again for a usable quote before the item is denied.",
    )
    quote_refresh_seconds: Amount = Field(
        default=Decimal(1),
        ge=0,
        le=DAY_SECONDS,
        description="Seconds after which a quote is read again before it prices a child: 60 a minute of the 200 that "
        "market data has to itself.",
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
        le=DAY_SECONDS,
        description="Seconds to wait for the account to show the proceeds of the sells.",
    )

    # bounded waits
    tick_seconds: Amount = Field(
        default=Decimal("0.5"),
        ge=_SHORTEST_TICK,
        le=DAY_SECONDS,
        description="Seconds between two looks: 120 a minute leaves room under 200.",
    )
    cancel_wait_seconds: Amount = Field(
        default=Decimal(60),
        gt=0,
        le=DAY_SECONDS,
        description="Seconds for a cancel to become terminal; then an operator must look.",
    )
    price_wait_seconds: Amount = Field(
        default=Decimal(15), ge=0, le=DAY_SECONDS, description="Seconds for a fill's average price to appear."
    )
    lease_wait_seconds: Amount = Field(
        default=Decimal(150),
        ge=0,
        le=DAY_SECONDS,
        description="Seconds to wait for another run of the account to end, at most half of the time there is. Lambda "
        "delivers an event three times within three minutes: so three waits outlast the longest ordinary run.",
    )
    arrival_horizon_seconds: Amount = Field(
        default=Decimal(120),
        gt=0,
        le=DAY_SECONDS,
        description="Seconds after which a submission without an answer can no longer appear at the broker.",
    )

    # the way to the broker
    connect_timeout_seconds: Amount = Field(default=Decimal(3), gt=0, le=DAY_SECONDS, description="Seconds to connect.")
    read_timeout_seconds: Amount = Field(
        default=Decimal(10), gt=0, le=DAY_SECONDS, description="Seconds to wait for an answer."
    )
    rate_limit_per_minute: int = Field(
        default=200, ge=10, description="Requests a minute and account; Alpaca's published limit."
    )
    asset_cache_hours: Amount = Field(
        default=Decimal(12),
        gt=0,
        le=DAY_HOURS,
        description="Hours that asset flags are believed; they change overnight.",
    )

    @model_validator(mode="after")
    def _limits_only_before_the_open(self) -> Self:
        each: list[ExecutionConfig] = [self, *(self.for_symbol(symbol) for symbol in self.per_symbol)]
        if self.extended_hours and any(c.order_style is OrderStyle.MARKET or c.last_rung_market for c in each):
            raise ValueError("extended_hours allows limit orders only: neither order_style market nor last_rung_market")
        return self

    def for_symbol(self, symbol: str) -> ExecutionConfig:
        """This configuration as it applies to one symbol."""
        override = self.per_symbol.get(symbol)
        if override is None:
            return self
        changed = {name: getattr(override, name) for name in override.model_fields_set}
        return self.model_copy(update={name: value for name, value in changed.items() if value is not None})

    @property
    def widest_collar(self) -> Decimal:
        """The largest collar of any symbol: what an unpriced order is reserved at."""
        others = (o.price_collar for o in self.per_symbol.values() if o.price_collar is not None)
        return max((self.price_collar, *others))

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
            where = ".".join(["EXECUTION_CONFIG", *(str(part) for part in first["loc"] if part != "[key]")])
            raise ConfigurationError(where, first["msg"]) from None
