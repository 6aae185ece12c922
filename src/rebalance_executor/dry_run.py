"""The dry run, ``{"dry_run": plan}``: sizes and prices a plan as a run would, and trades nothing.

It uses settings, secret, broker, table and controls of the function, so it fails where a plan would. Nothing is
written, and no event of a plan is logged or counted. Outside trading hours the market counts as open, so that the items
are sized.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import DecisionContext, Place
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.risk_state import AccountBinding
from rebalance_executor.domain.strategy import decide
from rebalance_executor.domain.values import format_decimal
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.ports import Lease, Ports
from rebalance_executor.execution.pretrade import PreTrade
from rebalance_executor.execution.read_only import NoLog, ReadOnlyBroker, read_only
from rebalance_executor.execution.run import Run


def dry_run(
    plan: RebalancePlan,
    deadline: Deadline,
    ports: Ports,
    config: ExecutionConfig,
    binding: Callable[[str], AccountBinding | None],
) -> dict[str, Any]:
    """Return what the first orders of a plan would be, as JSON.

    Args:
        plan: the plan; it names its account.
        deadline: the end of the invocation.
        ports: the ports of execution. Only their reads are used.
        config: the execution settings.
        binding: returns the binding of a broker account.

    Raises:
        InvalidInput, ConfigurationError, Redeliver: as for a plan.
    """
    if plan.account is None:
        raise AssertionError("the account of the plan is set")
    broker = ReadOnlyBroker(ports.brokers(plan.account, deadline), as_if_open=True)
    silent = replace(read_only(ports, binding), log=NoLog())
    access = AccountAccess.create(plan.account, broker, silent, config)
    lease = Lease(plan.account, epoch=0, run_id="dry-run", expires_at=deadline.at)
    run = PreTrade(access).start(plan, lease, deadline)
    items = [_first_order(parent, run, access) for parent in run.parents.values()]
    return {"dry_run": True, "plan_id": plan.plan_id, "account": plan.account, "items": items}


def _first_order(parent: ParentOrder, run: Run, access: AccountAccess) -> dict[str, Any]:
    """Return what would be sent first for an item, or why nothing would be."""
    item: dict[str, Any] = {"symbol": parent.symbol, "side": parent.side.value}
    if parent.outcome is not None:
        return item | {"outcome": parent.outcome.value, "code": parent.code, "message": parent.message}
    schedule = run.wave_schedule(parent.side, access.config)
    quote = access.quotes.latest.get(parent.symbol)
    decision = decide(parent, DecisionContext(now=access.clock.now(), quote=quote, schedule=schedule), access.config)
    if isinstance(decision, Place):
        price = decision.limit_price
        limit = format_decimal(price) if price is not None else None
        return item | {"qty": format_decimal(decision.qty), "type": decision.type.value, "limit_price": limit}
    return item | {"decision": type(decision).__name__}
