"""Invariants of sizing: every order leads from the position to what the plan asks for, computed a second time here."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig, TradeTo
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.market import ZERO, Side
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem, SizeBy
from rebalance_simulation.violation import Violation

_REDUCED = (Code.SCALED_TO_CASH, Code.REDUCED_TO_AVAILABLE)
"""Remarks on an order that may end before its target."""
_ROUNDING = Decimal("0.000001")
"""Dollars by which the two computations may differ."""


@dataclass(frozen=True, slots=True)
class _Trade:
    """Dollars of one item in the direction of its side, so that more is always further."""

    planned: Decimal
    gap: Decimal
    """From the position to the target; from nothing to the plan's dollars if no target sizes the plan."""
    band: Decimal
    least: Decimal
    unit: Decimal
    """Dollars of the smallest order."""

    @classmethod
    def of(
        cls, state: PlanState, item: RebalancePlanItem, parent: ParentOrder, mid: Decimal, config: ExecutionConfig
    ) -> _Trade:
        """Return the trade of an item whose order has an arrival mid."""
        sign, equity = (1 if parent.side is Side.BUY else -1), state.equity or ZERO
        by_weight = state.size_by is SizeBy.TARGET_WEIGHT
        target = item.target_weight * equity if by_weight else item.target_value
        is_targeted = state.size_by is not SizeBy.TRADE_AMOUNT
        gap = target - (parent.held_before or ZERO) * mid if is_targeted else item.trade_amount
        return cls(
            planned=item.trade_amount * sign,
            gap=gap * sign,
            band=config.no_trade_band * equity if is_targeted else ZERO,
            least=max(config.minimum_trade_dollars, config.minimum_trade_weight * equity),
            unit=mid * (_ROUNDING if parent.fractionable else 1),
        )


class TargetInvariants:
    """Checks of the sizes of journalled orders.

    Args:
        config: the execution settings. Every check raises ``Violation`` if an invariant is broken.
    """

    def __init__(self, config: ExecutionConfig) -> None:
        self._config = config

    def check(self, state: PlanState, plan: RebalancePlan, parent: ParentOrder) -> None:
        """Check one order as it is journalled for the first time."""
        item = next(item for item in plan.items if item.symbol == parent.symbol)
        if state.size_by is not (plan.size_by or self._config.size_by):
            raise Violation(f"{state.plan_id} is sized by {state.size_by}, the plan says {plan.size_by}")
        if parent.arrival is None:
            return
        trade = _Trade.of(state, item, parent, parent.arrival.mid, self._config)
        if parent.outcome is Outcome.SKIPPED:
            self._check_skip(parent, trade)
        elif parent.qty and not item.is_full_exit(state.size_by):
            if state.size_by is not SizeBy.TRADE_AMOUNT:
                tolerance = plan.max_drift_tolerance * plan.total_portfolio_value
                self._check_target(parent, trade, tolerance, parent.qty * parent.arrival.mid)
            if not self._is_dust(item, state, trade) and self._asked(trade) < trade.least - _ROUNDING:
                raise Violation(f"{parent.symbol}: a trade of {self._asked(trade)} is below {trade.least}")

    def _check_target(self, parent: ParentOrder, trade: _Trade, tolerance: Decimal, dollars: Decimal) -> None:
        """Check that the order, filled, ends within one smallest unit of its target or of the edge of its band."""
        if trade.gap <= 0:
            raise Violation(f"{parent.symbol} is traded against the plan's side: {trade}")
        if abs(trade.gap - trade.planned) > tolerance:
            raise Violation(f"{parent.symbol} is re-targeted beyond the tolerance of {tolerance}: {trade}")
        if trade.gap <= trade.band:
            raise Violation(f"{parent.symbol} is traded within its band: {trade}")
        short = self._asked(trade) - dollars
        # The code of a denial replaces that of the cash gate if both are journalled in one write.
        may_be_short = parent.code in _REDUCED or parent.outcome is Outcome.DENIED
        if short < -trade.unit - _ROUNDING or (short > trade.unit + _ROUNDING and not may_be_short):
            raise Violation(f"{parent.symbol}: {dollars} dollars are ordered, {self._asked(trade)} lead to the target")

    def _check_skip(self, parent: ParentOrder, trade: _Trade) -> None:
        """Check that an item which is skipped before the cash gate needs no trade."""
        is_small = self._asked(trade) < max(trade.unit, self._config.minimum_notional)
        reasons = {
            Code.NO_TRADE_NEEDED: trade.gap <= 0 or self._asked(trade) < trade.unit,
            Code.WITHIN_BAND: 0 < trade.gap <= trade.band,
            Code.BELOW_MINIMUM_TRADE: self._asked(trade) < trade.least or is_small,
        }
        if not reasons.get(Code(parent.code or ""), parent.code == Code.INSUFFICIENT_CASH):
            raise Violation(f"{parent.symbol} is skipped as {parent.code}: {trade}")

    def _asked(self, trade: _Trade) -> Decimal:
        return trade.gap - (trade.band if self._config.trade_to is TradeTo.BAND_EDGE else ZERO)

    @staticmethod
    def _is_dust(item: RebalancePlanItem, state: PlanState, trade: _Trade) -> bool:
        """Return whether the plan's dollars sell a position that no order could leave a rest of."""
        return state.size_by is SizeBy.TRADE_AMOUNT and item.target_value <= trade.unit / 2
