"""``rebalance local``: the function on this machine, against a paper broker and a local AWS."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from rebalance_cli.console import answer, command
from rebalance_cli.context import HOME, AsJson, Home
from rebalance_cli.exit_codes import CliError
from rebalance_cli.outputs import LocalDone, LocalUp
from rebalance_cli.views.local_run import Report, code_of, show, shown_path
from rebalance_cli.views.progress import RunProgress, show_progress
from rebalance_cli.views.result import Cash, counted, facts
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.plan import Action, RebalancePlan
from rebalance_executor.triggers import PlanPointer
from rebalance_sandbox.aws import PLAN_BUCKET, LocalAwsClient, function_environment, server_variables
from rebalance_sandbox.event_files import EventFile, document_for, plan_in, read_event, read_json, with_documents
from rebalance_sandbox.handler_process import invoke
from rebalance_sandbox.paper_broker import PaperBrokerClient
from rebalance_sandbox.seeding import make_world, say
from rebalance_sandbox.servers import Sandbox, Servers, exclusive_use, delete_data

app = typer.Typer(
    help="Run the function on this machine, against a paper broker and a local AWS.", no_args_is_help=True
)

_AFTER_SILENCE = "Try again; if it stays: rebalance local down, then rebalance local reset."
_SELLS_FIRST = (Action.SELL, Action.BUY, Action.HOLD)


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for besides the event."""

    seconds: float
    """Of the invocation."""
    keep_world: bool
    """Leave the paper broker's prices, positions and cash as they are."""
    plan_file: Path | None
    """What is uploaded where a pointer points to."""


# --- the commands ----------------------------------------------------------------------------------------


@app.command()
def run(
    event: Annotated[Path, typer.Argument(metavar="EVENT", help="A JSON file with any event the function accepts.")],
    *,
    home: Home = HOME,
    as_json: AsJson = False,
    timeout: Annotated[float, typer.Option(help="Seconds the invocation has, as in Lambda.", min=1)] = 300,
    keep_world: Annotated[
        bool, typer.Option("--keep-world", help="Leave the paper broker's prices, positions and cash as they are.")
    ] = False,
    plan: Annotated[Path | None, typer.Option("--plan", help="What to upload where an S3 pointer points to.")] = None,
) -> None:
    """Send one event through the real handler and show what became of it.

    Exit codes: 0 complete, 1 something broke, 2 bad input, 3 partial, 4 denied, 5 in progress (run it again),
    6 halted, 7 an operator must look.
    """
    with command(as_json=as_json, after_silence=_AFTER_SILENCE) as (console, out):
        event_file = read_event(event)
        with _bench(home, console, keep=False) as bench:
            report = _rehearse(bench, event_file, Options(timeout, keep_world, plan), console)
            if as_json:
                typer.echo(json.dumps(report.answer, indent=2))
            show(report, out)
    raise typer.Exit(code_of(report))


@app.command()
def up(*, home: Home = HOME, as_json: AsJson = False) -> None:
    """Start local AWS and the paper broker, and leave them running."""
    speech = command(as_json=as_json, after_silence=_AFTER_SILENCE)
    with speech as (console, _), _bench(home, console, keep=True) as bench:
        with LocalAwsClient(bench.aws.url) as cloud:
            cloud.provision()
        variables = server_variables(bench.aws.url, bench.broker.url)
        if as_json:
            page = f"{bench.broker.url}/"
            told = LocalUp(environment=variables, aws=bench.aws.url, broker=bench.broker.url, page=page)
            typer.echo(told.model_dump_json(indent=2))
            return
        servers = (bench.aws, bench.broker)
        was = {True: "started now", False: "was running"}
        console.print(
            facts((s.spec.title, f"{s.url}  (pid {s.pid}, {was[s.spec.name in bench.started]})") for s in servers)
        )
        watch = Text.assemble("\nWatch the broker, and trouble it: ", (f"{bench.broker.url}/", "bold"))
        console.print(watch, soft_wrap=True)
        console.print('\nThe environment that leads there, for eval "$(rebalance local up)":\n', highlight=False)
        for name, value in variables.items():
            typer.echo(f"export {name}={value}")
        console.print(Text.assemble("\nStop them with: ", ("rebalance local down", "bold")))


@app.command()
def down(*, home: Home = HOME, as_json: AsJson = False) -> None:
    """Stop the servers that were left running; their data stays."""
    with command(as_json=as_json) as (_, out), exclusive_use(home):
        ended = Servers.of(home.resolve()).stop()
        text = f"Stopped: {', '.join(ended)}. Their data stays in {home}." if ended else "Nothing was running."
        answer(LocalDone(stopped=tuple(ended), deleted=()), Text(text), as_json=as_json, out=out)


@app.command()
def reset(
    *,
    home: Home = HOME,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop the servers and delete tables, paper orders and logs."""
    with command(as_json=as_json) as (_, out):
        if not yes and not typer.confirm(f"Delete the local tables, paper orders and logs in {home}?", err=True):
            raise CliError("Nothing was deleted.", "rebalance local reset --yes does not ask.")
        with exclusive_use(home):
            ended = Servers.of(home.resolve()).stop()
            found = delete_data(home)
        text = f"Deleted in {home}: {', '.join(found)}." if found else f"There was nothing to delete in {home}."
        answer(LocalDone(stopped=tuple(ended), deleted=tuple(found)), Text(text), as_json=as_json, out=out)


# --- one run ---------------------------------------------------------------------------------------------


def _rehearse(bench: Sandbox, event_file: EventFile, options: Options, console: Console) -> Report:
    """One event through the real handler, in a paper world in which its plans make sense; progress to ``console``."""
    with LocalAwsClient(bench.aws.url) as cloud, PaperBrokerClient(bench.broker.url) as broker:
        cloud.provision()
        say(console, "Event", shown_path(event_file.path))
        event_file = _upload(event_file, options.plan_file, cloud, console)
        _introduce(event_file.plans, console)
        if not options.keep_world:
            make_world(event_file.plans, bench.home, broker, console)
        cash, orders = broker.cash(), broker.order_count()
        story = RunProgress.of(event_file.plans)
        log = bench.home / "log" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{event_file.path.stem}.jsonl"
        environment = function_environment(os.environ, server_variables(bench.aws.url, bench.broker.url))
        with show_progress(story, console) as tell:
            invocation = invoke(event_file, environment, log, options.seconds, tell)
        return Report(
            event_file=event_file,
            invocation=invocation,
            story=story,
            cash=Cash(cash, broker.cash()),
            orders_before=orders,
            orders_after=broker.order_count(),
            log=log,
            home=bench.home,
        )


def _upload(event_file: EventFile, plan_file: Path | None, cloud: LocalAwsClient, console: Console) -> EventFile:
    """The event file with the plans its pointers point to, which are uploaded here."""
    documents: dict[PlanPointer, RebalancePlan] = {}
    for pointer in event_file.pointers:
        if pointer.bucket != PLAN_BUCKET:
            continue  # the handler refuses it, and says why
        path = plan_file or document_for(pointer, event_file.path.parent.rglob("*.json"))
        if path is None:
            raise CliError(
                f"No plan was found beside {event_file.path} to upload as s3://{pointer.bucket}/{pointer.key}.",
                "Name the file that holds it with --plan.",
            )
        plan = plan_in(read_json(path))
        if plan is not None:
            documents[pointer] = plan
        cloud.put_plan(pointer.key, path.read_bytes())
        say(console, "Upload", f"{shown_path(path)} → s3://{pointer.bucket}/{pointer.key}")
    return with_documents(event_file, documents)


def _introduce(plans: Sequence[RebalancePlan], console: Console) -> None:
    for plan in plans:
        counts = {action: sum(item.action is action for item in plan.items) for action in _SELLS_FIRST}
        items = ", ".join(counted(n, action.lower()) for action, n in counts.items() if n)
        say(console, "Plan", f"{plan.plan_id}: {items}; portfolio ${plan.total_portfolio_value:,.2f}")
    allowed = timedelta(minutes=float(ExecutionConfig().max_plan_age_minutes))
    made = min((plan.timestamp for plan in plans), default=None)
    if made is None or "max_plan_age_minutes" in os.environ.get("EXECUTION_CONFIG", ""):
        return
    if datetime.now(UTC) - made > allowed:
        say(console, "", f"made {made:%Y-%m-%d}; EXECUTION_CONFIG raises max_plan_age_minutes here", "dim")


# --- around it -------------------------------------------------------------------------------------------


@contextmanager
def _bench(home: Path, console: Console, *, keep: bool) -> Iterator[Sandbox]:
    """Both servers, for this command alone; says so while they start, on a terminal."""
    starting = console.status("Starting local AWS and the paper broker …")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # also a command that is ended stops its servers
    try:
        with exclusive_use(home), starting, Servers.of(home.resolve()).ready(keep=keep) as bench:
            starting.stop()
            yield bench
    finally:
        signal.signal(signal.SIGTERM, before)
