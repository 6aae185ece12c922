"""How an order may be worked: styles, the ladder by urgency, and what may differ for one symbol."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.values import Amount, plain

_DAY = 86_400
"""Seconds; nothing waits longer."""


class OrderStyle(StrEnum):
    """How a parent is worked."""

    LADDER = "ladder"
    """Limits that start patiently and walk to the far touch, each priced from a fresh quote."""
    MARKETABLE_LIMIT = "marketable_limit"
    """A limit at the far touch: fills at once when the quote holds, and never worse than its limit."""
    MARKET = "market"
    """A market order: Alpaca collars it, the price is whatever comes."""


class Unquoted(StrEnum):
    """What is done where no quote can be used, also at a second look."""

    DENY = "deny"
    """The item is denied, or ends unfinished."""
    LAST_TRADE = "last_trade"
    """The last trade, if it is recent enough, prices a limit: at its price, inside the collars."""


_AT_THE_CLOSE = frozenset({"market_on_close", "limit_on_close", "moc", "loc", "cls"})


def _not_at_the_close(value: object) -> object:
    if isinstance(value, str) and value.strip().lower().replace("-", "_") in _AT_THE_CLOSE:
        raise PydanticCustomError(
            "at_the_close",
            "orders for the closing auction are not supported: they can be neither bounded by the collar nor worked "
            "further when they do not fill; use ladder, marketable_limit or market",
        )
    return value


Style = Annotated[OrderStyle, BeforeValidator(_not_at_the_close)]
"""An order style; orders for the closing auction are refused in words of their own."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Rungs(_Frozen):
    """The ladder of one urgency."""

    aims: tuple[Amount, ...] = Field(
        min_length=1,
        max_length=20,
        description="Fractions of the spread from our own side to the far touch, ascending, the last one 1.",
    )
    wait_seconds: Amount = Field(gt=0, le=_DAY, description="Seconds a rung rests before the next.")

    @model_validator(mode="after")
    def _walks_to_the_far_touch(self) -> Self:
        if self.aims[0] < 0 or self.aims[-1] != 1 or any(a >= b for a, b in pairwise(self.aims)):
            raise ValueError("aims must ascend from 0 or more to exactly 1")
        return self

    def __str__(self) -> str:
        """As it is shown in the reference."""
        return f"{' → '.join(plain(aim) for aim in self.aims)}, {plain(self.wait_seconds)} s"


def _rungs(wait: str, *aims: str) -> Rungs:
    return Rungs(aims=tuple(Decimal(aim) for aim in aims), wait_seconds=Decimal(wait))


class Ladder(_Frozen):
    """The rungs by the plan's urgency; the benchmark ``python -m benchmarks.lab`` measures them."""

    LOW: Rungs = Field(default=_rungs("6", "0", "0.1", "0.3", "0.6", "1"), description="Starts passively.")
    NORMAL: Rungs = Field(default=_rungs("4", "0.1", "0.3", "0.5", "1"), description="Starts near our own side.")
    HIGH: Rungs = Field(default=_rungs("3", "0.5", "1"), description="Starts at the mid, then crosses.")
    URGENT: Rungs = Field(default=_rungs("2", "1"), description="Crosses at once.")

    def of(self, urgency: Urgency) -> Rungs:
        """The rungs of one urgency."""
        rungs: Rungs = getattr(self, urgency.value)
        return rungs

    def __str__(self) -> str:
        """As it is shown in the reference."""
        return "; ".join(f"{urgency.value} {self.of(urgency)}" for urgency in Urgency)


Fraction = Annotated[Amount, Field(ge=0, le=1)]
Spreads = Annotated[Amount, Field(gt=0, le=1_000)]
Seconds = Annotated[Amount, Field(gt=0, le=_DAY)]
Collar = Annotated[Amount, Field(gt=0, lt=1)]
Children = Annotated[int, Field(ge=1, le=50)]
Age = Annotated[Amount, Field(gt=0, le=_DAY)]
Spread = Annotated[Amount, Field(gt=0, lt=2)]


class SymbolOverride(_Frozen):
    """Execution fields that may differ for one symbol, an illiquid one for instance; they mean what they mean above."""

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
    unusable_quote: Unquoted | None = None
    max_trade_age_seconds: Age | None = None
    limit_collar: Collar | None = None
