"""``rebalance doctor | halt | resume | reconcile``: what the engineer on call does."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

import typer

from rebalance_cli.commands.dead_letters import Queue
from rebalance_cli.commands.inspect import Plan
from rebalance_cli.commands.plan import Digits, confirm_live
from rebalance_cli.console import answer, command
from rebalance_cli.context import CONFIG_FILE, HOME, Account, AsJson, CliContext, ConfigFile, Home, cli_context
from rebalance_cli.exit_codes import CliError, Exit
from rebalance_cli.outputs import Check, Deviation, Diagnosis, Reconciliation, KillSwitchAnswer
from rebalance_cli.queries.plans import PlanRecord, load_plan, plan_id_of, list_plans
from rebalance_cli.views.operations import diagnosis_view, reconciliation_view, switch_view
from rebalance_executor.domain.errors import BrokerUnavailable, ConfigurationError, RebalanceError
from rebalance_executor.domain.orders import ParentOrder, child_order_prefix
from rebalance_executor.domain.reconciliation import differences, was_sent
from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_executor.execution.kill_switch import set_by_operator
from rebalance_executor.health import check_health

_CLOCK_DIFFERENCE = timedelta(minutes=10)
"""How far the broker's clock may be behind ours."""

Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in every refusal that follows.")]
By = Annotated[str | None, typer.Option("--by", envvar="REBALANCE_OPERATOR", help="Your name; your login by default.")]

_MEND = {
    "configuration": "Mend the variable that is named; all of them are in docs/reference.md.",
    "front door": "Look at IDEMPOTENCY_TABLE, and whether this role may read the table.",
    "journal": "Look at EXECUTION_TABLE, and whether this role may read the table.",
    "account": "Look at the account and its keys at Alpaca; new keys: docs/operations.md, Rotate credentials.",
    "clock": "Set this machine's clock by a time server: ages of plans and leases are judged by it.",
    "quotes": "Look at ALPACA_DATA_URL and the data subscription of the keys.",
    "plans": "Look at PLAN_BUCKET, and whether this role may list it.",
    "results": "Look at RESULT_BUS, and whether this role may describe it.",
    "dead letters": "rebalance dlq list --queue plans, events, schedules or failures",
}

_NO_BROKER = "See whether Alpaca is up and can be reached from here: ALPACA_TRADING_URL, ALPACA_DATA_URL."

# --- the kill switch -------------------------------------------------------------------------------------


def halt(
    *,
    reason: Reason,
    by: By = None,
    reducing: Annotated[bool, typer.Option("--reducing", help="Let sells through; refuse buys only.")] = False,
    account: Account = None,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Stop an account: nothing is sent any more, and what rests is cancelled.

    A run under way sees it within a second before it sends anything, within five while its orders only rest.
    """
    state = TradingState.REDUCING if reducing else TradingState.HALTED
    with command(as_json=as_json) as (console, out), cli_context(home, config, console) as found:
        before, after = _set(found, found.account_name(account), state, by, reason)
        answer(after, switch_view(before, after, "rebalance resume --reason …"), as_json=as_json, out=out)


def resume(
    *,
    reason: Reason,
    by: By = None,
    account_number: Digits = None,
    account: Account = None,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Let an account trade again after a halt. Says who had halted it and why."""
    with command(as_json=as_json) as (console, out), cli_context(home, config, console) as found:
        name = found.account_name(account)
        confirm_live(found, name, account_number)
        before, after = _set(found, name, TradingState.ACTIVE, by, reason)
        answer(after, switch_view(before, after, "rebalance status"), as_json=as_json, out=out)


def _set(found: CliContext, account: str, state: TradingState, by: str | None, reason: str) -> tuple[KillSwitchAnswer, ...]:
    book = found.ports.risk_store
    before = book.kill_switch(account)
    after = set_by_operator(book, account, KillSwitchRecord(state, by or getpass.getuser(), reason, found.now))
    return KillSwitchAnswer.of(account, before), KillSwitchAnswer.of(account, after)


# --- the doctor ------------------------------------------------------------------------------------------


def doctor(
    *,
    account: Account = None,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Ask every dependency once: what is wrong, and how to mend it. Trades nothing.

    Exit codes: 0 healthy, 1 something is not, 6 the account is not active.
    """
    with command(as_json=as_json) as (console, out):
        try:
            with cli_context(home, config, console) as found:
                checks = list(_checks(found, found.account_name(account)))
        except ConfigurationError as error:
            checks = [Check(name="configuration", ok=False, detail=str(error), fix=_MEND["configuration"])]
        told = Diagnosis(healthy=all(check.ok for check in checks), checks=tuple(checks))
        answer(told, diagnosis_view(told), as_json=as_json, out=out)
        raise typer.Exit(_code_of(told))


def _checks(found: CliContext, account: str) -> Iterator[Check]:
    from rebalance_executor import bootstrap  # as in desk.look_through

    yield Check(name="configuration", ok=True, detail=_where(found), fix=None)
    settings = found.settings.model_copy(update={"account": account})
    asked = bootstrap.health_checks(settings, found.aws_client, found.ports, found.deadline())
    queues = [queue for queue in Queue if found.environment.get(queue.variable)]
    if queues:
        asked["dead letters"] = lambda: _no_dead_letters(found, queues)
    report = check_health(asked, found.event_log)
    for check in report["checks"]:
        yield Check(**check, fix=None if check["ok"] else _mend(check["name"], check["detail"]))
    try:
        switch = KillSwitchAnswer.of(account, found.ports.risk_store.kill_switch(account))
    except RebalanceError as error:
        yield Check(name="kill switch", ok=False, detail=str(error), fix=_MEND["journal"])
        return
    active = switch.state is TradingState.ACTIVE
    detail = "ACTIVE" if active else f"{switch.state.value} by {switch.by}: {switch.reason}"
    yield Check(name="kill switch", ok=active, detail=detail, fix=None if active else "rebalance resume --reason …")


def _mend(name: str, detail: str) -> str:
    return _NO_BROKER if detail.startswith(BrokerUnavailable.code) else _MEND[name]


def _where(found: CliContext) -> str:
    money = "paper" if found.settings.alpaca_paper else "REAL MONEY"
    place = "this machine" if found.is_local else "AWS"
    return f"account {found.settings.account}, {money}, on {place}"


def _no_dead_letters(found: CliContext, queues: Sequence[Queue]) -> str:
    sqs, name = found.aws_client("sqs"), "ApproximateNumberOfMessages"
    counts = {
        queue: sqs.get_queue_attributes(QueueUrl=found.environment[queue.variable], AttributeNames=[name])
        for queue in queues
    }
    waiting = [f"{count} of {queue}" for queue, told in counts.items() if (count := told["Attributes"][name]) != "0"]
    if waiting:
        raise RebalanceError(", ".join(waiting))
    return f"none of {', '.join(queues)}"


def _code_of(told: Diagnosis) -> Exit:
    if told.healthy:
        return Exit.COMPLETE
    failing = {check.name for check in told.checks if not check.ok}
    return Exit.HALTED if failing == {"kill switch"} else Exit.BROKEN


# --- broker against journal ------------------------------------------------------------------------------


def reconcile(
    plan: Plan,
    *,
    account: Account = None,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Compare the broker's orders, fills and positions with the journal of a finished plan.

    Positions are compared where no later plan traded the symbol. Exit codes: 0 they agree, 7 they differ.
    """
    with command(as_json=as_json) as (console, out), cli_context(home, config, console) as found:
        name = found.account_name(account)
        one = load_plan(found, name, plan_id_of(plan))
        if one.journal.result is None:
            text = f"Plan {one.plan.plan_id} is not finished: there is nothing to compare yet."
            raise CliError(text, f"rebalance watch {plan}", Exit.IN_PROGRESS)
        told = _compared(found, one)
        answer(told, reconciliation_view(told), as_json=as_json, out=out)
        raise typer.Exit(Exit.COMPLETE if told.agrees else Exit.UNRESOLVED)


def _compared(found: CliContext, one: PlanRecord) -> Reconciliation:
    plan = one.plan
    parents = [parent for parent in one.journal.parents.values() if was_sent(parent)]
    differ: list[Deviation] = []
    if parents:
        broker = found.broker(plan.account)
        symbols = sorted(parent.symbol for parent in parents)
        orders = broker.orders(symbols, plan.started_at - _CLOCK_DIFFERENCE)
        later = _traded_later(found, one)
        compared = [_without_position(parent) if parent.symbol in later else parent for parent in parents]
        prefix = child_order_prefix(plan.account, plan.plan_id)
        names = differences(compared, orders, broker.positions(symbols), prefix)
        differ = [Deviation(symbol=one.symbol, problem=one.problem) for one in names]
    return Reconciliation(
        plan_id=plan.plan_id,
        account=plan.account,
        agrees=not differ,
        compared=sum(parent.attempts for parent in parents),
        differences=tuple(differ),
    )


def _without_position(parent: ParentOrder) -> ParentOrder:
    return replace(parent, held_before=None)


def _traded_later(found: CliContext, one: PlanRecord) -> set[str]:
    """Symbols of which plans that were begun later sent orders."""
    days = list_plans(found, one.plan.account, one.plan.started_at.date(), found.now.date())
    journals = (
        found.ports.journal.load(line.plan.account, line.plan.plan_id)
        for line in days
        if line.plan.started_at > one.plan.started_at
    )
    return {p.symbol for journal in journals if journal is not None for p in journal.parents.values() if was_sent(p)}
