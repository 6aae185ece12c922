"""Order styles, the ladder by urgency, and the settings that may differ per symbol."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from rebalance_executor.domain.market import CENT, HALF_CENT, ROUND_LOT, Destination
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.values import DAY_SECONDS, Amount, format_decimal


class OrderStyle(StrEnum):
    """Method of working a parent order."""

    LADDER = "ladder"
    """Limits that start near our own side and move to the far touch, each priced from a fresh quote."""
    MARKETABLE_LIMIT = "marketable_limit"
    """A limit at the far touch: fills at once if the quote holds, and never worse than its limit."""
    MARKET = "market"
    """A market order: Alpaca applies its own collar, and this program does not bound the price."""


class UnusableQuotePolicy(StrEnum):
    """Handling of a symbol without a usable quote within ``quote_wait_seconds``."""

    DENY = "deny"
    """Deny the item, or end its order unfilled or partly filled."""
    LAST_TRADE = "last_trade"
    """Price a limit at the last trade, if that is recent enough; the collars still apply."""


class AuctionFraction(StrEnum):
    """Handling of the fraction of a share of an item that is for an auction, which trades whole shares only."""

    WORK = "work"
    """Work it before the closing auction, or after the opening auction."""
    LEAVE = "leave"
    """Trade whole shares only."""


class AuctionRemainder(StrEnum):
    """Handling of what an auction does not take or leaves."""

    LEAVE = "leave"
    """End the item with its code."""
    WORK = "work"
    """Work it in continuous trading: before the close what the closing auction does not take, after the open what the
    opening auction did not take or left. What the closing auction leaves ends with its code."""
    CARRY = "carry"
    """End the item with its code, and make a plan of the rest for the next trading day."""


_AUCTION_WORDS = frozenset(
    {"market_on_close", "limit_on_close", "market_on_open", "limit_on_open", "moc", "loc", "moo", "loo", "cls", "opg"}
)


def _not_an_auction(value: object) -> object:
    if isinstance(value, str) and value.strip().lower().replace("-", "_") in _AUCTION_WORDS:
        raise PydanticCustomError(
            "auction",
            "is how orders are worked in continuous trading; for an auction, set execution_style in the plan or in its "
            "item",
        )
    return value


Style = Annotated[OrderStyle, BeforeValidator(_not_an_auction)]
"""An order style. Auctions are an execution style of the plan; the message of the error says so."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LadderSteps(_Frozen):
    """Rungs of one urgency: the price of each limit within the spread, and the time that it rests."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    spread_fractions: tuple[Amount, ...] = Field(
        alias="aims",
        min_length=1,
        max_length=20,
        description="Fractions of the spread from our own side to the far touch, ascending, the last one 1.",
    )
    wait_seconds: Amount = Field(gt=0, le=DAY_SECONDS, description="Seconds that a rung rests before the next one.")

    @model_validator(mode="after")
    def _end_at_the_far_touch(self) -> Self:
        fractions = self.spread_fractions
        if fractions[0] < 0 or fractions[-1] != 1 or any(a >= b for a, b in pairwise(fractions)):
            raise ValueError("aims must ascend from 0 or more to exactly 1")
        return self

    def __str__(self) -> str:
        """Return the rungs as the reference shows them."""
        steps = " → ".join(format_decimal(fraction) for fraction in self.spread_fractions)
        return f"{steps}, {format_decimal(self.wait_seconds)} s"


def _steps(wait: str, *fractions: str) -> LadderSteps:
    return LadderSteps(spread_fractions=tuple(Decimal(fraction) for fraction in fractions), wait_seconds=Decimal(wait))


DEFAULT_LADDER: Mapping[Urgency, LadderSteps] = MappingProxyType(
    {
        Urgency.PATIENT: _steps("60", "0", "0.1", "0.3", "0.6", "1"),
        Urgency.LOW: _steps("6", "0", "0.1", "0.3", "0.6", "1"),
        Urgency.NORMAL: _steps("4", "0.1", "0.3", "0.5", "1"),
        Urgency.HIGH: _steps("3", "0.5", "1"),
        Urgency.URGENT: _steps("2", "1"),
    }
)
"""Ladder of each urgency, from patient to crossing at once; ``python -m benchmarks.lab`` measures it."""


def _with_defaults(ladder: Mapping[Urgency, LadderSteps]) -> Mapping[Urgency, LadderSteps]:
    """Return the ladder with the default of every urgency that is not configured."""
    return {**DEFAULT_LADDER, **ladder}


Ladder = Annotated[dict[Urgency, LadderSteps], AfterValidator(_with_defaults)]
"""Rungs by urgency; urgencies that are left out have their defaults."""


Fraction = Annotated[Amount, Field(ge=0, le=1)]
Spreads = Annotated[Amount, Field(gt=0, le=1_000)]
Share = Annotated[Amount, Field(gt=0, le=1)]
Multiple = Annotated[Amount, Field(gt=0, le=1_000_000)]
Seconds = Annotated[Amount, Field(gt=0, le=DAY_SECONDS)]
Collar = Annotated[Amount, Field(gt=0, lt=1)]
Children = Annotated[int, Field(ge=1, le=50)]
Age = Annotated[Amount, Field(gt=0, le=DAY_SECONDS)]
Spread = Annotated[Amount, Field(gt=0, lt=2)]
AuctionMinutes = Annotated[Amount, Field(gt=0, le=60)]
"""Minutes before or after an auction."""


def _known_tick_size(tick_size: Decimal) -> Decimal:
    if tick_size not in (CENT, HALF_CENT):
        raise ValueError(f"must be {CENT} or {HALF_CENT}; prices below $1 always have a tick of 0.0001")
    return tick_size


TickSize = Annotated[Amount, AfterValidator(_known_tick_size)]
"""Price step in dollars for prices from $1."""


def _in_round_lots(qty: Decimal) -> Decimal:
    if qty <= 0 or qty % ROUND_LOT:
        raise ValueError(f"must be a multiple of {ROUND_LOT}, a round lot")
    return qty


DisplayQty = Annotated[Amount, AfterValidator(_in_round_lots)]
"""Shares in round lots."""


class SymbolOverride(_Frozen):
    """Execution settings that may differ per symbol, for example for an illiquid one."""

    order_style: Style | None = None
    ladder: Ladder | None = None
    improvement_threshold: Fraction | None = None
    fast_market_spreads: Spreads | None = None
    fast_market_wait: Fraction | None = None
    shortest_rung_seconds: Seconds | None = None
    last_rung_seconds: Seconds | None = None
    last_rung_market: bool | None = None
    child_wait_seconds: Seconds | None = None
    max_children: Children | None = None
    price_collar: Collar | None = None
    max_quote_age_seconds: Age | None = None
    max_spread: Spread | None = None
    unusable_quote: UnusableQuotePolicy | None = None
    max_trade_age_seconds: Age | None = None
    limit_collar: Collar | None = None
    tick_size: TickSize | None = None
    display_qty: DisplayQty | None = None
    display_destination: Destination | None = None
