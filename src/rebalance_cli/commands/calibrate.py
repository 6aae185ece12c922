"""``rebalance calibrate``: estimate fill rates from the journal and propose ladders; change nothing."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

import typer

from rebalance_cli.options import CommandSession, account_command
from rebalance_cli.queries.calibration import calibrate_ladders
from rebalance_cli.queries.plans import parse_day
from rebalance_cli.views.calibration import calibration_view
from rebalance_executor.domain.market import BrokerKind


@account_command
def calibrate(
    session: CommandSession,
    *,
    day: Annotated[
        str | None, typer.Option("--day", help="Last day in UTC, as in 2026-01-26 (default: today).")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, help="Number of days, ending with that day.")] = 30,
    broker: Annotated[
        BrokerKind | None,
        typer.Option("--broker", help="Kind of broker whose fills are used (default: the configured one)."),
    ] = None,
    patience: Annotated[
        float,
        typer.Option(
            "--patience", min=0.1, max=100, help="Longest total time of a proposed ladder, in times of the present one."
        ),
    ] = 1,
) -> None:
    """Estimate from the account's own orders how fast they fill, and propose ladders with their expected cost.

    Applies nothing: it prints an EXECUTION_CONFIG that you may set. docs/calibration.md explains the estimates.
    """
    with session.context() as ctx:
        account, last = ctx.account_name(session.account), parse_day(day, ctx.now)
        first = last - timedelta(days=days - 1)
        kind = broker or ctx.settings.broker_kind
        answer = calibrate_ladders(ctx, account, (first, last), kind, Decimal(str(patience)))
        config = answer.execution_config
        next_step = f"EXECUTION_CONFIG={shlex.quote(json.dumps(config))}" if config is not None else None
        session.answer(answer, calibration_view(answer, session.out.width), next_step)
