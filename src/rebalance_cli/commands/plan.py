"""``rebalance validate | preview | apply | submit``: a plan before and while it is executed."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from rebalance_cli import exit_codes
from rebalance_cli.console import answer, command, failure
from rebalance_cli.context import CONFIG_FILE, HOME, AsJson, CliContext, ConfigFile, Home, cli_context
from rebalance_cli.exit_codes import CliError, Exit
from rebalance_cli.outputs import Decision, Preview, Submission
from rebalance_cli.queries.plan_checks import validation_of
from rebalance_cli.queries.preview import preview as preview_of
from rebalance_cli.views.local_run import NEXT_AFTER_ERROR, shown_path
from rebalance_cli.views.plan import preview_view, validation_view
from rebalance_cli.views.progress import RunProgress, show_progress
from rebalance_cli.views.result import Cash, error_view, facts, plan_view, result_facts, to_explain
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.triggers import PlanDocument, unwrap
from rebalance_sandbox.event_files import EventFile, read_event, read_json
from rebalance_sandbox.handler_process import InvocationResult, invoke
from rebalance_sandbox.paper_broker import PaperBrokerClient
from rebalance_sandbox.seeding import make_world

_HASH_DIGITS = 8
"""Least characters of a hash that are compared."""
_ACCOUNT_DIGITS = 4

PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="A file that holds a plan, in any envelope.")]
Hash = Annotated[str | None, typer.Option("--hash", help="Of the plan, as its preview told: another plan is refused.")]
Digits = Annotated[
    str | None,
    typer.Option("--account-number", help="Last digits of the broker's account number; asked for real money."),
]


# --- looking ---------------------------------------------------------------------------------------------


def validate(plan: PlanFile, *, as_json: AsJson = False) -> None:
    """List every problem of a plan with its path; needs no account and no network. Exit code 2 if there is any."""
    with command(as_json=as_json) as (_, out):
        config = ExecutionConfig.from_json(os.environ.get("EXECUTION_CONFIG", ""))
        try:
            request = unwrap(read_json(plan))
        except InvalidInput as error:
            raise CliError(f"{plan} holds no plan: {error}", "Samples of all envelopes are in events/.") from None
        if not isinstance(request, PlanDocument):
            raise CliError(f"{plan} holds no plan but a {type(request).__name__}.", "Name the file with the plan.")
        verdict = validation_of(request.body, config, datetime.now(UTC))
        answer(verdict, validation_view(verdict, str(plan)), as_json=as_json, out=out)
        raise typer.Exit(Exit.COMPLETE if verdict.valid else Exit.USAGE)


def preview(
    plan: PlanFile,
    *,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Show what would be sent, denied and skipped, with codes and estimates from live quotes. Sends nothing.

    Exit codes: 0 everything would be sent or skipped, 2 it was executed already, 3 some of it denied, 4 all of it,
    5 it is begun and not finished, 6 halted.
    """
    with command(as_json=as_json) as (console, out):
        event = only_plan(plan)
        with cli_context(home, config, console) as found:
            (one,) = event.plans
            check_new(found, one)
            fit(found, event.plans, console)
            told = preview_of(found, one, found.account_name(one.account))
            answer(told, preview_view(told, shown_path(plan), out.width), as_json=as_json, out=out)
            raise typer.Exit(code_of_preview(told))


def code_of_preview(told: Preview) -> Exit:
    """The exit code that goes with a preview."""
    if told.code is not None:
        return Exit.HALTED if told.code == exit_codes.HALTED else Exit.DENIED
    decisions = {order.decision for order in told.orders}
    if Decision.DENY not in decisions:
        return Exit.COMPLETE
    return Exit.PARTIAL if Decision.SEND in decisions else Exit.DENIED


# --- executing -------------------------------------------------------------------------------------------


def apply(
    plan: PlanFile,
    *,
    hash_: Hash = None,
    account_number: Digits = None,
    timeout: Annotated[float, typer.Option(help="Seconds the run has, as in Lambda.", min=1)] = 600,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Execute a plan here, with its progress; the same program as the deployed one, on the same journal.

    Ctrl-C stops safely: what rests is cancelled and confirmed, and the same command goes on later.

    Exit codes: 0 complete, 2 bad input, 3 partial, 4 denied, 5 in progress (run it again), 6 halted,
    7 an operator must look.
    """
    with command(as_json=as_json) as (console, out):
        event = only_plan(plan)
        (one,) = event.plans
        check_hash(one, hash_, plan)
        with cli_context(home, config, console) as found:
            confirm_live(found, found.account_name(one.account), account_number)
            fit(found, event.plans, console)
            raise typer.Exit(_execute(found, event, timeout, console, out, as_json=as_json))


def _execute(
    found: CliContext, event: EventFile, seconds: float, console: Console, out: Console, *, as_json: bool
) -> Exit:
    (plan,) = event.plans
    account = found.account_name(plan.account)
    log = found.data_dir / "log" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{event.path.stem}.jsonl"
    story = RunProgress.of(event.plans)
    cash = found.broker(account).account().cash if plan.trades else None
    with show_progress(story, console) as tell:
        done = invoke(event, found.environment, log, seconds, tell)
    out.print()
    if done.response is None:
        problem = _problem(done, event.path)
        if as_json:
            code = str((done.error or {}).get("code") or problem.code.name)
            typer.echo(failure(problem, code).model_dump_json())
        out.print(error_view(problem.problem, problem.next_step))
        out.print(facts([("Log", shown_path(log))]))
        return done.code
    if as_json:
        typer.echo(json.dumps(done.response, indent=2))
    result = ExecutionResult.model_validate(done.response)
    repeated = plan.plan_id in story.repeated
    if repeated:
        when = f"{result.execution_timestamp:%Y-%m-%d at %H:%M:%S} UTC"
        out.print(
            Text.assemble(("Already executed", "bold"), f" on {when}: this is the stored result.\n", style="cyan")
        )
    compared = None
    if cash is not None and not repeated and result.runs == 1:
        compared = Cash(cash, found.broker(account).account().cash)
    out.print(plan_view(result, out.width, compared))
    out.print()
    after = to_explain(result) or f"rebalance report {shlex.quote(result.plan_id)} --html report.html"
    out.print(facts([*result_facts(result), ("Log", shown_path(log)), ("Next", after)]))
    return exit_codes.result_exit_code(result)


def _problem(done: InvocationResult, path: Path) -> CliError:
    error = done.error or {}
    title = f"{error.get('code') or error.get('errorType')}  {error.get('errorMessage')}"
    if done.code is Exit.IN_PROGRESS:
        return CliError(title, f"Go on: rebalance apply {shown_path(path)}  (nothing is sent twice)", done.code)
    return CliError(title, NEXT_AFTER_ERROR[done.code], done.code)


def submit(
    plan: PlanFile,
    *,
    hash_: Hash = None,
    account_number: Digits = None,
    bus: Annotated[str | None, typer.Option("--bus", help="Send it to this event bus, not to the queue.")] = None,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Send a plan to the deployed function: to its queue (PLAN_QUEUE_URL), or to an event bus."""
    with command(as_json=as_json) as (console, out):
        event = only_plan(plan)
        (one,) = event.plans
        check_hash(one, hash_, plan)
        with cli_context(home, config, console) as found:
            account = found.account_name(one.account)
            confirm_live(found, account, account_number)
            body = one.model_dump_json()
            sent = _to_bus(found, bus, body) if bus is not None else _to_queue(found, account, body)
            told = Submission(plan_id=one.plan_id, content_hash=one.content_hash, to=sent[0], message_id=sent[1])
            watch = f"rebalance watch {shlex.quote(one.plan_id)}"
            here = f"rebalance apply {shown_path(plan)}  (on this machine no function reads queue or bus)"
            rows = [("Sent", f"{one.plan_id} to {told.to}"), ("Message", told.message_id)]
            answer(told, facts([*rows, ("Next", here if found.is_local else watch)]), as_json=as_json, out=out)


def _to_queue(found: CliContext, account: str, body: str) -> tuple[str, str]:
    url = found.variable("PLAN_QUEUE_URL", "the address of the plan queue")
    grouped = {"MessageGroupId": account} if url.endswith(".fifo") else {}
    return url, str(found.aws_client("sqs").send_message(QueueUrl=url, MessageBody=body, **grouped)["MessageId"])


def _to_bus(found: CliContext, bus: str, body: str) -> tuple[str, str]:
    entry = {
        "EventBusName": bus,
        "Source": "rebalance.desk",
        "DetailType": "RebalancePlanned",
        "Detail": body,
    }
    told = found.aws_client("events").put_events(Entries=[entry])
    refused = told["Entries"][0]
    if told["FailedEntryCount"]:
        text = f"The bus {bus} did not take the plan: {refused.get('ErrorCode')}: {refused.get('ErrorMessage')}"
        raise CliError(text, "Name another one with --bus, or send it to the queue.", Exit.BROKEN)
    return bus, str(refused["EventId"])


# --- what they share -------------------------------------------------------------------------------------


def only_plan(path: Path) -> EventFile:
    """The file with the one valid plan that it holds itself.

    Raises:
        CliError: it holds none, or several.
    """
    event = read_event(path)
    if len(event.plans) == 1 and event.messages is None:
        return event
    what = "holds no valid plan" if not event.plans else "is a queue's event"
    raise CliError(f"{path} {what}.", f"List its problems: rebalance validate {path}")


def check_hash(plan: RebalancePlan, typed: str | None, path: Path) -> None:
    """Refuse a plan that is not the one that was previewed."""
    if typed is None:
        return
    if len(typed) < _HASH_DIGITS:
        raise CliError(f"--hash needs at least {_HASH_DIGITS} characters.", f"See it again: rebalance preview {path}")
    if not plan.content_hash.startswith(typed.lower()):
        raise CliError(
            f"{path} changed since its preview: its hash is {plan.content_hash[:12]}, not {typed[:12]}. "
            "Nothing was sent.",
            f"Look at it again: rebalance preview {path}",
        )


def check_new(found: CliContext, plan: RebalancePlan) -> None:
    """Refuse to preview what was begun: apply would not begin it again."""
    known = found.ports.journal.load(found.account_name(plan.account), plan.plan_id)
    if known is None:
        return
    name = shlex.quote(plan.plan_id)
    if known.plan.content_hash != plan.content_hash:
        raise CliError(f"The id {plan.plan_id} belongs to another plan that was begun.", "Give this plan its own id.")
    if known.result is None:
        text = f"Plan {plan.plan_id} is begun and not finished: apply goes on where it stopped."
        raise CliError(text, f"rebalance status {name}", Exit.IN_PROGRESS)
    text = f"Plan {plan.plan_id} is executed already: apply answers with its stored result and sends nothing."
    raise CliError(text, f"rebalance report {name}")


def confirm_live(found: CliContext, account: str, digits: str | None) -> None:
    """For real money: the last digits of the broker's account number, typed or given."""
    if found.settings.alpaca_paper:
        return
    number = found.broker(account).account().account_number
    if digits is None:
        if not sys.stdin.isatty():
            raise CliError("This is real money, and nobody is here to confirm it.", "Give --account-number 1234.")
        prompt = f"REAL MONEY on account {account}. Last {_ACCOUNT_DIGITS} digits of its number"
        digits = str(typer.prompt(prompt, err=True))
    if len(digits) < _ACCOUNT_DIGITS or not number.endswith(digits):
        raise CliError("These are not the last digits of the account's number. Nothing was sent.", "rebalance doctor")


def fit(found: CliContext, plans: Sequence[RebalancePlan], console: Console) -> None:
    """On this machine: a paper world in which the plans make sense."""
    if found.is_local and found.broker_url is not None:
        with PaperBrokerClient(found.broker_url) as broker:
            make_world(plans, found.data_dir, broker, console)
