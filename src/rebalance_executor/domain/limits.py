"""``Limits``: the numbers of the controls, each with its unit and the reason for its default.

The rules that use them are in ``domain.controls`` and ``domain.plan_controls``. ``ExecutionConfig`` inherits them, so
they are set like its other fields. A limit that is null is not checked. The defaults allow an ordinary plan of an
ordinary account; dollar limits are backstops against misplaced decimal points, and turnover scales with the account.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from rebalance_executor.domain.plan import Symbol
from rebalance_executor.domain.styles import Age, Collar, Spread, UnusableQuotePolicy
from rebalance_executor.domain.values import DAY_MINUTES, DAY_SECONDS, Amount


class ConflictPolicy(StrEnum):
    """Handling of open orders on the plan's symbols that are not part of the plan."""

    DENY = "deny"
    """Deny the item and leave the other orders alone."""
    CANCEL = "cancel"
    """Cancel the other orders, wait until they are closed, then trade the item."""


class Limits(BaseModel):
    """Limits of the controls. Frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    allowed_symbols: tuple[Symbol, ...] | None = Field(
        default=None,
        description="The only symbols that may be traded; null allows every symbol that is not restricted.",
    )
    restricted_symbols: tuple[Symbol, ...] = Field(default=(), description="Symbols that are never traded.")
    max_order_dollars: Amount | None = Field(
        default=Decimal(1_000_000),
        gt=0,
        description="Dollars per order: a hundred times an ordinary order, but less than a misplaced decimal point "
        "causes.",
    )
    max_order_shares: Amount | None = Field(
        default=Decimal(1_000_000),
        gt=0,
        description="Shares per order: the effective limit below $1 per share, where a limit in dollars is weak.",
    )
    max_share_of_displayed: Amount | None = Field(
        default=None,
        gt=0,
        description="Order quantity as a multiple of the size displayed at the far touch. Null, because the free feed "
        "shows one venue only; set it if you subscribe to the consolidated feed.",
    )
    max_plan_gross_dollars: Amount | None = Field(
        default=Decimal(10_000_000),
        gt=0,
        description="Dollars of buys plus sells per plan: ten of the largest orders.",
    )
    max_plan_net_dollars: Amount | None = Field(
        default=Decimal(5_000_000),
        gt=0,
        description="Difference in dollars between buys and sells per plan: half of the gross limit, because a "
        "rebalance mostly exchanges one holding for another.",
    )
    max_plan_turnover: Amount | None = Field(
        default=Decimal("2.5"),
        gt=0,
        description="Buys plus sells per plan as a multiple of equity: selling and buying everything is 2.",
    )
    max_day_gross_dollars: Amount | None = Field(
        default=Decimal(20_000_000),
        gt=0,
        description="Dollars of buys plus sells per trading day of an account: two of the largest plans.",
    )
    max_day_net_dollars: Amount | None = Field(
        default=Decimal(10_000_000),
        gt=0,
        description="Difference in dollars between buys and sells per trading day: two of the largest plans.",
    )
    max_day_turnover: Amount | None = Field(
        default=Decimal(10),
        gt=0,
        description="Buys plus sells per trading day as a multiple of equity: 20 plans per day must be possible, each "
        "trading half of the equity.",
    )
    max_clock_skew_seconds: Amount = Field(
        default=Decimal(120),
        ge=0,
        le=DAY_SECONDS,
        description="Seconds by which the time of a plan, a quote or a last trade may be in the future: clocks differ.",
    )
    max_quote_age_seconds: Age = Field(
        default=Decimal(300),
        description="Seconds; an older quote is not used. On one venue, quotes of rarely traded symbols stay unchanged "
        "for minutes; the danger is a quote of yesterday.",
    )
    max_spread: Spread = Field(
        default=Decimal("0.05"),
        description="Fraction of mid; a wider quote is not used. Actively traded symbols stay below 0.01.",
    )
    unusable_quote: UnusableQuotePolicy = Field(
        default=UnusableQuotePolicy.DENY,
        description="Handling of an item without a usable quote within quote_wait_seconds: `deny`, or `last_trade` to "
        "price a limit from the last trade. Deny, because it is better not to trade in a market without quotes.",
    )
    max_trade_age_seconds: Age = Field(
        default=Decimal(60),
        description="Seconds; an older last trade is not used. Shorter than max_quote_age_seconds, because a quote is "
        "still valid and a trade is history.",
    )
    limit_collar: Collar = Field(
        default=Decimal("0.03"),
        description="Fraction of the current mid by which a limit may be worse; more than half of the widest spread.",
    )
    previous_close_collar: Amount = Field(
        default=Decimal("0.4"),
        gt=0,
        description="Fraction by which a price may differ from the previous close: a larger change is a split, a "
        "symbol change or a wrong price, and an operator must look.",
    )
    duplicate_window_minutes: Amount = Field(
        default=Decimal(10),
        ge=0,
        le=DAY_MINUTES,
        description="Minutes in which an order of another plan for the same symbol and side, and the same shares or "
        "dollars, is a duplicate: twice the five minutes that once separated two schedules of one strategy. 0 allows "
        "duplicates.",
    )
    duplicate_tolerance: Amount = Field(
        default=Decimal(0),
        ge=0,
        le=1,
        description="Fraction by which shares or dollars of a duplicate may differ. 0, because two strategies may "
        "trade one symbol; with one strategy per account, 0.05 also finds a plan that was computed again.",
    )
    conflicting_orders: ConflictPolicy = Field(
        default=ConflictPolicy.DENY,
        description="Handling of open orders that conflict with an item and are not part of the plan: `deny` the item, "
        "or `cancel` them first.",
    )
    max_plan_messages: int = Field(
        default=5_000,
        ge=1,
        description="Submissions and cancels per plan: 250 orders of ten children, each sent and canceled.",
    )
    max_messages_per_minute: int = Field(
        default=200,
        ge=1,
        description="Submissions and cancels per minute of a run: the maximum that the rate limit allows. Further ones "
        "are denied, not delayed.",
    )
    max_runs: int = Field(
        default=20,
        ge=6,
        description="Runs per plan, at least the six deliveries of the queue. One more halts the account.",
    )
    max_plans_per_day: int = Field(
        default=40,
        ge=1,
        description="Plans that an account may start per trading day: twice the 20 that must be possible. One more "
        "halts the account until a named operator resumes it.",
    )
    max_rejects_in_a_row: int = Field(
        default=10,
        ge=1,
        description="Consecutive rejects by the broker in one run that halt the account. Ten in a row indicate a "
        "systematic fault; rejects for a lack of buying power do not count.",
    )
    reconcile_wait_seconds: Amount = Field(
        default=Decimal(5),
        ge=0,
        le=DAY_SECONDS,
        description="Seconds to wait until the broker's orders and positions agree with the journal; both may lag.",
    )
    max_broker_failures: int = Field(
        default=5,
        ge=1,
        description="Consecutive timeouts and 5xx answers after which a run sends nothing more: five take up to a "
        "minute.",
    )
