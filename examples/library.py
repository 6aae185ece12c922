"""Execute a plan from a script, without Lambda, queue or events: ``python library.py plan.json``.

Configure it through the environment, as the function (docs/reference.md): ``EXECUTION_TABLE`` and AWS credentials for
the journal, ``ALPACA_…`` for the broker. The table is required: its journal keeps this process, other processes and the
deployed function from sending an order twice.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rebalance_executor import Deadline, ExecutionConfig, ExecutionResult, PlanManager, RebalancePlan
from rebalance_executor.adapters.clock import new_run_id
from rebalance_executor.bootstrap import build_ports
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.settings import load_settings


class PrintedLog:
    """Implementation of ``PlanLog`` that prints one line per event."""

    def emit(self, event: LogEvent, **fields: object) -> None:
        """Print one event."""
        print(event.value, fields.get("symbol", ""))

    @contextmanager
    def earlier_plan(self, plan: PlanState) -> Iterator[None]:
        """Print which plan of the account is finished before the given one."""
        print("finishing plan", plan.plan_id)
        yield


def execute(plan: RebalancePlan, limit: timedelta = timedelta(minutes=5)) -> ExecutionResult:
    """Execute or resume the plan, or return its stored result.

    Args:
        plan: the plan.
        limit: time limit; an unfinished plan then stops safely and raises ``PlanYielded``.
    """
    settings = load_settings()
    config = ExecutionConfig.from_json(settings.execution_config)
    ports = build_ports(settings, config, PrintedLog())
    deadline = Deadline.after(ports.clock.now(), limit)
    account = plan.account or settings.account
    return PlanManager(ports, config).execute(plan, account, deadline, run_id=new_run_id())


if __name__ == "__main__":
    result = execute(RebalancePlan.parse(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    for order in result.orders:
        print(order.symbol, order.outcome.value, order.shares, "at", order.price)
    print(result.status.value, result.filled_dollars, "dollars")
