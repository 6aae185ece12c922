"""A plan executed from a script: ``python library.py plan.json``. No Lambda, no queue, no event.

Where it leads is the environment's to say, as for the function (docs/reference.md): ``EXECUTION_TABLE`` and AWS
credentials for the journal, ``ALPACA_…`` for the broker. The journal is what keeps an order from being sent twice, in
this process, in another one, or in the deployed function: there is none without a table.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

from rebalance_executor import Deadline, ExecutionConfig, ExecutionManager, ExecutionResult, RebalancePlan
from rebalance_executor.adapters.clock import new_run_id
from rebalance_executor.bootstrap import build_ports
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.settings import load_settings


class Printed:
    """Implements ``EventLog``: what happens, a line each."""

    def emit(self, event: LogEvent, **fields: object) -> None:
        """Print one event of the catalogue."""
        print(event.value, fields.get("symbol", ""))


def execute(plan: RebalancePlan, limit: timedelta = timedelta(minutes=5)) -> ExecutionResult:
    """Execute the plan, go on with it, or answer with its stored result.

    Args:
        plan: what to trade.
        limit: how long it may take; a plan that is not finished then stops safely, with an error that says so.
    """
    settings = load_settings()
    config = ExecutionConfig.from_json(settings.execution_config)
    ports = build_ports(settings, config, Printed())
    deadline = Deadline.after(ports.clock.now(), limit)
    account = plan.account or settings.account
    return ExecutionManager(ports, config).execute(plan, account, deadline, run_id=new_run_id())


if __name__ == "__main__":
    result = execute(RebalancePlan.parse(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    for order in result.orders:
        print(order.symbol, order.outcome.value, order.shares, "at", order.price)
    print(result.status.value, result.total_trade_value, "dollars")
