"""Deliberate bugs in how an order is worked: its slices, its share of the volume, patience, orders below a share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.domain import ladder, slicing, strategy
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.market import Destination, Display
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.slicing import Slices
from rebalance_simulation.bug_tools import Replacement


def _all_due(slices: Slices, _: datetime) -> Decimal:
    return slices.qty


def _slices_as(change: Callable[[Slices, ParentOrder, WaveSchedule, datetime], Slices]) -> Callable[..., Any]:
    slices_of = slicing.slices_of

    def changed(parent: ParentOrder, schedule: WaveSchedule, now: datetime, config: ExecutionConfig) -> Slices | None:
        slices = slices_of(parent, schedule, now, config)
        return None if slices is None else change(slices, parent, schedule, now)

    return changed


def _restarted() -> Callable[..., Any]:
    first = dict[tuple[str, datetime | None], datetime]()

    def restart(slices: Slices, parent: ParentOrder, schedule: WaveSchedule, now: datetime) -> Slices:
        starts = first.setdefault((parent.symbol, schedule.cross_by), now)  # every run has its own
        return replace(slices, starts=starts, ends=starts + (slices.ends - slices.starts))

    return _slices_as(restart)


def _without_remark() -> Callable[..., Any]:
    return _slices_as(lambda slices, *_: replace(slices, is_shortened=False))


def _all_of_the_volume() -> Callable[..., Any]:
    slices_of = slicing.slices_of

    def with_all(parent: ParentOrder, schedule: WaveSchedule, now: datetime, config: ExecutionConfig) -> Slices | None:
        return slices_of(parent, schedule, now, config.model_copy(update={"max_participation": Decimal(1)}))

    return with_all


def _fills_ignored() -> Callable[..., bool]:
    is_overdue = ladder.is_overdue

    def overdue(parent: ParentOrder, child: ChildOrder, *args: Any) -> bool:
        return is_overdue(parent, replace(child, fill_seen_at=None), *args)

    return overdue


def _children_of_one_slice(parent: ParentOrder, _: WaveSchedule, config: ExecutionConfig) -> int:
    return config.max_children - parent.attempts


def _last_slice_forgotten() -> Callable[..., Any]:
    load = DynamoJournal.load

    def forgetful(journal: DynamoJournal, account: str, plan_id: str) -> Any:
        plan = load(journal, account, plan_id)
        if plan is None or plan.result is not None:
            return plan
        return replace(plan, parents={symbol: _forget(parent) for symbol, parent in plan.parents.items()})

    return forgetful


def _forget(parent: ParentOrder) -> ParentOrder:
    """Return the parent with its second slice as one that was not sent, if a killed run left it."""
    last = parent.last_child
    if last is None or last.attempt == 1 or last.state is not ChildState.INTENDED:
        return parent
    return parent.with_child(replace(last, state=ChildState.NOT_SENT))


def _always_displayed(*_: Any) -> Display:
    return Display(Decimal(100), Destination.NASDAQ)


WORKING_BUGS: dict[str, list[Replacement]] = {
    "all slices are due at once": [(Slices, "due", lambda: _all_due)],
    "slices start again in every run": [(strategy, "slices_of", _restarted)],
    "a slice is sent again after a kill": [(DynamoJournal, "load", _last_slice_forgotten)],
    "a horizon is shortened without a remark": [(strategy, "slices_of", _without_remark)],
    "the participation limit is ignored": [(strategy, "slices_of", _all_of_the_volume)],
    "a large order has the child orders of a small one": [(ladder, "children_left", lambda: _children_of_one_slice)],
    "an order that keeps filling is overdue": [(ladder, "is_overdue", _fills_ignored)],
    "an order below one share rests at the near side": [(ladder, "ONE_SHARE", lambda: Decimal(0))],
    "more is displayed than the order has": [(ExecutionConfig, "display_of", lambda: _always_displayed)],
}
"""By name: what each bug replaces."""
