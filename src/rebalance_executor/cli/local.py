"""``rebalance local``: the function on this machine, against a paper broker and a local AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import requests
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from rebalance_executor.cli import bench
from rebalance_executor.cli.cloud import Cloud, server_variables
from rebalance_executor.cli.documents import read_event
from rebalance_executor.cli.exits import CliError, Exit
from rebalance_executor.cli.rehearsal import Options, rehearse
from rebalance_executor.cli.render import error_view, facts
from rebalance_executor.cli.verdict import code_of, raw_answer, show

app = typer.Typer(help="Run the function here, against a paper broker and a local AWS. Nothing leaves this machine.")

Home = Annotated[
    Path, typer.Option("--home", envvar="REBALANCE_LOCAL_HOME", help="Where data, logs and pids are kept.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout; everything else goes to stderr.")]
HOME = Path(".local")


@app.command()
def up(home: Home = HOME, as_json: AsJson = False) -> None:
    """Start local AWS and the paper broker, and leave them running."""
    console = Console(stderr=True)
    with _sentences(console), bench.opened(home.resolve(), keep=True) as it:
        cloud = Cloud(it.aws.url)
        try:
            cloud.create_tables()
        finally:
            cloud.close()
        variables = server_variables(it.aws.url, it.broker.url)
        servers = {
            server.spec.title: f"{server.url}  (pid {server.pid}, {_since(server.spec.name, it.started)})"
            for server in (it.aws, it.broker)
        }
    if as_json:
        typer.echo(json.dumps({"environment": variables, "aws": it.aws.url, "broker": it.broker.url}, indent=2))
        return
    console.print(facts(servers.items()))
    console.print("\nThe environment that leads there (stdout, so that `eval` can take it):")
    for name, value in variables.items():
        typer.echo(f"export {name}={value}")
    console.print("\nStop them with: rebalance local down")


@app.command()
def down(home: Home = HOME) -> None:
    """Stop the servers that were left running; their data stays."""
    console = Console(stderr=True)
    with _sentences(console), bench.alone(home.resolve()):
        ended = bench.stop_all(home.resolve())
    typer.echo(f"Stopped: {', '.join(ended)}. Their data stays in {home}." if ended else "Nothing was running.")


@app.command()
def reset(home: Home = HOME, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Stop the servers and delete tables, paper orders and logs."""
    console = Console(stderr=True)
    if not yes and not typer.confirm(f"Delete the local tables, paper orders and logs in {home}?", err=True):
        console.print("Nothing was deleted.")
        raise typer.Exit(Exit.USAGE)
    with _sentences(console), bench.alone(home.resolve()):
        bench.stop_all(home.resolve())
        found = bench.delete_data(home.resolve())
    typer.echo(f"Deleted in {home}: {', '.join(found)}." if found else f"There was nothing to delete in {home}.")


@app.command()
def run(
    event: Annotated[Path, typer.Argument(help="A JSON file with any event the function accepts.")],
    home: Home = HOME,
    as_json: AsJson = False,
    timeout: Annotated[float, typer.Option(help="Seconds the invocation has, as in Lambda.", min=1)] = 300,
    keep_world: Annotated[
        bool, typer.Option("--keep-world", help="Leave the paper broker's prices, positions and cash as they are.")
    ] = False,
    plan: Annotated[Path | None, typer.Option("--plan", help="What to upload where an S3 pointer points to.")] = None,
) -> None:
    """Send one event through the real handler and show what became of it.

    Exit codes: 0 complete, 2 bad input, 3 partial, 4 failed or denied, 5 run it again, 7 an operator must look.
    """
    console = Console(stderr=True)
    out = Console(stderr=as_json)
    with _sentences(console):
        event_file = read_event(event)
        with bench.opened(home.resolve(), keep=False) as it:
            rehearsal = rehearse(it, event_file, Options(timeout, keep_world, plan), console)
        if as_json:
            typer.echo(json.dumps(raw_answer(rehearsal), indent=2))
        show(rehearsal, it, out)
    raise typer.Exit(code_of(rehearsal))


def _since(name: str, started: tuple[str, ...]) -> str:
    return "started now" if name in started else "was running"


@contextmanager
def _sentences(console: Console) -> Iterator[None]:
    """What can go wrong, as a sentence and a next step instead of a traceback."""
    try:
        yield
    except CliError as error:
        problem = error
    except (requests.RequestException, BotoCoreError, ClientError) as error:
        problem = CliError(
            f"A local server did not answer as it should: {type(error).__name__}: {error}",
            "Try again; if it stays: rebalance local down, then rebalance local reset.",
            Exit.FAILED,
        )
    except KeyboardInterrupt:
        problem = CliError(
            "Interrupted. What was journalled is kept.",
            "Run the same command again: the plan goes on where it stopped.",
            Exit.INTERRUPTED,
        )
    else:
        return
    console.print(error_view(str(problem), problem.next_step))
    raise typer.Exit(problem.code)
