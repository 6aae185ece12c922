"""Three portfolios bought with all of the cash, before and now: ``python -m benchmarks.portfolios``.

*Preview* is the size after the cash gate, *result* what the buys get if all prices have risen by 0.3 % then. The code
that executes plans computes both; the former algorithm is kept here for comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from rebalance_executor.domain.cash import allowances, buy_budget, scale_to_budget
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import Asset, Quote, SymbolSnapshot
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.plan import Action, RebalancePlanItem
from rebalance_executor.domain.previous_close import NO_PREVIOUS_CLOSE
from rebalance_executor.domain.sizing import floor_qty, round_whole_shares, size

_NOW = datetime(2026, 1, 26, 15, tzinfo=UTC)
_CONFIG = ExecutionConfig()
_RISE = Decimal("1.003")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Target dollars and price of each symbol; the cash is the sum of the targets."""

    name: str
    targets: tuple[tuple[Decimal, Decimal], ...]
    fractionable: bool = True

    @property
    def cash(self) -> Decimal:
        """Dollars."""
        return sum((dollars for dollars, _ in self.targets), Decimal(0))

    def parents(self) -> list[ParentOrder]:
        """Return the sized parents, rounded down."""
        return [self._parent(number, dollars, price) for number, (dollars, price) in enumerate(self.targets)]

    def quotes(self, rise: Decimal) -> dict[str, Quote]:
        """Return quotes two cents wide, with the mid at the price times ``rise``."""
        mids = ((price * rise).quantize(_CENT) for _, price in self.targets)
        return {_symbol(number): _quote(_symbol(number), mid) for number, mid in enumerate(mids)}

    def _parent(self, number: int, dollars: Decimal, price: Decimal) -> ParentOrder:
        symbol = _symbol(number)
        weight = dollars / self.cash
        item = RebalancePlanItem(
            symbol=symbol,
            action=Action.BUY,
            trade_amount=dollars,
            current_weight=Decimal(0),
            target_weight=weight,
            weight_diff=weight,
            target_value=dollars,
            current_value=Decimal(0),
            priority=1,
        )
        asset = Asset(symbol, "active", tradable=True, fractionable=self.fractionable)
        snapshot = SymbolSnapshot(asset, _quote(symbol, price), None, market_close=NO_PREVIOUS_CLOSE)
        return size(item, snapshot, _CONFIG, _NOW)


def _symbol(number: int) -> str:
    return f"S{number:02}"


def _quote(symbol: str, mid: Decimal) -> Quote:
    return Quote(symbol, mid - _CENT, mid + _CENT, Decimal(100), Decimal(100), _NOW)


def _portfolios() -> list[Portfolio]:
    twenty = tuple((Decimal(5_000), Decimal(20 + 23 * number)) for number in range(20))
    sleeve = (*((Decimal(24_900), Decimal(price)) for price in (62, 145, 233, 410)), (Decimal(400), Decimal(88)))
    funds = tuple((Decimal(3_000), Decimal(price)) for price in (62, 98, 113, 178, 255, 312, 441, 520))
    return [
        Portfolio("20 equal weights", twenty),
        Portfolio("small sleeve, last", sleeve),
        Portfolio("whole-share funds", funds, fractionable=False),
    ]


def _in_turn(parents: Sequence[ParentOrder], quotes: dict[str, Quote], left: Decimal) -> list[ParentOrder]:
    """Return the buys by the former algorithm: each gets what it wants until nothing is left."""
    bought = []
    for parent in parents:
        price = quotes[parent.symbol].ask
        qty = parent.qty
        if qty * price > left:
            qty = floor_qty(left / price, fractionable=parent.fractionable)
        qty = qty if qty * price >= _CONFIG.minimum_notional else Decimal(0)
        bought.append(replace(parent, qty=qty))
        left -= qty * price
    return bought


def _before(portfolio: Portfolio) -> tuple[list[ParentOrder], list[ParentOrder]]:
    budget = buy_budget(portfolio.cash, _CONFIG)
    preview = _in_turn(portfolio.parents(), portfolio.quotes(Decimal(1)), budget)
    return preview, _in_turn(preview, portfolio.quotes(_RISE), budget)


def _after(portfolio: Portfolio) -> tuple[list[ParentOrder], list[ParentOrder]]:
    budget, risen = buy_budget(portfolio.cash, _CONFIG), portfolio.quotes(_RISE)
    sized = round_whole_shares(portfolio.parents(), lambda _: True)
    scaled = scale_to_budget(sized, portfolio.quotes(Decimal(1)), budget, _CONFIG, _NOW)
    preview = [parent if parent.outcome is None else replace(parent, qty=Decimal(0)) for parent in scaled]
    allowed = allowances([p for p in preview if p.qty], risen, portfolio.cash, _CONFIG)
    bought = []
    for parent in preview:
        affordable = allowed[parent.symbol].amount / risen[parent.symbol].ask if parent.qty else Decimal(0)
        qty = min(parent.qty, floor_qty(affordable, fractionable=parent.fractionable))
        bought.append(replace(parent, qty=qty))
    return preview, bought


def _figures(portfolio: Portfolio, parents: Sequence[ParentOrder], rise: Decimal) -> str:
    quotes, cash = portfolio.quotes(rise), portfolio.cash
    spent = sum((parent.qty * quotes[parent.symbol].ask for parent in parents), Decimal(0))
    amounts = [parent.qty * price for parent, (_, price) in zip(parents, portfolio.targets, strict=True)]
    targets = [dollars for dollars, _ in portfolio.targets]
    error = sum((abs(amount - target) for amount, target in zip(amounts, targets, strict=True)), Decimal(0))
    parts = [amount / target for amount, target in zip(amounts, targets, strict=True)]
    figures = (*(_percent(part) for part in (min(parts), max(parts))), _percent(error / cash), f"${cash - spent:,.2f}")
    return " | ".join(figures)


def _percent(part: Decimal) -> str:
    return f"{(part * 100).quantize(_CENT)} %"


def main() -> None:
    """Print the table of ``docs/evidence/measured-plans.md``."""
    print("| portfolio | algorithm | stage | least of target | most of target | Σ\\|weight − target\\| | cash left |")
    print("|---|---|---|---:|---:|---:|---:|")
    for portfolio in _portfolios():
        for algorithm, (preview, result) in (("before", _before(portfolio)), ("now", _after(portfolio))):
            print(f"| {portfolio.name} | {algorithm} | preview | {_figures(portfolio, preview, Decimal(1))} |")
            print(f"| {portfolio.name} | {algorithm} | result | {_figures(portfolio, result, _RISE)} |")


if __name__ == "__main__":
    main()
