"""``rebalance publish``: send the stored result of a plan to the channels that have not received it."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError, Exit
from rebalance_cli.options import CommandSession, PlanId, account_command
from rebalance_cli.outputs import Publication
from rebalance_cli.queries.plans import load_plan, resolve_plan_id
from rebalance_cli.views.operations import publication_view
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.publishing import publish as publish_result


@account_command
def publish(
    session: CommandSession,
    plan: PlanId,
    *,
    again: Annotated[
        bool, typer.Option("--again", help="Publish on every channel, also on those that received the result.")
    ] = False,
) -> None:
    """Publish the stored result of a plan on the channels that have not received it. Trades nothing.

    Exit codes: 0 every channel has the result, 1 a channel failed.
    """
    with session.context() as ctx:
        record = load_plan(ctx, ctx.account_name(session.account), resolve_plan_id(plan))
        result, account, plan_id = record.journal.result, record.plan.account, record.plan.plan_id
        if result is None:
            text = f"Plan {plan_id} has no result yet."
            raise CliError(text, ctx.command("watch", plan_id, account=account), Exit.IN_PROGRESS)
        if not ctx.ports.publishers:
            text = "No channel is configured: neither RESULT_BUS nor RESULT_TOPIC is set."
            next_step = f"Set one of them, or read them: {ctx.command('init', '--stack', 'NAME', '--force')}"
            if ctx.settings.journal_file is not None:
                next_step = f"Without AWS there is none; the result: {ctx.command('report', plan_id, account=account)}"
            raise CliError(text, next_step)
        answer = _publish(ctx, result, again=again)
        command = ctx.command("publish", plan_id, account=account)
        session.answer(answer, publication_view(answer), command if answer.failed else None)
        raise typer.Exit(Exit.BROKEN if answer.failed else Exit.COMPLETE)


def _publish(ctx: CliContext, result: ExecutionResult, *, again: bool) -> Publication:
    """Publish under the account's lease, so that no run publishes the same result at the same time.

    Raises:
        CliError: another plan of the account must be finished first.
        LeaseHeld: a run is working on the account.
    """
    account, plan_id, journal = result.account, result.plan_id, ctx.ports.journal
    lease = journal.acquire(account, f"publish-{uuid.uuid4()}", now=ctx.now, expires_at=ctx.deadline().at)
    try:
        if lease.unfinished_plan_id not in (None, plan_id):
            text = f"Plan {lease.unfinished_plan_id} of account {account} must be finished first."
            raise CliError(text, ctx.command("status", lease.unfinished_plan_id or "", account=account))
        stored = journal.load(account, plan_id)
        before = stored.published if stored is not None else frozenset()
        publish_result(ctx.ports, lease, result, frozenset() if again else before)
    finally:
        journal.release(lease)  # without effect after a publication, which releases it
    events = ctx.event_log.events
    failed = {str(f["channel"]): str(f["reason"]) for event, f in events if event is LogEvent.RESULT_PUBLISH_FAILED}
    sent = tuple(str(fields["channel"]) for event, fields in events if event is LogEvent.RESULT_PUBLISHED)
    earlier = tuple(sorted(before - set(sent)))
    return Publication(plan_id=plan_id, account=account, published=sent, earlier=earlier, failed=failed)
