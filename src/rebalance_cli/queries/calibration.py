"""The account's child orders of some days, read for ``rebalance calibrate``."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from decimal import Decimal

from rebalance_cli.calibration.answers import Calibration, Scope, calibration
from rebalance_cli.calibration.observations import observe
from rebalance_cli.context import CliContext
from rebalance_cli.queries.plans import load_journals
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.own_costs import own_costs


def calibrate_ladders(
    ctx: CliContext, account: str, days: tuple[date, date], broker: BrokerKind, patience: Decimal
) -> Calibration:
    """Return the estimates from the child orders of the plans that started between two days (UTC, inclusive).

    Plans on other kinds of brokers are left out: fills of a paper broker say nothing about live ones. Of unfinished
    plans, the orders that have ended are used.

    Raises:
        JournalContradiction: the stored orders of a plan cannot be read.
        JournalUnavailable: a read failed.
    """
    first, last = days
    journals = list(load_journals(ctx, account, first, last))
    others = Counter(journal.plan.broker for journal in journals if journal.plan.broker is not broker)
    used = [journal for journal in journals if journal.plan.broker is broker]
    scope = Scope(account, broker, first.isoformat(), last.isoformat(), len(used), others)
    configured = json.loads(ctx.settings.execution_config or "{}")
    answer = calibration(scope, observe(used, ctx.config), ctx.config, patience, configured)
    parents = (parent for journal in used for parent in journal.parents.values())
    return answer.model_copy(update={"own_costs": own_costs(parents, broker, ctx.config.own_costs)})
