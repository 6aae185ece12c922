"""Realised costs of an account's finished plans, read from the journal, and the reading of missing market data."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from rebalance_cli.context import CliContext
from rebalance_cli.costs.answers import Costs, Dimension, FailedReading, UpdateAnswer
from rebalance_cli.costs.sums import kind_costs
from rebalance_cli.queries.plans import load_journals
from rebalance_executor.domain.costs import OrderCost, order_costs
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.execution.deadline import Deadline

_UPDATE_TIME = timedelta(minutes=10)
"""Time that ``--update`` takes at most."""


def read_costs(
    ctx: CliContext, account: str, days: tuple[date, date], broker: BrokerKind | None, by: Iterable[Dimension]
) -> Costs:
    """Return the costs of the plans that started between two days (UTC, inclusive), by kind of broker.

    Args:
        ctx: the target.
        account: the account's name.
        days: first and last day.
        broker: only plans on this kind of broker; all kinds, apart from each other, by default.
        by: what the orders are grouped by.

    Raises:
        JournalContradiction: the stored items of a plan cannot be read.
        JournalUnavailable: a read failed.
    """
    dimensions = tuple(by)
    costs: dict[BrokerKind, list[OrderCost]] = {}
    unfinished = []
    for journal in load_journals(ctx, account, *days):
        if journal.result is None:
            unfinished.append(journal.plan.plan_id)
        elif broker in (None, journal.plan.broker):
            costs.setdefault(journal.plan.broker, []).extend(order_costs(journal))
    kinds = [kind for kind in BrokerKind if costs.get(kind)]
    return Costs(
        account=account,
        first_day=days[0].isoformat(),
        last_day=days[1].isoformat(),
        kinds=tuple(kind_costs(kind, costs[kind], dimensions) for kind in kinds),
        unfinished=tuple(unfinished),
    )


def update_costs(ctx: CliContext, account: str, days: tuple[date, date]) -> UpdateAnswer:
    """Read the missing market data of the account's plans of these days, also of those that were given up.

    Raises:
        JournalUnavailable: the index or the journal could not be read.
    """
    from rebalance_executor import bootstrap  # imported late: takes a second

    deadline = Deadline.after(ctx.now, _UPDATE_TIME)
    reader = bootstrap.cost_update(ctx.settings, ctx.config, ctx.ports, ctx.aws_client, deadline)
    update = reader.run(*days, deadline.stop_at, account=account, retry=True)
    failed = [
        FailedReading(plan_id=one.plan_id, reason=one.reason, is_given_up=one.is_given_up) for one in update.failures
    ]
    return UpdateAnswer(read=update.read, not_due=update.not_due, left=update.left, failed=tuple(failed))
