"""Targets: the dollars that an item asks for, and whether they are worth a trade. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig, TradeTo
from rebalance_executor.domain.controls import Denial
from rebalance_executor.domain.market import ZERO, Account
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem, SizeBy
from rebalance_executor.domain.values import format_dollars


@dataclass(frozen=True, slots=True)
class SizingBasis:
    """Data of plan and account that the dollars of every item depend on."""

    size_by: SizeBy = SizeBy.TRADE_AMOUNT
    equity: Decimal | None = None
    """Live equity of the account in dollars; None if it is unknown or not positive."""
    max_drift: Decimal = ZERO
    """Dollars by which re-targeting may change an item's amount."""

    @classmethod
    def of(cls, plan: RebalancePlan, account: Account, config: ExecutionConfig) -> SizingBasis:
        """Return the basis of a plan that starts on this account."""
        return cls(
            size_by=plan.sized_by(config.size_by),
            equity=known_equity(account),
            max_drift=plan.max_drift_tolerance * plan.total_portfolio_value,
        )

    @property
    def is_target(self) -> bool:
        """True if items are sized by their target."""
        return self.size_by is not SizeBy.TRADE_AMOUNT

    def target_of(self, item: RebalancePlanItem) -> Decimal:
        """Return the dollars that the item's position should be worth.

        Weights need a known equity.
        """
        return self.share(item.target_weight) if self.size_by is SizeBy.TARGET_WEIGHT else item.target_value

    def share(self, fraction: Decimal) -> Decimal:
        """Return a fraction of the equity in dollars; the equity must be known unless the fraction is zero."""
        if not fraction:
            return ZERO
        if self.equity is None:
            raise AssertionError("items that need an unknown equity are denied first")
        return fraction * self.equity


def known_equity(account: Account) -> Decimal | None:
    """Return the account's equity in dollars; None if the broker reports none, or one that is not positive."""
    return account.equity if account.equity is not None and account.equity > 0 else None


@dataclass(frozen=True, slots=True)
class Skip:
    """Reason why an item needs no trade: a code of ``codes.NO_TRADE_NEEDED`` and a sentence for the operator."""

    code: Code
    message: str


@dataclass(frozen=True, slots=True)
class Request:
    """Signed dollars that an item asks for, and the reason if they are not traded."""

    amount: Decimal
    reason: Denial | Skip | None = None


def equity_denial(basis: SizingBasis, config: ExecutionConfig) -> Denial | None:
    """Deny if a fraction of the equity sizes the items and the equity is unknown."""
    if basis.equity is not None:
        return None
    needed = {
        SizeBy.TARGET_WEIGHT: basis.size_by is SizeBy.TARGET_WEIGHT,
        "no_trade_band": basis.is_target and config.no_trade_band > 0,
        "minimum_trade_weight": config.minimum_trade_weight > 0,
    }
    name = next((name for name, is_needed in needed.items() if is_needed), None)
    if name is None:
        return None
    text = f"{name} is a fraction of the account's equity, and the broker reports no positive equity"
    return Denial(Code.EQUITY_UNKNOWN, text)


def request(item: RebalancePlanItem, value: Decimal, basis: SizingBasis, config: ExecutionConfig) -> Request:
    """Return the dollars that a BUY or SELL asks for; full exits are exempt from all rules here.

    Sized by a target, they lead from the position's ``value`` to the target, or to the edge of the no-trade band.
    """
    denial = equity_denial(basis, config)
    if denial is not None:
        return Request(item.trade_amount, denial)
    amount = item.trade_amount
    if basis.is_target:
        gap = basis.target_of(item) - value
        reason = (
            _beyond_tolerance(gap, item, basis) or _nothing_to_do(gap, item, value) or _within_band(gap, basis, config)
        )
        if reason is not None:
            return Request(ZERO if gap * item.trade_amount <= 0 else gap, reason)
        amount = gap
        if config.trade_to is TradeTo.BAND_EDGE:
            amount -= basis.share(config.no_trade_band).copy_sign(gap)
    return Request(amount, _below_minimum_trade(amount, basis, config))


def _beyond_tolerance(gap: Decimal, item: RebalancePlanItem, basis: SizingBasis) -> Denial | None:
    """Deny if the dollars to the target differ from those of the plan by more than its drift tolerance."""
    if abs(gap - item.trade_amount) <= basis.max_drift:
        return None
    amounts = f"the target asks for {format_dollars(gap)}, the plan for {format_dollars(item.trade_amount)}"
    text = f"{amounts}; max_drift_tolerance allows {format_dollars(basis.max_drift)} of difference"
    return Denial(Code.POSITION_DRIFT, text)


def _nothing_to_do(gap: Decimal, item: RebalancePlanItem, value: Decimal) -> Skip | None:
    """Skip if the target asks for the other side: the plan's side is never changed."""
    if gap * item.trade_amount > 0:
        return None
    values = f"the position is worth {format_dollars(value)}, its target is {format_dollars(value + gap)}"
    return Skip(Code.NO_TRADE_NEEDED, f"{values}: nothing to {item.action.lower()}")


def _within_band(gap: Decimal, basis: SizingBasis, config: ExecutionConfig) -> Skip | None:
    band = basis.share(config.no_trade_band)
    if abs(gap) > band:
        return None
    text = f"the position is {format_dollars(abs(gap))} from its target; no_trade_band is {format_dollars(band)}"
    return Skip(Code.WITHIN_BAND, text)


def _below_minimum_trade(amount: Decimal, basis: SizingBasis, config: ExecutionConfig) -> Skip | None:
    by_weight = basis.share(config.minimum_trade_weight)
    least = max(config.minimum_trade_dollars, by_weight)
    if abs(amount) >= least:
        return None
    name = "minimum_trade_weight" if least == by_weight else "minimum_trade_dollars"
    text = f"the trade is for {format_dollars(abs(amount))}; {name} is {format_dollars(least)}"
    return Skip(Code.BELOW_MINIMUM_TRADE, text)
