"""``rebalance doctor | halt | resume | bind | reconcile``: the commands of the on-call engineer."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated
from urllib.parse import urlsplit

import typer
from botocore.exceptions import BotoCoreError, ClientError

from rebalance_cli.commands.dead_letters import Queue
from rebalance_cli.commands.plan import confirm_live
from rebalance_cli.console import confirm
from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError, Exit
from rebalance_cli.formatting import counted
from rebalance_cli.options import AccountDigits, CommandSession, PlanId, account_command
from rebalance_cli.outputs import BindingAnswer, Check, Diagnosis, KillSwitchAnswer
from rebalance_cli.queries.plans import load_plan, resolve_plan_id
from rebalance_cli.queries.reconciliation import reconcile_plan
from rebalance_cli.views.operations import binding_view, diagnosis_view, kill_switch_view, reconciliation_view
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    ConfigurationError,
    CredentialsRejected,
    InvalidInput,
    RebalanceError,
    UnknownAccount,
)
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.plan_controls import deployment_denial
from rebalance_executor.domain.risk_state import AccountBinding, KillSwitchRecord, TradingState, operator_and_reason
from rebalance_executor.execution.kill_switch import set_by_operator
from rebalance_executor.health import BoundElsewhere, account_warnings, check_health

Reason = Annotated[str, typer.Option("--reason", help="Why; shown in every denial that follows.")]
BindingReason = Annotated[str, typer.Option("--reason", help="Why; stored with the binding.")]
By = Annotated[str | None, typer.Option("--by", envvar="REBALANCE_OPERATOR", help="Your name (default: your login).")]

_FIX = {
    "configuration": "Correct the variable named above. docs/reference.md lists all variables.",
    "idempotency": "Check IDEMPOTENCY_TABLE and whether this role may read the table.",
    "journal": "Check JOURNAL_FILE, or EXECUTION_TABLE and whether this role may read the table.",
    "account": "Check the account and its keys at Alpaca. New keys: docs/operations.md, Rotate credentials.",
    "clock": "Synchronize this machine's clock with a time server: it decides the age of plans and leases.",
    "quotes": "Check ALPACA_DATA_URL and the data subscription of the keys.",
    "plans": "Check PLAN_BUCKET and whether this role may list it.",
    "results": "Check RESULT_BUS and whether this role may describe it.",
    "short selling": "Set no_shorting in the account configuration at Alpaca: this program never sells short.",
    "margin": "Set the maximum margin multiplier to 1 at Alpaca: this program spends cash only.",
    "paper money": "Check ALPACA_PAPER, ALPACA_TRADING_URL and the keys: paper account numbers start with PA.",
}
"""Fix for each failing check and each warning."""
_FIX_BY_CODE = {
    BrokerUnavailable.code: "Check that Alpaca is up and reachable from here: ALPACA_TRADING_URL, ALPACA_DATA_URL.",
    UnknownAccount.code: _FIX["account"],
    CredentialsRejected.code: _FIX["account"],
    ConfigurationError.code: "Do what the message says, then run this command again.",
}
"""Fix for a check that fails with this code, which may have nothing to do with the name of the check."""


# --- the kill switch -------------------------------------------------------------------------------------


@account_command
def halt(
    session: CommandSession,
    *,
    reason: Reason,
    by: By = None,
    reducing: Annotated[bool, typer.Option("--reducing", help="Allow sells; deny only buys.")] = False,
) -> None:
    """Stop an account: nothing more is sent, and open orders are canceled.

    A run reads the kill switch at most one second before it sends an order, and every five seconds while its orders are
    open.
    """
    state = TradingState.REDUCING if reducing else TradingState.HALTED
    with session.context() as ctx:
        account = ctx.account_name(session.account)
        record = KillSwitchRecord(state, by or getpass.getuser(), reason, ctx.now)
        _set_kill_switch(session, ctx, account, record, _resume_command(ctx, account))


@account_command
def resume(
    session: CommandSession,
    *,
    reason: Reason,
    by: By = None,
    confirm_account: AccountDigits = None,
) -> None:
    """Let an account trade again after a halt. Shows who halted it and why."""
    with session.context() as ctx:
        account = ctx.account_name(session.account)
        confirm_live(ctx, account, confirm_account)
        record = KillSwitchRecord(TradingState.ACTIVE, by or getpass.getuser(), reason, ctx.now)
        _set_kill_switch(session, ctx, account, record, ctx.command("status", account=account))


def _set_kill_switch(
    session: CommandSession, ctx: CliContext, account: str, record: KillSwitchRecord, next_step: str
) -> None:
    store = ctx.ports.risk_store
    before = KillSwitchAnswer.of(account, store.kill_switch(account))
    after = KillSwitchAnswer.of(account, set_by_operator(store, account, record))
    session.answer(after, kill_switch_view(before, after), next_step)


def _resume_command(ctx: CliContext, account: str) -> str:
    return f'{ctx.command("resume", account=account)} --reason "..."'


# --- broker account and account name ---------------------------------------------------------------------


@account_command
def bind(
    session: CommandSession,
    *,
    reason: BindingReason,
    by: By = None,
    confirm_account: AccountDigits = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Move a broker account to this account name and deployment: the one that the keys of the account belong to.

    A broker account belongs to the first name whose plan used it, and to the deployment that sends its orders; plans of
    any other are denied ACCOUNT_MISMATCH. Orders that another deployment sent before the move are ignored afterwards.
    It cannot be moved while a run or an unfinished plan of the former name exists.
    """
    with session.context() as ctx:
        account = ctx.account_name(session.account)
        confirm_live(ctx, account, confirm_account)
        number = ctx.broker(account).account().account_number
        before = ctx.risk_store.binding(number)
        former = before.account if before is not None else None
        orders = ctx.broker(account).recent_orders()
        is_traded_elsewhere = deployment_denial(orders, before, number, ctx.ports.deployment) is not None
        if before is not None and former == account and not is_traded_elsewhere:
            after = before
        else:
            after = AccountBinding(number, account, ctx.now, *operator_and_reason(by or getpass.getuser(), reason))
            if not yes:
                session.console.print(binding_view(number, before, None))
                move = ctx.command("bind", "--reason", reason, "--yes", account=account)
                confirm(f"Move broker account {number} to account {account}?", f"Move without asking: {move}")
            _move_binding(ctx, after, former)
        answer = BindingAnswer(former=former, **asdict(after))
        session.answer(answer, binding_view(number, before, after), ctx.command("doctor", account=account))


def _move_binding(ctx: CliContext, binding: AccountBinding, former: str | None) -> None:
    try:
        ctx.risk_store.move_binding(binding, former)
    except InvalidInput as error:
        raise CliError(f"{error.code}  {error}", ctx.command("status", account=former)) from None


# --- the doctor ------------------------------------------------------------------------------------------


@account_command
def doctor(session: CommandSession) -> None:
    """Check every dependency once and show how to fix what fails. Trades nothing.

    Exit codes: 0 healthy, 1 a check failed, 6 only the kill switch is not active.
    """
    try:
        with session.context() as ctx:
            checks = list(_checks(ctx, ctx.account_name(session.account)))
    except ConfigurationError as error:
        checks = [Check(name="configuration", ok=False, detail=str(error), fix=_FIX["configuration"])]
    diagnosis = Diagnosis(healthy=all(check.ok for check in checks), checks=tuple(checks))
    session.answer(diagnosis, diagnosis_view(diagnosis))
    raise typer.Exit(_diagnosis_exit_code(diagnosis))


def _checks(ctx: CliContext, account: str) -> Iterator[Check]:
    from rebalance_executor import bootstrap  # imported late: takes a second, as in rebalance_cli.context

    yield _check_configuration(ctx, account)
    settings = ctx.settings.model_copy(update={"account": account})
    answer = check_health(bootstrap.health_checks(settings, ctx.aws_client, ctx.ports, ctx.deadline()), ctx.event_log)
    for check in answer["checks"]:
        yield Check(**check, fix=None if check["ok"] else _fix(ctx, account, check["name"], check["detail"]))
    yield from _warnings(ctx, account)
    queues = [queue for queue in Queue if ctx.environment.get(queue.variable)]
    if queues:
        yield _check_dead_letters(ctx, queues)
    yield _check_kill_switch(ctx, account)


def _check_configuration(ctx: CliContext, account: str) -> Check:
    served = ctx.settings.accounts
    if served and account not in served:
        detail = f"account {account} is not served: ACCOUNTS names {', '.join(served)}"
        return Check(name="configuration", ok=False, detail=detail, fix=_FIX["configuration"])
    return Check(name="configuration", ok=True, detail=_target(ctx, account), fix=None)


def _warnings(ctx: CliContext, account: str) -> Iterator[Check]:
    """Yield what an operator should change at the broker. An account that cannot be read has failed its check."""
    try:
        warnings = account_warnings(ctx.broker(account).account(), ctx.settings)
    except RebalanceError:
        return
    for name, detail in warnings.items():
        yield Check(name=name, ok=True, warning=True, detail=detail, fix=_FIX[name])


def _fix(ctx: CliContext, account: str, name: str, detail: str) -> str:
    code = detail.partition(":")[0]
    if code == BoundElsewhere.code:
        return f'To move it here: {ctx.command("bind", account=account)} --reason "..."'
    return _FIX_BY_CODE.get(code, _FIX[name])


def _target(ctx: CliContext, account: str) -> str:
    money = "REAL MONEY" if ctx.settings.broker_kind is BrokerKind.LIVE else f"{ctx.settings.broker_kind} money"
    place = "this machine" if ctx.is_local or ctx.settings.journal_file else "AWS"
    return f"account {account}, {money}, on {place}, broker {urlsplit(ctx.settings.trading_url).netloc}"


def _check_dead_letters(ctx: CliContext, queues: Sequence[Queue]) -> Check:
    try:
        counts = {queue: _message_count(ctx, queue) for queue in queues}
    except (BotoCoreError, ClientError) as error:
        fix = f"Check {', '.join(queue.variable for queue in queues)} and whether this role may read the queues."
        return Check(name="dead letters", ok=False, detail=str(error), fix=fix)
    waiting = [queue for queue, count in counts.items() if count]
    if not waiting:
        return Check(name="dead letters", ok=True, detail=f"empty ({', '.join(queues)})", fix=None)
    detail = ", ".join(f"{counted(counts[queue], 'message')} in the {queue.label}" for queue in waiting)
    return Check(name="dead letters", ok=False, detail=detail, fix=ctx.command("dlq", "list", "--queue", waiting[0]))


def _message_count(ctx: CliContext, queue: Queue) -> int:
    name = "ApproximateNumberOfMessages"
    url = ctx.environment[queue.variable]
    response = ctx.aws_client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    return int(response["Attributes"][name])


def _check_kill_switch(ctx: CliContext, account: str) -> Check:
    try:
        switch = ctx.ports.risk_store.kill_switch(account)
    except RebalanceError as error:
        return Check(name="kill switch", ok=False, detail=str(error), fix=_FIX["journal"])
    if switch.state is TradingState.ACTIVE:
        return Check(name="kill switch", ok=True, detail="ACTIVE", fix=None)
    detail = f"{switch.state.value} by {switch.by}: {switch.reason}"
    return Check(name="kill switch", ok=False, detail=detail, fix=_resume_command(ctx, account))


def _diagnosis_exit_code(diagnosis: Diagnosis) -> Exit:
    if diagnosis.healthy:
        return Exit.COMPLETE
    failing = {check.name for check in diagnosis.checks if not check.ok}
    return Exit.HALTED if failing == {"kill switch"} else Exit.BROKEN


# --- broker against journal ------------------------------------------------------------------------------


@account_command
def reconcile(session: CommandSession, plan: PlanId) -> None:
    """Compare the broker's orders, fills and positions with the journal of a finished plan.

    Positions are compared only in symbols that no later plan traded. Exit codes: 0 they agree, 7 they differ.
    """
    with session.context() as ctx:
        account = ctx.account_name(session.account)
        record = load_plan(ctx, account, resolve_plan_id(plan))
        plan_id = record.plan.plan_id
        if record.journal.result is None:
            text = f"Plan {plan_id} is not finished, so there is nothing to compare yet."
            raise CliError(text, ctx.command("watch", plan_id, account=account), Exit.IN_PROGRESS)
        answer = reconcile_plan(ctx, record)
        symbols = [difference.symbol for difference in answer.differences]
        next_step = ctx.command("explain", plan_id, symbols[0], account=account) if symbols else None
        session.answer(answer, reconciliation_view(answer), next_step)
        raise typer.Exit(Exit.COMPLETE if answer.agrees else Exit.UNRESOLVED)
