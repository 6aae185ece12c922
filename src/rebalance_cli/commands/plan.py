"""``rebalance validate | preview | submit``: check a plan, then send it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from rebalance_cli.command_line import command_line
from rebalance_cli.commands.local import seed_plans
from rebalance_cli.console import print_fact
from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError, Exit
from rebalance_cli.formatting import counted
from rebalance_cli.options import AccountDigits, CommandSession, Hash, NewWorld, PlanFile, plain_command, target_command
from rebalance_cli.outputs import Decision, Preview, Submission
from rebalance_cli.queries.corporate_actions import corporate_actions_of
from rebalance_cli.queries.explain import unfinished_answer
from rebalance_cli.queries.plan_checks import validate_plan
from rebalance_cli.queries.plans import read_unfinished
from rebalance_cli.queries.preview import preview_plan
from rebalance_cli.views.plan import HASH_LENGTH, preview_view, validation_view
from rebalance_cli.views.tables import facts
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.triggers import PlanDocument
from rebalance_sandbox.environment import relaxed_controls
from rebalance_sandbox.event_files import EventFile, read_document, read_event

_HASH_DIGITS = 8
"""Minimum number of characters of ``--hash``."""
_ACCOUNT_DIGITS = 4
"""Minimum number of digits of ``--confirm-account``."""
_EVENT_SOURCE = "rebalance.cli"


# --- check -----------------------------------------------------------------------------------------------


@plain_command
def validate(session: CommandSession, plan: PlanFile) -> None:
    """List every problem of a plan with its path. Needs no account and no network.

    Exit code 2 if the plan is not valid.
    """
    config = ExecutionConfig.from_json(os.environ.get("EXECUTION_CONFIG", ""))
    try:
        request = read_document(plan)
    except InvalidInput as error:
        raise CliError(f"{plan} contains no plan: {error}", "Compare it with the samples: ls events/*.json") from None
    if not isinstance(request, PlanDocument):
        text = f"{plan} contains no plan but a {type(request).__name__}."
        raise CliError(text, "Specify the file with the plan. Samples: ls events/plans")
    verdict = validate_plan(request.body, config, datetime.now(UTC))
    next_step = command_line("preview" if verdict.valid else "validate", str(plan))
    session.answer(verdict, validation_view(verdict), next_step)
    raise typer.Exit(Exit.COMPLETE if verdict.valid else Exit.USAGE)


_NOTHING_SENT: Mapping[str | None, str] = {
    Code.MARKET_CLOSED: "make the plan again while the market is open",
}
"""Next step after a preview that sends nothing, by the code of the plan."""


@target_command
def preview(session: CommandSession, plan: PlanFile, *, new_world: NewWorld = False) -> None:
    """Show what would be sent, denied and skipped, with estimates from live quotes. Sends nothing.

    Names the splits and symbol changes that Alpaca knows for the plan's symbols, from the day of the plan until today.

    Exit codes: 0 everything would be traded as planned, 2 the plan has a result already, 3 some items denied or reduced
    for lack of cash, 4 nothing would be sent, 5 the plan has started and is not finished, 6 halted.
    """
    event = read_single_plan(plan)
    (document,) = event.plans
    with session.context() as ctx:
        check_not_started(ctx, document)
        seed_paper_account(ctx, document, session.console, new_world=new_world, is_run=False)
        note_relaxed_controls(ctx, session.console)
        answer = preview_answer(ctx, event)
        next_step = f"nothing would be sent; {_NOTHING_SENT.get(answer.code, 'docs/reference.md explains the codes')}"
        if answer.code is None and any(order.decision is Decision.SEND for order in answer.orders):
            next_step = ctx.command("apply", str(plan), "--hash", answer.content_hash[:HASH_LENGTH])
        session.answer(answer, preview_view(answer, session.out.width), next_step)
        raise typer.Exit(preview_exit_code(answer))


def preview_answer(ctx: CliContext, event: EventFile) -> Preview:
    """Return the preview of the event's plan, which has not started."""
    (document,) = event.plans
    account = ctx.account_name(document.account)
    unfinished = unfinished_answer(read_unfinished(ctx, account))
    actions = corporate_actions_of(ctx, document, account) if document.trades else None
    update = {"unfinished": unfinished, "ignored_fields": event.ignored_fields, "corporate_actions": actions}
    return preview_plan(ctx, document, account).model_copy(update=update)


def preview_exit_code(answer: Preview) -> Exit:
    """Return the exit code of a preview."""
    if answer.code is not None:
        return Exit.HALTED if answer.code == Code.HALTED else Exit.DENIED
    if all(order.as_planned for order in answer.orders):
        return Exit.COMPLETE
    return Exit.PARTIAL if any(order.decision is Decision.SEND for order in answer.orders) else Exit.DENIED


# --- send ------------------------------------------------------------------------------------------------


@target_command
def submit(
    session: CommandSession,
    plan: PlanFile,
    *,
    hash_: Hash = None,
    confirm_account: AccountDigits = None,
    event_bus: Annotated[
        str | None, typer.Option("--event-bus", help="Send the plan to this event bus instead of the queue.")
    ] = None,
) -> None:
    """Send a plan to the deployed function: to its queue (PLAN_QUEUE_URL), or to an event bus."""
    (document,) = read_single_plan(plan).plans
    check_hash(session, document, hash_, plan)
    with session.context() as ctx:
        account = ctx.account_name(document.account)
        confirm_live(ctx, account, confirm_account)
        body = document.model_dump_json()
        if event_bus is not None:
            target, message_id = _send_to_bus(ctx, event_bus, body)
        else:
            target, message_id = _send_to_queue(ctx, account, body)
        answer = Submission(
            plan_id=document.plan_id, content_hash=document.content_hash, to=target, message_id=message_id
        )
        rows = [("Sent", f"{answer.plan_id} to {target}"), ("Message", message_id)]
        if ctx.is_local:
            rows += [("Note", "on this machine no function reads the queue or the bus")]
            next_step = ctx.command("apply", str(plan))
        else:
            next_step = ctx.command("watch", document.plan_id, account=account)
        session.answer(answer, facts(rows), next_step)


def _send_to_queue(ctx: CliContext, account: str, body: str) -> tuple[str, str]:
    url = ctx.variable("PLAN_QUEUE_URL", "it is the address of the plan queue")
    group = {"MessageGroupId": account} if url.endswith(".fifo") else {}
    return url, str(ctx.aws_client("sqs").send_message(QueueUrl=url, MessageBody=body, **group)["MessageId"])


def _send_to_bus(ctx: CliContext, bus: str, body: str) -> tuple[str, str]:
    entry = {
        "EventBusName": bus,
        "Source": _EVENT_SOURCE,
        "DetailType": "RebalancePlanned",
        "Detail": body,
    }
    response = ctx.aws_client("events").put_events(Entries=[entry])
    outcome = response["Entries"][0]
    if response["FailedEntryCount"]:
        text = f"The event bus {bus} rejected the plan: {outcome.get('ErrorCode')}: {outcome.get('ErrorMessage')}"
        raise CliError(text, "Specify another bus with --event-bus, or leave it out to use the queue.", Exit.BROKEN)
    return bus, str(outcome["EventId"])


# --- shared ----------------------------------------------------------------------------------------------


def read_single_plan(path: Path) -> EventFile:
    """Read a file that contains one valid plan.

    Raises:
        CliError: the file contains no valid plan, or is a queue event.
    """
    event = read_event(path)
    if len(event.plans) == 1 and event.messages is None:
        return event
    problem = "contains no valid plan" if not event.plans else "is a queue event, which can contain several plans"
    raise CliError(f"{path} {problem}.", f"List its problems: {command_line('validate', str(path))}")


def check_hash(session: CommandSession, plan: RebalancePlan, prefix: str | None, path: Path) -> None:
    """Check that the plan is the one that was previewed.

    Raises:
        CliError: the plan's hash does not start with ``prefix``, or the prefix is too short.
    """
    if prefix is None:
        return
    show_hash = f"Show the hash: {session.options.command('preview', str(path))}"
    if len(prefix) < _HASH_DIGITS:
        text = f"--hash has {counted(len(prefix), 'character')}; it needs at least {_HASH_DIGITS}."
        raise CliError(text, show_hash)
    if not plan.content_hash.startswith(prefix.lower()):
        raise CliError(
            f"{path} changed since its preview: its hash is {plan.content_hash[:12]}, not {prefix[:12]}. "
            "Nothing was sent.",
            show_hash,
        )


def check_not_started(ctx: CliContext, plan: RebalancePlan) -> None:
    """Check that a preview makes sense: apply would not start this plan a second time.

    Raises:
        CliError: the plan has started or is finished, or another plan has its ID.
    """
    account = ctx.account_name(plan.account)
    stored = ctx.ports.journal.load(account, plan.plan_id)
    if stored is None:
        return
    status = ctx.command("status", plan.plan_id, account=account)
    if stored.plan.content_hash != plan.content_hash:
        text = f"The plan ID {plan.plan_id} belongs to another plan that has started already."
        raise CliError(text, f"Give this plan a new plan_id. The other plan: {status}")
    if stored.result is None:
        text = f"Plan {plan.plan_id} has started and is not finished: apply continues where it stopped."
        raise CliError(text, status, Exit.IN_PROGRESS)
    text = f"Plan {plan.plan_id} is finished: apply returns the stored result and sends nothing."
    raise CliError(text, ctx.command("report", plan.plan_id, account=account))


def confirm_live(ctx: CliContext, account: str, digits: str | None) -> None:
    """Require the last digits of the broker's account number for real money; ask on a terminal.

    Raises:
        CliError: the digits are wrong, or they are missing and there is no terminal to ask on.
    """
    if ctx.settings.alpaca_paper:
        return
    number = ctx.broker(account).account().account_number
    check_digits(number, account, digits, f"Show the account: {ctx.command('doctor', account=account)}")


def check_digits(number: str, account: str, digits: str | None, next_step: str) -> None:
    """Require the last digits of a broker's account number for real money; ask on a terminal.

    Raises:
        CliError: the digits are wrong, or they are missing and there is no terminal to ask on.
    """
    if digits is None:
        if not sys.stdin.isatty():
            raise CliError(
                "This command trades real money, and it cannot ask for confirmation without a terminal.",
                f"Add --confirm-account with the last {_ACCOUNT_DIGITS} digits of the broker's account number.",
            )
        prompt = f"REAL MONEY on account {account}. Last {_ACCOUNT_DIGITS} digits of the broker's account number"
        digits = str(typer.prompt(prompt, err=True))
    if len(digits) < _ACCOUNT_DIGITS or not number.endswith(digits):
        text = f"The account number does not end with {digits}, or that is less than {_ACCOUNT_DIGITS} digits."
        raise CliError(f"{text} Nothing was sent.", next_step)


def note_relaxed_controls(ctx: CliContext, console: Console) -> None:
    """Name the controls that are off on this machine unless they are configured."""
    names = relaxed_controls(ctx.config) if ctx.is_local else ()
    if names:
        print_fact(console, "Note", f"off on this machine: {', '.join(names)}", "dim")


def seed_paper_account(
    ctx: CliContext, plan: RebalancePlan, console: Console, *, new_world: bool = False, is_run: bool = True
) -> None:
    """Prepare the simulated broker for a plan if the target is this machine; see ``rebalance_sandbox.seeding``.

    Raises:
        CliError: a new world is wanted, but the target has none, or a plan of the account is unfinished.
    """
    if not ctx.is_local or ctx.broker_url is None:
        if new_world:
            raise CliError("--new-world is for the simulated account of this machine.", "Leave it out.")
        return
    from rebalance_sandbox.paper_broker import PaperBrokerClient  # imported late: only for the servers of this machine

    unfinished = read_unfinished(ctx, ctx.account_name(plan.account)) if new_world else None
    if unfinished is not None:
        text = f"Plan {unfinished.plan_id} is unfinished; a new world would contradict its orders."
        raise CliError(text, "Finish it first: apply it again, or any plan without --new-world.", Exit.IN_PROGRESS)
    with PaperBrokerClient(ctx.broker_url) as broker:
        seed_plans([plan], ctx.data_dir, broker, console, new_world=new_world, is_run=is_run)
