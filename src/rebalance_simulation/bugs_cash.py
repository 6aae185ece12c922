"""Deliberate bugs in the cash of the buys: before the cash gate, at it, and after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from rebalance_executor.domain.cash import buy_budget
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.journal import PlanPhase
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.execution import cash_gate, executor, manager
from rebalance_executor.execution.run import Run
from rebalance_simulation.bug_tools import Replacement


def _estimated_proceeds(parents: Iterable[ParentOrder]) -> Decimal:
    sells = (parent for parent in parents if parent.side is Side.SELL and parent.arrival is not None)
    return sum((parent.qty * parent.arrival.mid for parent in sells if parent.arrival is not None), Decimal(0))


def _gate_passed_again() -> Callable[..., Run]:
    resume = manager.PlanManager._run_of  # noqa: SLF001 - a bug

    def resumed(*args: Any) -> Run:
        run = resume(*args)
        run.work.update_state(phase=PlanPhase.SELLS)
        return run

    return resumed


def _excessive_funds(_: Decimal, expected: Decimal) -> Decimal:
    return expected * 10 + 50_000


def _all_cash_early(starting_funds: Decimal, received: Decimal, config: ExecutionConfig) -> Decimal:
    return buy_budget(starting_funds + received, config)


CASH_BUGS: dict[str, list[Replacement]] = {
    "the buy budget exceeds the cash": [(cash_gate, "buy_funds", lambda: _excessive_funds)],
    "sale proceeds are estimated": [(cash_gate, "proceeds", lambda: _estimated_proceeds)],
    "buys use proceeds before the sells are filled": [(executor, "proceeds", lambda: _estimated_proceeds)],
    "early buys use more of the cash than is permitted": [(executor, "early_funds", lambda: _all_cash_early)],
    "a resumed run passes the cash gate again": [(manager.PlanManager, "_run_of", _gate_passed_again)],
}
"""By name: what each bug replaces."""
