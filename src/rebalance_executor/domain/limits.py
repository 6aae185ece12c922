"""``Limits``: the numbers of the controls, each with its unit and the reason for its default.

The rules that use them stand in ``domain.controls``. They are fields of ``ExecutionConfig``, and of
``EXECUTION_CONFIG``, like all others. A limit that is null is not checked. The defaults let an ordinary plan of an
ordinary account through; dollar limits are backstops against misplaced decimal points, turnover scales with the
account.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from rebalance_executor.domain.plan import Symbol
from rebalance_executor.domain.styles import Age, Collar, Spread, UnusableQuotePolicy
from rebalance_executor.domain.values import DAY_MINUTES, DAY_SECONDS, Amount


class ConflictPolicy(StrEnum):
    """What is done about others' open orders on a symbol of the plan."""

    DENY = "deny"
    """The item is denied; nobody else's order is touched."""
    CANCEL = "cancel"
    """They are cancelled and waited for, then the item is traded."""


class Limits(BaseModel):
    """What the controls allow. Frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    allowed_symbols: tuple[Symbol, ...] | None = Field(
        default=None, description="The only symbols that may be traded; null allows all that are not restricted."
    )
    restricted_symbols: tuple[Symbol, ...] = Field(default=(), description="Symbols that are never traded.")
    max_order_dollars: Amount | None = Field(
        default=Decimal(1_000_000),
        gt=0,
        description="Dollars of one order: a hundred times an ordinary one, less than a misplaced decimal point makes.",
    )
    max_order_shares: Amount | None = Field(
        default=Decimal(1_000_000),
        gt=0,
        description="Shares of one order: binds below $1 a share, where dollars say little.",
    )
    max_share_of_displayed: Amount | None = Field(
        default=None,
        gt=0,
        description="Order quantity as a multiple of the size displayed at the far touch. Null, because the free feed "
        "shows one venue only; set it where the consolidated feed is subscribed.",
    )
    max_plan_gross_dollars: Amount | None = Field(
        default=Decimal(10_000_000),
        gt=0,
        description="Dollars a plan may buy and sell in all: ten of the largest orders.",
    )
    max_plan_net_dollars: Amount | None = Field(
        default=Decimal(5_000_000),
        gt=0,
        description="Dollars by which a plan's buys and sells may differ: half of the gross limit, as rebalances "
        "mostly exchange one thing for another.",
    )
    max_plan_turnover: Amount | None = Field(
        default=Decimal("2.5"),
        gt=0,
        description="Buys and sells of a plan as a multiple of equity: selling and buying everything is 2.",
    )
    max_day_gross_dollars: Amount | None = Field(
        default=Decimal(20_000_000),
        gt=0,
        description="Dollars the account may buy and sell in one trading day: two of the largest plans.",
    )
    max_day_net_dollars: Amount | None = Field(
        default=Decimal(10_000_000),
        gt=0,
        description="Dollars by which a day's buys and sells may differ: two of the largest plans.",
    )
    max_day_turnover: Amount | None = Field(
        default=Decimal(10),
        gt=0,
        description="Buys and sells of a day as a multiple of equity: half of it, twenty times, which is the number "
        "of plans a day that must work.",
    )
    max_quote_age_seconds: Age = Field(
        default=Decimal(300),
        description="Seconds; an older quote is refused. One venue's quotes of quiet names rest for minutes, and "
        "yesterday's are what does harm.",
    )
    max_spread: Spread = Field(
        default=Decimal("0.05"),
        description="Fraction of mid; a wider quote is refused. Traded names stay below 0.01.",
    )
    unusable_quote: UnusableQuotePolicy = Field(
        default=UnusableQuotePolicy.DENY,
        description="What is done where no quote can be used, also at a second look: deny, or let the last trade price "
        "a limit. Deny, because a market that nobody quotes is one to stay out of.",
    )
    max_trade_age_seconds: Age = Field(
        default=Decimal(60),
        description="Seconds; an older last trade prices nothing. Shorter than a quote's age: a quote still stands, a "
        "trade is over.",
    )
    limit_collar: Collar = Field(
        default=Decimal("0.03"),
        description="Fraction of the present mid by which a limit may be worse; more than half of the widest spread.",
    )
    previous_close_collar: Amount = Field(
        default=Decimal("0.4"),
        gt=0,
        description="Fraction by which a price may differ from the previous close, where that is known: more is a "
        "split or a wrong price, and a person should look.",
    )
    duplicate_window_minutes: Amount = Field(
        default=Decimal(10),
        ge=0,
        le=DAY_MINUTES,
        description="Minutes in which another plan's order of the same symbol and side, for as many shares or "
        "dollars, is a duplicate: twice the five minutes by which two schedules of one strategy were once apart. 0 "
        "allows them.",
    )
    duplicate_tolerance: Amount = Field(
        default=Decimal(0),
        ge=0,
        le=1,
        description="Fraction by which shares or dollars may differ and still be the same. 0, because two strategies "
        "may trade one symbol; 0.05 where one strategy has the account also finds a plan that was made anew.",
    )
    conflicting_orders: ConflictPolicy = Field(
        default=ConflictPolicy.DENY, description="What is done about open orders of others that stand against an item."
    )
    max_plan_messages: int = Field(
        default=5_000,
        ge=1,
        description="Submissions and cancels of a plan: 250 orders of ten children, each sent and cancelled.",
    )
    max_messages_per_minute: int = Field(
        default=200,
        ge=1,
        description="Submissions and cancels in any minute of a run; what pacing lets through at most. More is "
        "refused, not delayed.",
    )
    max_runs: int = Field(
        default=20,
        ge=6,
        description="Runs a plan may take; six deliveries must always be enough to finish. Then the account is halted.",
    )
    max_plans_per_day: int = Field(
        default=40,
        ge=1,
        description="Plans an account may begin in a trading day; twice the 20 that must work. Then the account is "
        "halted until a named person resumes it.",
    )
    max_rejects_in_a_row: int = Field(
        default=10,
        ge=1,
        description="Orders the broker may refuse in one run without accepting one between; then the account is "
        "halted. Ten are no bad luck.",
    )
    reconcile_wait_seconds: Amount = Field(
        default=Decimal(5),
        ge=0,
        le=DAY_SECONDS,
        description="Seconds for the broker's orders and positions to agree with the journal; both may lag.",
    )
    max_broker_failures: int = Field(
        default=5,
        ge=1,
        description="Time-outs and 5xx in a row after which a run sends nothing more: five wait up to a minute.",
    )
