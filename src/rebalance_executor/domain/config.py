"""``ExecutionConfig``: every execution setting, with its unit and the reason for its default."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Self

from pydantic import Field, ValidationError, model_validator

from rebalance_executor.domain.errors import ConfigurationError
from rebalance_executor.domain.limits import Limits
from rebalance_executor.domain.market import Destination, Display
from rebalance_executor.domain.own_costs import OwnCosts
from rebalance_executor.domain.plan import SizeBy, Symbol
from rebalance_executor.domain.styles import (
    DEFAULT_LADDER,
    AuctionFraction,
    AuctionMinutes,
    AuctionRemainder,
    Children,
    Collar,
    DisplayQty,
    Fraction,
    Ladder,
    Multiple,
    OrderStyle,
    Seconds,
    Share,
    Spreads,
    Style,
    SymbolOverride,
    TickSize,
)
from rebalance_executor.domain.values import DAY_MINUTES, DAY_SECONDS, Amount

SESSION_MINUTES = 390
"""Minutes of a regular session."""
_CENTURY_MINUTES = 100 * 366 * DAY_MINUTES
"""Upper bound of the age of a plan: local runs accept sample plans of any age."""
_SHORTEST_TICK = Decimal("0.05")
"""Seconds; with a shorter tick, a run would do nothing but poll."""


class TradeTo(StrEnum):
    """Position to which a trade leads that starts outside the no-trade band."""

    TARGET = "target"
    """At the target."""
    BAND_EDGE = "band_edge"
    """At the nearer edge of the band."""


class ExecutionConfig(Limits):
    """Execution settings. Frozen; ``EXECUTION_CONFIG`` (a JSON object) overrides single fields."""

    # The limits of the controls are inherited from ``domain.limits``.

    # when a plan may start
    max_plan_age_minutes: Amount = Field(
        default=Decimal(30),
        gt=0,
        le=_CENTURY_MINUTES,
        description="Minutes since its timestamp; an older plan does not start.",
    )
    plan_time_limit_minutes: Amount = Field(
        default=Decimal(60),
        gt=0,
        le=DAY_MINUTES,
        description="Minutes from the start of a plan after which its remaining items are no longer traded.",
    )

    # the dollars of an item
    size_by: SizeBy = Field(
        default=SizeBy.TRADE_AMOUNT,
        description="What sizes the items of a plan that does not say so: `trade_amount`, `target_value` or "
        "`target_weight` of live equity.",
    )
    no_trade_band: Fraction = Field(
        default=Decimal(0),
        description="Fraction of equity around a target within which an item sized by its target is not traded. 0, "
        "because a plan contains only trades that its maker wants.",
    )
    trade_to: TradeTo = Field(
        default=TradeTo.TARGET,
        description="Where a trade from outside the band ends: `target`, or `band_edge` to trade less.",
    )
    minimum_trade_dollars: Amount = Field(
        default=Decimal(0),
        ge=0,
        description="Dollars per item; a smaller trade is skipped, except for a full exit. The program's own minimum "
        "is minimum_notional.",
    )
    minimum_trade_weight: Fraction = Field(
        default=Decimal(0),
        description="Fraction of equity per item; a smaller trade is skipped, except for a full exit.",
    )

    # how orders are worked
    order_style: Style = Field(
        default=OrderStyle.LADDER,
        description="`ladder`, `marketable_limit` or `market`. A ladder pays less than the spread if time allows, and "
        "ends as a marketable limit.",
    )
    ladder: Ladder = Field(
        default=dict(DEFAULT_LADDER),
        description="Rungs by urgency: fractions of the spread, from our own side (0) to the far touch (1), and the "
        "seconds that each rung rests. Chosen with the execution lab.",
    )
    improvement_threshold: Fraction = Field(
        default=Decimal("0.1"),
        description="Fraction of the spread, and at least one tick, by which a new price must improve on the resting "
        "order: a smaller step is not worth the place in the queue and two requests.",
    )
    fast_market_spreads: Spreads = Field(
        default=Decimal(1),
        description="Spreads by which the quote must move away from a resting order for the market to count as fast; "
        "less is noise.",
    )
    fast_market_wait: Fraction = Field(
        default=Decimal("0.25"),
        description="Fraction of its time that a rung rests in a fast market: such moves often continue.",
    )
    shortest_rung_seconds: Seconds = Field(
        default=Decimal(2),
        description="Seconds; a rung with less time is skipped: a cancel, a read and a submission take about one.",
    )
    last_rung_seconds: Seconds = Field(
        default=Decimal(30),
        description="Seconds that the last rung rests if the quote offers no better price; then the order ends "
        "unfilled or partly filled.",
    )
    last_rung_market: bool = Field(
        default=False,
        description="True sends the last rung as a market order. False, because nothing bounds its price.",
    )
    slice_over_displayed: Multiple | None = Field(
        default=Decimal(5),
        description="Multiple of the shares displayed at the far touch at arrival above which a parent order is worked "
        "in slices; null never slices for this reason. URGENT never slices. The free feed shows the sizes of IEX "
        "alone, so that more orders are large with it.",
    )
    slice_over_volume: Share | None = Field(
        default=Decimal("0.01"),
        description="Share of the average daily volume above which a parent order that is larger than the display is "
        "worked in slices; null never slices for this reason.",
    )
    slice_displayed: Multiple = Field(
        default=Decimal(1),
        description="Shares of a slice as a multiple of those displayed at the far touch at arrival.",
    )
    slice_minutes: Amount = Field(
        default=Decimal(10),
        gt=0,
        le=SESSION_MINUTES,
        description="Minutes over which the slices of a parent order are spread, at most "
        "plan_time_limit_minutes; longer if max_participation requires it, shorter if the plan or the session ends.",
    )
    slice_seconds: Seconds = Field(
        default=Decimal(15),
        description="Shortest interval in seconds between two slices; fewer and larger ones follow from it.",
    )
    max_participation: Share = Field(
        default=Decimal("0.1"),
        description="Share of the average volume that the slices of a parent order may take while they are worked.",
    )
    display_qty: DisplayQty | None = Field(
        default=None,
        description="Most shares of a limit that its exchange shows, in round lots, for limits of whole shares above "
        "it. Needs display_destination and an account with Alpaca's Elite Smart Router; others reject the order.",
    )
    display_destination: Destination | None = Field(
        default=None,
        description="Exchange to which limits with a display_qty are sent; usually set per symbol, where it is listed.",
    )
    own_costs: OwnCosts | None = Field(
        default=None,
        description="The account's own history for the forecast of costs, as `rebalance calibrate` prints it: "
        "`half_spreads` paid beyond the forecast, `orders` and `broker`. It counts on that kind of broker only, the "
        "more the more orders it has, and never on a simulated one.",
    )
    opening_wait_seconds: Amount = Field(
        default=Decimal(120),
        ge=0,
        le=3_600,
        description="Seconds after 09:30 New York in which no fractional order is sent; the pause starts at 09:27, "
        "because Alpaca has rejected fractional orders then. 0 disables the pause.",
    )
    extended_hours: bool = Field(
        default=False,
        description="True also trades from 04:00 New York to the open, with limits only. False, because spreads are "
        "wide and order books thin then.",
    )
    child_wait_seconds: Seconds = Field(
        default=Decimal(5),
        description="Seconds that a child order rests, except on the ladder, before it is canceled and priced again.",
    )
    max_children: Children = Field(
        default=10,
        description="Child orders in a row of which none fills completely: five rungs, and as many again to follow a "
        "moving quote.",
    )
    per_symbol: Mapping[Symbol, SymbolOverride] = Field(
        default={},
        description="Other values for single symbols, for example illiquid ones, of "
        + ", ".join(SymbolOverride.model_fields)
        + ".",
    )
    price_collar: Collar = Field(
        default=Decimal("0.03"),
        description="Fraction of the arrival mid by which a limit may be worse: bounds the drift of a whole ladder.",
    )
    tick_size: TickSize | None = Field(
        default=None,
        description="Price step in dollars for prices from $1: 0.01 or 0.005; below $1 it is 0.0001. Without a value "
        "it is half a cent once a bid or an ask of the symbol was on half a cent in the run, otherwise a cent.",
    )
    minimum_notional: Amount = Field(
        default=Decimal(1), ge=1, description="Dollars per buy; Alpaca rejects smaller buys but not smaller sells."
    )
    quote_wait_seconds: Amount = Field(
        default=Decimal(5),
        ge=0,
        le=DAY_SECONDS,
        description="Seconds to wait for a usable quote before the item is denied.",
    )
    quote_refresh_seconds: Amount = Field(
        default=Decimal(1),
        ge=0,
        le=DAY_SECONDS,
        description="Seconds after which a quote is read again before it prices a child order: 60 of the 200 requests "
        "per minute that market data allows.",
    )

    # auctions
    close_cutoff_minutes: AuctionMinutes = Field(
        default=Decimal(10),
        description="Minutes before the close from which orders for the closing auction are neither sent nor canceled. "
        "Alpaca rejects them from 15:50 New York; on half days the minutes count from their close.",
    )
    open_cutoff_minutes: AuctionMinutes = Field(
        default=Decimal(2),
        description="Minutes before the open from which orders for the opening auction are neither sent nor canceled. "
        "Alpaca rejects them from 09:28 New York.",
    )
    auction_report_minutes: AuctionMinutes = Field(
        default=Decimal(10),
        description="Minutes after an auction by which the broker reports what it filled; then an operator must "
        "look at an order that is still open.",
    )
    auction_fraction: AuctionFraction = Field(
        default=AuctionFraction.WORK,
        description="The fraction of a share, which no auction takes: `work` it before the close or after the open, or "
        "`leave` it.",
    )
    auction_remainder: AuctionRemainder = Field(
        default=AuctionRemainder.LEAVE,
        description="What an auction does not take or leaves: `leave` it, `work` it before the close or after the "
        "open, or `carry` it as a plan for the next day.",
    )
    limit_on_auction_collar: Collar = Field(
        default=Decimal("0.01"),
        description="Fraction of the mid by which the limit of limit_on_close or limit_on_open is worse than it, for "
        "items without a limit_price.",
    )

    # cash and positions
    account_refresh_seconds: Amount = Field(
        default=Decimal(1),
        ge=0,
        le=DAY_SECONDS,
        description="Seconds after which cash, or the positions, are read again before an order is priced: others may "
        "trade on the same account.",
    )
    cash_buffer: Amount = Field(
        default=Decimal("0.005"),
        ge=0,
        lt=1,
        description="Fraction of cash + proceeds that the cash gate keeps back when it scales buys, for rising prices.",
    )
    early_cash_fraction: Fraction = Field(
        default=Decimal(1),
        description="Fraction of the cash at the start that buys may use before all sells are settled: bounds the "
        "exposure during the plan. Proceeds are used as they arrive. 0 waits for the proceeds.",
    )
    proceeds_wait_seconds: Amount = Field(
        default=Decimal(30),
        ge=0,
        le=DAY_SECONDS,
        description="Seconds to wait until the account shows the proceeds of the sells; its fields lag behind fills.",
    )

    success_tolerance: Fraction = Field(
        default=Decimal("0.01"),
        description="Fraction of the requested shares that an item may lack and still count as executed as planned; "
        "more makes the plan a partial success. The default is more than the cash buffer takes.",
    )

    # bounded waits
    tick_seconds: Amount = Field(
        default=Decimal("0.5"),
        ge=_SHORTEST_TICK,
        le=DAY_SECONDS,
        description="Seconds between two polls of the open orders after one was sent: 120 requests per minute leave "
        "room below 200. While orders rest, the wait grows to 2.5 seconds.",
    )
    cancel_wait_seconds: Amount = Field(
        default=Decimal(60),
        gt=0,
        le=DAY_SECONDS,
        description="Seconds until a canceled order must have a final status; then an operator must look.",
    )
    price_wait_seconds: Amount = Field(
        default=Decimal(15),
        ge=0,
        le=DAY_SECONDS,
        description="Seconds to wait for a fill's average price and full quantity; then an operator must look.",
    )
    lease_wait_seconds: Amount = Field(
        default=Decimal(450),
        ge=0,
        le=DAY_SECONDS,
        description="Seconds to wait for another run of the account, limited to half of the time until the deadline. "
        "Lambda retries an event after one and two minutes; with two such waits, its last retry outlasts a killed run.",
    )
    arrival_horizon_seconds: Amount = Field(
        default=Decimal(120),
        gt=0,
        le=DAY_SECONDS,
        description="Seconds after which a submission without an answer can no longer appear at the broker.",
    )

    # requests to the broker
    connect_timeout_seconds: Amount = Field(
        default=Decimal(3), gt=0, le=DAY_SECONDS, description="Seconds to wait for a connection."
    )
    read_timeout_seconds: Amount = Field(
        default=Decimal(10), gt=0, le=DAY_SECONDS, description="Seconds to wait for a whole answer."
    )
    rate_limit_per_minute: int = Field(
        default=200, ge=10, description="Requests per minute and account: Alpaca's published limit."
    )
    submission_window: int = Field(
        default=1,
        ge=1,
        le=4,
        description="Orders that are sent before the answer to the first is read. More than one is faster, but up to "
        "three more orders leave after a halt, after the reject that causes it, or after a missing answer.",
    )
    asset_cache_days: Amount = Field(
        default=Decimal(30), gt=0, le=366, description="Days to cache flags of assets, unless a rejection contradicts."
    )

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        configs: list[ExecutionConfig] = [self, *(self.for_symbol(symbol) for symbol in self.per_symbol)]
        if self.extended_hours and any(c.order_style is OrderStyle.MARKET or c.last_rung_market for c in configs):
            raise ValueError("extended_hours allows only limits: set neither order_style market nor last_rung_market")
        if any((c.display_qty is None) != (c.display_destination is None) for c in configs):
            raise ValueError("display_qty and display_destination must be set together")
        if "slice_minutes" in self.model_fields_set and self.slice_minutes > self.plan_time_limit_minutes:
            raise ValueError("slice_minutes must be at most plan_time_limit_minutes")
        return self

    def for_symbol(self, symbol: str) -> ExecutionConfig:
        """Return this configuration with the overrides of one symbol."""
        override = self.per_symbol.get(symbol)
        if override is None:
            return self
        changed = {name: getattr(override, name) for name in override.model_fields_set}
        return self.model_copy(update={name: value for name, value in changed.items() if value is not None})

    def display_of(self, qty: Decimal, limit_price: Decimal | None) -> Display | None:
        """Return what the exchange may show of an order: set for limits of whole shares above ``display_qty``."""
        if self.display_qty is None or self.display_destination is None or limit_price is None:
            return None
        is_hidden = qty > self.display_qty and qty == qty.to_integral_value()
        return Display(self.display_qty, self.display_destination) if is_hidden else None

    @property
    def widest_collar(self) -> Decimal:
        """Largest price collar of any symbol, a fraction of the arrival mid; it bounds the cost of a market order."""
        others = (o.price_collar for o in self.per_symbol.values() if o.price_collar is not None)
        return max((self.price_collar, *others))

    @classmethod
    def from_json(cls, text: str) -> ExecutionConfig:
        """Return the configuration from the text of ``EXECUTION_CONFIG``; empty text gives the defaults.

        Raises:
            ConfigurationError: the text is not a JSON object, has an unknown field, or a value out of range.
        """
        if not text.strip():
            return cls()
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(["EXECUTION_CONFIG", *(str(part) for part in first["loc"] if part != "[key]")])
            raise ConfigurationError(path, first["msg"]) from None
