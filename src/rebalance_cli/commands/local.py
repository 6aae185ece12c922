"""``rebalance local``: run the function on this machine, with a simulated broker and a local AWS."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from rebalance_cli.command_line import TargetOptions, display_path
from rebalance_cli.console import confirm, print_fact
from rebalance_cli.context import start_sandbox
from rebalance_cli.exit_codes import CliError
from rebalance_cli.formatting import counted
from rebalance_cli.options import CommandSession, NewWorld, local_command
from rebalance_cli.outputs import LocalDone, LocalUp
from rebalance_cli.views.local_run import LocalRun, exit_code_of, print_run
from rebalance_cli.views.progress import RunProgress, show_progress
from rebalance_cli.views.result import Cash
from rebalance_cli.views.tables import facts
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import ConfigurationError
from rebalance_executor.domain.plan import Action, RebalancePlan
from rebalance_executor.triggers import PlanPointer
from rebalance_sandbox.environment import PLAN_BUCKET, function_environment, relaxed_controls, server_variables
from rebalance_sandbox.event_files import EventFile, document_for, plan_in, read_event, read_json, with_documents
from rebalance_sandbox.invocation import invoke, new_log
from rebalance_sandbox.running import RunningServer, Sandbox

if TYPE_CHECKING:
    from rebalance_sandbox.aws import LocalAwsClient
    from rebalance_sandbox.paper_broker import PaperBrokerClient

app = typer.Typer(
    help="Run the function on this machine, with a simulated broker and a local AWS.", no_args_is_help=True
)

_ACTION_ORDER = (Action.SELL, Action.BUY, Action.HOLD)
_SHOWN_DIFFERENCES = 3
_TITLES = {"aws": "local AWS", "broker": "simulated broker"}


@dataclass(frozen=True, slots=True)
class _RunOptions:
    """Options of ``rebalance local run``."""

    target: TargetOptions
    seconds: float
    """Timeout of the invocation."""
    keep_paper_state: bool
    """Leave the simulated broker's prices, positions and cash unchanged."""
    new_world: bool
    """Set positions and cash as in the event's plans, although the simulated broker has a world."""
    plan_file: Path | None
    """Plan to upload to the location that an S3 pointer refers to."""


# --- commands --------------------------------------------------------------------------------------------


@app.command()
@local_command
def run(
    session: CommandSession,
    event: Annotated[Path, typer.Argument(metavar="EVENT", help="JSON file with any event that the function accepts.")],
    *,
    timeout: Annotated[float, typer.Option(help="Timeout of the invocation in seconds, as in Lambda.", min=1)] = 300,
    keep_paper_state: Annotated[
        bool,
        typer.Option("--keep-paper-state", help="Leave the simulated broker's prices, positions and cash unchanged."),
    ] = False,
    new_world: NewWorld = False,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Plan to upload to the location that an S3 pointer refers to.")
    ] = None,
) -> None:
    """Send one event through the real handler and show the outcome.

    Exit codes: 0 complete, 1 failure of a program or server, 2 bad input, 3 partial, 4 denied, 5 in progress (run it
    again), 6 halted, 7 unresolved.
    """
    event_file = read_event(event)
    options = _RunOptions(session.options, timeout, keep_paper_state, new_world, plan)
    with start_sandbox(session.options.data_dir, session.console) as sandbox:
        local_run = _run_event(sandbox, event_file, options, session.console)
        if session.as_json:
            typer.echo(json.dumps(local_run.response, indent=2))
        print_run(local_run, session.out)
    raise typer.Exit(exit_code_of(local_run))


@app.command()
@local_command
def up(session: CommandSession) -> None:
    """Start local AWS and the simulated broker, and leave them running."""
    with start_sandbox(session.options.data_dir, session.console, keep=True) as sandbox:
        variables = server_variables(sandbox.aws.url, sandbox.broker.url)
        page = f"{sandbox.broker.url}/"
        if session.as_json:
            answer = LocalUp(environment=variables, aws=sandbox.aws.url, broker=sandbox.broker.url, page=page)
            typer.echo(answer.model_dump_json(indent=2))
            return
        console = session.console
        console.print(facts(_server_row(sandbox, server) for server in (sandbox.aws, sandbox.broker)))
        page_line = Text.assemble("\nBroker page (watch orders, inject faults): ", (page, "bold"))
        console.print(page_line, soft_wrap=True)
        set_variables = f'eval "$({session.options.command("local", "up")})"'
        console.print(f"\nEnvironment variables; set them with {set_variables}:\n", highlight=False, soft_wrap=True)
        for name, value in variables.items():
            typer.echo(f"export {name}={value}")
        down = session.options.command("local", "down")
        console.print(Text.assemble("\nStop the servers: ", (down, "bold")), soft_wrap=True)


def _server_row(sandbox: Sandbox, server: RunningServer) -> tuple[str, str]:
    state = "started now" if server.name in sandbox.started else "was running"
    return _TITLES[server.name], f"{server.url}  (pid {server.pid}, {state})"


@app.command()
@local_command
def down(session: CommandSession) -> None:
    """Stop the servers that were left running. Their data stays."""
    from rebalance_sandbox.servers import Servers, exclusive_use  # imported late: other commands start no server

    data_dir = session.options.data_dir
    with exclusive_use(data_dir):
        stopped = Servers.of(data_dir.resolve()).stop()
        text = (
            f"Stopped: {', '.join(stopped)}. Their data stays in {data_dir}." if stopped else "No server was running."
        )
        session.answer(LocalDone(stopped=tuple(stopped), deleted=()), Text(text))


@app.command()
@local_command
def reset(
    session: CommandSession,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Stop the servers and delete tables, simulated orders and logs."""
    from rebalance_sandbox.servers import Servers, delete_data, exclusive_use  # imported late, as in down

    data_dir = session.options.data_dir
    if not yes:
        reset_now = session.options.command("local", "reset", "--yes")
        question = f"Delete the local tables, simulated orders and logs in {data_dir}?"
        confirm(question, f"Delete without asking: {reset_now}")
    with exclusive_use(data_dir):
        stopped = Servers.of(data_dir.resolve()).stop()
        deleted = delete_data(data_dir)
    text = f"Deleted in {data_dir}: {', '.join(deleted)}." if deleted else f"{data_dir} contained no data."
    session.answer(LocalDone(stopped=tuple(stopped), deleted=tuple(deleted)), Text(text))


# --- one run ---------------------------------------------------------------------------------------------


def _run_event(sandbox: Sandbox, event_file: EventFile, options: _RunOptions, console: Console) -> LocalRun:
    """Send one event through the real handler; print progress to ``console``."""
    from rebalance_sandbox.aws import LocalAwsClient  # imported late: needs running servers
    from rebalance_sandbox.paper_broker import PaperBrokerClient

    with LocalAwsClient(sandbox.aws.url) as aws, PaperBrokerClient(sandbox.broker.url) as broker:
        print_fact(console, "Event", display_path(event_file.path))
        event_file = _upload_plans(event_file, options.plan_file, aws, console)
        _print_plans(event_file.plans, console)
        environment = function_environment(os.environ, server_variables(sandbox.aws.url, sandbox.broker.url))
        if event_file.plans:
            _note_relaxed_controls(environment, console)
        if not options.keep_paper_state:
            seed_plans(event_file.plans, sandbox.data_dir, broker, console, new_world=options.new_world)
        cash, orders = broker.cash(), broker.order_count()
        progress = RunProgress.of(event_file.plans, cash)
        log = new_log(sandbox.data_dir / "log", event_file.path.stem)
        with show_progress(progress, console) as on_record:
            invocation = invoke(event_file, environment, log, options.seconds, on_record)
        return LocalRun(
            event_file=event_file,
            invocation=invocation,
            progress=progress,
            cash=Cash(cash, broker.cash()),
            orders_before=orders,
            orders_after=broker.order_count(),
            log=log,
            options=options.target,
        )


def seed_plans(
    plans: Sequence[RebalancePlan],
    data_dir: Path,
    broker: PaperBrokerClient,
    console: Console,
    *,
    new_world: bool = False,
    is_run: bool = True,
) -> None:
    """Prepare the simulated broker for new plans; print what was set or differs. See ``rebalance_sandbox.seeding``."""
    from rebalance_sandbox import seeding  # imported late: needs running servers

    done = seeding.seed_plans(plans, data_dir, broker, new_world=new_world, is_run=is_run)
    if done.world is not None:
        text = f"{counted(done.world.holdings, 'position')} and ${done.world.cash:,.2f} cash, as in the plan"
        print_fact(console, "Broker", text)
        print_fact(console, "", "prices are invented; orders fill after one second", "dim")
    if done.differences:
        first = ", ".join(
            f"{one.symbol} ${one.planned:,.2f} in the plan and ${one.held:,.2f} at the broker"
            for one in done.differences[:_SHOWN_DIFFERENCES]
        )
        more = len(done.differences) - _SHOWN_DIFFERENCES
        rest = f", and {more} more" if more > 0 else ""
        print_fact(console, "Broker", f"the plan expects other holdings: {first}{rest}", "yellow")
        print_fact(console, "", "to set the account up as in the plan, add --new-world", "yellow")


def _upload_plans(event_file: EventFile, plan_file: Path | None, aws: LocalAwsClient, console: Console) -> EventFile:
    """Upload the plans that the event's pointers refer to; return the event with these plans."""
    documents: dict[PlanPointer, RebalancePlan] = {}
    for pointer in event_file.pointers:
        if pointer.bucket != PLAN_BUCKET:
            continue  # it is invalid for the handler, which gives the reason
        path = plan_file or document_for(pointer, event_file.path.parent.rglob("*.json"))
        if path is None:
            raise CliError(
                f"There is no plan next to {event_file.path} to upload as s3://{pointer.bucket}/{pointer.key}.",
                "Specify the file that contains the plan with --plan.",
            )
        plan = plan_in(read_json(path))
        if plan is not None:
            documents[pointer] = plan
        aws.put_plan(pointer.key, path.read_bytes())
        print_fact(console, "Upload", f"{display_path(path)} → s3://{pointer.bucket}/{pointer.key}")
    return with_documents(event_file, documents)


def _print_plans(plans: Sequence[RebalancePlan], console: Console) -> None:
    for plan in plans:
        counts = {action: sum(item.action is action for item in plan.items) for action in _ACTION_ORDER}
        items = ", ".join(counted(count, action.lower()) for action, count in counts.items() if count)
        print_fact(console, "Plan", f"{plan.plan_id}: {items}; portfolio ${plan.total_portfolio_value:,.2f}")


def _note_relaxed_controls(environment: Mapping[str, str], console: Console) -> None:
    """Name the controls that are off on this machine unless they are configured."""
    try:
        names = relaxed_controls(ExecutionConfig.from_json(environment["EXECUTION_CONFIG"]))
    except ConfigurationError:
        return  # the function says what is wrong
    if names:
        print_fact(console, "Note", f"off on this machine: {', '.join(names)}", "dim")
