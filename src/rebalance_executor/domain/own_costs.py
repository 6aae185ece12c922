"""The account's own history for the forecast: what its orders paid beyond the forecasts that were made for them.

The history of one kind of broker says nothing about another, and that of a simulated one nothing about any.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from rebalance_executor.domain.market import ZERO, BrokerKind
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.pricing import shortfall
from rebalance_executor.domain.values import Amount

_EQUAL_WEIGHT = 70
"""Orders whose mean weighs as much as the fitted method: one order's cost varies by about 2.5 half spreads, the mean of
an account's by about 0.3 (2.5² / 0.3²)."""
_FEWEST = 30
"""Orders below which nothing is measured."""
_BPS = Decimal(10_000)
_STEP = Decimal("0.01")
HalfSpreads = Annotated[Amount, Field(ge=-5, le=5)]


class OwnCosts(BaseModel):
    """Mean cost of the account's own orders beyond the fitted forecast."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    half_spreads: HalfSpreads = Field(description="Half spreads that the orders paid beyond the forecast.")
    orders: int = Field(ge=1, description="Number of these orders.")
    broker: BrokerKind = Field(description="Kind of their broker.")

    def __str__(self) -> str:
        """Return the history as the reference shows it."""
        return f"{self.half_spreads} half spreads, {self.orders} orders, {self.broker}"

    def shift(self, broker: BrokerKind) -> float:
        """Return the half spreads by which a forecast on this kind of broker moves: shrunk to 0 for few orders."""
        if broker is not self.broker or broker is BrokerKind.SIMULATED:
            return 0.0
        return float(self.half_spreads) * self.orders / (self.orders + _EQUAL_WEIGHT)


def own_costs(parents: Iterable[ParentOrder], broker: BrokerKind, present: OwnCosts | None) -> OwnCosts | None:
    """Return what these orders paid beyond the fitted forecast; None for fewer than 30, or on a simulated broker.

    Args:
        parents: journalled orders of one kind of broker.
        broker: that kind.
        present: the configured history, by which their forecasts were moved already.
    """
    beyond, spreads, orders = ZERO, ZERO, 0
    for parent in parents:
        arrival, forecast = parent.arrival, parent.forecast
        is_priced = all(child.filled_avg_price is not None for child in parent.children if child.filled_qty)
        if arrival is None or forecast is None or forecast.bps is None or not parent.filled_qty or not is_priced:
            continue
        expected = forecast.bps / _BPS * arrival.mid * parent.filled_qty
        beyond += shortfall(parent.side, arrival.mid, parent.filled_qty, parent.filled_value) - expected
        spreads += (arrival.ask - arrival.bid) / 2 * parent.filled_qty
        orders += 1
    if orders < _FEWEST or not spreads or broker is BrokerKind.SIMULATED:
        return None
    moved = Decimal(present.shift(broker) if present is not None else 0)
    half_spreads = min(max(beyond / spreads + moved, Decimal(-5)), Decimal(5))
    return OwnCosts(half_spreads=half_spreads.quantize(_STEP), orders=orders, broker=broker)
