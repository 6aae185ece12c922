"""The answer of ``rebalance costs``.

Dollars are rounded to the cent per order, and sums are sums of these cents: what a reader adds up is what is shown.
Basis points are of the exact amounts, in filled dollars.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from rebalance_cli.answer import Answer
from rebalance_executor.domain.benchmarks import Horizon
from rebalance_executor.domain.costs import Benchmark
from rebalance_executor.domain.market import BrokerKind, Side
from rebalance_executor.domain.plan import ExecutionStyle, Urgency
from rebalance_executor.domain.styles import OrderStyle
from rebalance_executor.domain.values import Amount


class Dimension(StrEnum):
    """Property by which orders are grouped."""

    SYMBOL = "symbol"
    URGENCY = "urgency"
    SIZE = "size"
    STYLE = "style"
    DAY = "day"


class Figure(Answer):
    """An amount of one order."""

    amount: Amount = Field(description="Dollars.")
    bps: Amount | None = Field(description="Basis points of the filled dollars.")


class Parts(Answer):
    """Parts of a cost against the arrival mid in dollars; their sum is the cost."""

    delay: Amount = Field(description="From the arrival mid to the mid when the first child was priced.")
    timing: Amount = Field(description="From there to the mid when each filled child was priced.")
    spread: Amount = Field(description="Half the spread when each filled child was priced.")
    waiting: Amount = Field(description="Saved by fills inside the far touch; zero or negative, to the cent.")
    impact: Amount = Field(description="Paid by fills beyond the far touch; zero or positive, to the cent.")
    unseparated: Amount = Field(description="Cost of children that were not priced from a quote.")


class ForecastFigure(Answer):
    """Forecast of one order, in dollars of the shares that were filled."""

    expected: Figure
    low: Figure
    high: Figure
    difference: Figure = Field(description="Realised cost less the expected one.")
    is_inside: bool = Field(description="True if the realised cost is inside the 90 % interval.")


class ChildMarkout(Answer):
    """Markouts of one child; positive if the market moved in our favour."""

    attempt: int
    markouts: dict[Horizon, Figure]


class Rung(Answer):
    """Fills of one rung, and what they captured of the half-spread."""

    spread_fraction: Amount | None = Field(
        description="0 is our own side, 1 the far touch; null for other order styles."
    )
    shares: Amount
    dollars: Amount
    half_spread: Amount = Field(description="Dollars that the far touch would have cost against the mid at pricing.")
    paid: Amount = Field(description="Dollars paid against that mid; negative if earned.")
    saved: Amount = Field(description="half_spread less paid: the spread captured.")
    saved_share: Amount | None = Field(description="saved as a fraction of half_spread; null without a spread.")


class OrderCosts(Answer):
    """Realised cost of one order with fills. A cost is positive; a markout is positive in our favour."""

    plan_id: str
    broker: BrokerKind = Field(description="Broker of the order. Only live fills have real costs.")
    day: str = Field(description="Trading day.")
    urgency: Urgency
    style: OrderStyle | ExecutionStyle
    size: str = Field(description="Bucket of the filled dollars.")
    symbol: str
    side: Side
    shares: Amount
    dollars: Amount = Field(description="Filled dollars, unsigned.")
    cost: Figure | None = Field(description="Against the arrival mid; null if that, or a fill price, is unknown.")
    parts: Parts | None
    forecast: ForecastFigure | None = Field(description="Null if no forecast was made, or if it is unknown.")
    benchmarks: dict[Benchmark, Figure] = Field(description="Cost against each known benchmark.")
    markouts: dict[Horizon, Figure] = Field(description="Where the markouts of all its children are known.")
    children: tuple[ChildMarkout, ...]
    rungs: tuple[Rung, ...]
    is_read: bool = Field(description="False until the market data is read: by the daily check, or with --update.")
    missing: tuple[str, ...] = Field(description="What the market data does not have.")


class Measured(Answer):
    """Sum over the orders of which a figure is known."""

    orders: int
    dollars: Amount = Field(description="Filled dollars of these orders.")
    amount: Amount
    bps: Amount | None = Field(description="Basis points of their filled dollars.")


class ForecastSum(Answer):
    """Forecast against realised, over the orders that have both."""

    orders: int
    dollars: Amount
    expected: Figure
    realised: Figure
    difference: Figure = Field(description="Realised less expected.")
    inside: int = Field(description="Orders whose realised cost is inside the 90 % interval.")
    inside_share: Amount = Field(description="inside as a fraction of orders.")


class SpreadSum(Answer):
    """Half-spreads when the filled children were priced, and what was paid of them."""

    half_spread: Amount
    paid: Amount
    saved: Amount = Field(description="Saved by patience against the half-spread, before the market's move meanwhile.")
    saved_share: Amount | None


class CostSum(Answer):
    """Sums over some orders."""

    name: str
    orders: int
    plans: int
    read: int = Field(description="Orders whose market data is read.")
    dollars: Amount = Field(description="Filled dollars.")
    cost: Measured = Field(description="Against the arrival mid.")
    parts: Parts
    forecast: ForecastSum | None
    benchmarks: dict[Benchmark, Measured]
    markouts: dict[Horizon, Measured]
    spread: SpreadSum


class SymbolCost(Answer):
    """Cost of one symbol against the arrival mid."""

    symbol: str
    amount: Amount
    bps: Amount | None


class KindCosts(Answer):
    """Costs at one kind of broker. Those of different kinds are never summed."""

    broker: BrokerKind = Field(description="Only live fills have real costs.")
    total: CostSum
    groups: dict[Dimension, tuple[CostSum, ...]]
    best: tuple[SymbolCost, ...] = Field(description="Up to three symbols with the lowest cost in dollars.")
    worst: tuple[SymbolCost, ...] = Field(description="Up to three others with the highest cost in dollars.")
    rungs: tuple[Rung, ...]
    orders: tuple[OrderCosts, ...]


class FailedReading(Answer):
    """A plan whose market data could not be read."""

    plan_id: str
    reason: str
    is_given_up: bool = Field(description="True if the daily check does not try again.")


class UpdateAnswer(Answer):
    """Market data that ``--update`` read."""

    read: int = Field(description="Plans whose market data is now complete.")
    not_due: int = Field(description="Plans whose trading day is not over.")
    left: int = Field(description="Plans for which there was no time.")
    failed: tuple[FailedReading, ...]


class Costs(Answer):
    """``rebalance costs``: realised costs of the orders of a period, by kind of broker."""

    account: str
    first_day: str
    last_day: str
    kinds: tuple[KindCosts, ...]
    unfinished: tuple[str, ...] = Field(description="Plans of the period without a result, which are left out.")
    update: UpdateAnswer | None = Field(default=None, description="Null without --update.")
