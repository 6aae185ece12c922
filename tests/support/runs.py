"""Runs for the unit tests of execution."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rebalance_executor.domain.journal import RunRecord
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.outbox import Outbox
from rebalance_executor.execution.ports import Lease
from rebalance_executor.execution.run import Run
from rebalance_executor.execution.unit_of_work import UnitOfWork
from tests.support.builders import NOW, a_plan, a_state, an_item, later


def a_run(
    *parents: ParentOrder,
    plan: RebalancePlan | None = None,
    seconds: float = 600,
    minutes: float = 60,
    outbox: Outbox | None = None,
    **fields: Any,
) -> Run:
    """Return a run on these parents that started at ``NOW``.

    Args:
        parents: the plan's parent orders.
        plan: the plan; by default one with an item for each parent.
        seconds: until the invocation's timeout.
        minutes: until the plan's own time limit.
        outbox: what is journalled and not sent; empty by default.
        fields: other fields of ``Run``.
    """
    plan = plan or a_plan(*(an_item(parent.symbol) for parent in parents))
    work = UnitOfWork(a_state(plan), RunRecord(1, "run-1", started_at=NOW), {p.symbol: p for p in parents})
    lease, deadline = Lease("main", 1, "run-1", later(600)), Deadline.after(NOW, timedelta(seconds=seconds))
    return Run(plan, lease, deadline, work, later(minutes * 60), outbox or Outbox(), **fields)
