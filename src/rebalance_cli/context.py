"""Where the commands lead: this machine's servers or an AWS account, as ``rebalance.toml`` and the environment say.

The environment is the function's own (``docs/reference.md``). ``rebalance.toml`` (written by ``rebalance init``) names
what a command would otherwise have to be told each time; a variable that is set wins over it. Secrets never stand in
the file.
"""

from __future__ import annotations

import json
import os
import signal
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from rebalance_cli.exit_codes import CliError
from rebalance_executor.adapters.clock import SystemClock
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Broker, Ports
from rebalance_executor.execution.run import Deadline
from rebalance_executor.settings import Settings, load_settings
from rebalance_sandbox.aws import DEAD_LETTER_QUEUE, PLAN_QUEUE, LocalAwsClient, function_environment, server_variables
from rebalance_sandbox.servers import Servers, exclusive_use

CONFIG_FILE = Path("rebalance.toml")
HOME = Path(".local")
_PATIENCE = timedelta(minutes=2)
"""How long a command that only reads waits for the broker in all."""

Home = Annotated[
    Path, typer.Option("--home", envvar="REBALANCE_LOCAL_HOME", help="Where data, logs and pids are kept.")
]
ConfigFile = Annotated[
    Path,
    typer.Option("--config", envvar="REBALANCE_CONFIG", help="The file that says where the commands lead."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout; everything else goes to stderr.")]
Account = Annotated[str | None, typer.Option("--account", help="Name of the account; the deployed one by default.")]


class EventRecorder:
    """Implements ``EventLog`` for a command that looks: nothing is printed, the events are kept."""

    def __init__(self) -> None:
        self.events: list[tuple[LogEvent, dict[str, object]]] = []

    def emit(self, event: LogEvent, **fields: object) -> None:
        """Keep the event."""
        self.events.append((event, fields))


@dataclass(frozen=True, slots=True)
class CliContext:
    """What a command works with."""

    settings: Settings
    config: ExecutionConfig
    ports: Ports
    aws_client: Callable[[str], Any]
    """Gives an AWS client by the name of its service."""
    environment: Mapping[str, str]
    """The whole environment for a process that executes plans here."""
    data_dir: Path
    is_local: bool = False
    """Whether it leads to the servers of this machine."""
    broker_url: str | None = None
    """Of the paper broker on this machine."""
    event_log: EventRecorder = field(default_factory=EventRecorder)

    @property
    def now(self) -> datetime:
        """The time."""
        return self.ports.clock.now()

    @property
    def journal(self) -> DynamoJournal:
        """The journal, with what only an operator reads."""
        journal = self.ports.journal
        if not isinstance(journal, DynamoJournal):
            raise TypeError("the desk reads the journal on DynamoDB")
        return journal

    def broker(self, account: str) -> Broker:
        """The broker of that account."""
        return self.ports.brokers(account, self.deadline())

    def deadline(self) -> Deadline:
        """The deadline of a command that only reads."""
        return Deadline.after(self.now, _PATIENCE)

    def account_name(self, chosen: str | None) -> str:
        """The account's name: the one that was typed, or the deployed one."""
        return chosen or self.settings.account

    def variable(self, name: str, description: str) -> str:
        """A variable that only commands need.

        Raises:
            CliError: it is not set; says what it is.
        """
        value = self.environment.get(name)
        if not value:
            raise CliError(
                f"{name} is not set: {description}.",
                f"Set it, or write it into {CONFIG_FILE}: the stack's outputs name it (docs/deploy.md).",
            )
        return value


def build_context(settings: Settings, environment: Mapping[str, str], home: Path, **where: Any) -> CliContext:
    """A desk on these settings.

    Raises:
        ConfigurationError: names the setting that is unusable.
    """
    from rebalance_executor import bootstrap  # here: it takes a second, which the help and a usage error need not wait

    config = ExecutionConfig.from_json(settings.execution_config)
    clients, heard = cache(bootstrap.aws_client), EventRecorder()
    ports = bootstrap.build_ports(settings, config, heard, clock=SystemClock(), clients=clients)
    return CliContext(settings, config, ports, clients, environment, home, event_log=heard, **where)


@contextmanager
def cli_context(home: Path, config_file: Path, console: Console) -> Iterator[CliContext]:
    """The desk that the file and the environment lead to, as long as the block lasts.

    Raises:
        CliError: neither leads anywhere, or the local servers do not come up.
    """
    target, variables = _read_config(config_file)
    if target == "local" or (target is None and not os.environ.get("EXECUTION_TABLE")):
        if target is None and not Servers.of(home.resolve()).running():
            raise CliError(
                f"Nothing says where to look: there is no {config_file}, and EXECUTION_TABLE is not set.",
                "For this machine: rebalance init --local. For AWS: rebalance init (docs/deploy.md).",
            )
        with _local(home.resolve(), variables, console) as found:
            yield found
        return
    environment = {**variables, **os.environ}
    with _as_environment(environment):
        yield build_context(load_settings(), environment, home.resolve())


@contextmanager
def _local(home: Path, variables: Mapping[str, str], console: Console) -> Iterator[CliContext]:
    with local_servers(home, console) as (aws, broker):
        with LocalAwsClient(aws) as cloud:
            cloud.provision()
        own = {**variables, **{k: v for k, v in os.environ.items() if k == "EXECUTION_CONFIG"}}
        queues = {"PLAN_QUEUE_URL": PLAN_QUEUE, "PLAN_DEAD_LETTER_QUEUE_URL": DEAD_LETTER_QUEUE}
        servers = server_variables(aws, broker) | {name: f"{aws}/000000000000/{q}" for name, q in queues.items()}
        environment = function_environment({**os.environ, **own}, servers)
        with _as_environment(environment):
            yield build_context(load_settings(), environment, home, is_local=True, broker_url=broker)


@contextmanager
def local_servers(home: Path, console: Console) -> Iterator[tuple[str, str]]:
    """Addresses of local AWS and paper broker: those that are up, or started for this block alone."""
    servers = Servers.of(home)
    up = servers.running()
    if len(up) == len(servers.specs):  # left running: commands may share them
        ready = servers.wait_ready()
        yield ready["aws"].url, ready["broker"].url
        return
    starting = console.status("Starting local AWS and the paper broker …")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # also a command that is ended stops them
    try:
        with exclusive_use(home), starting, servers.ready(keep=False) as bench:
            starting.stop()
            yield bench.aws.url, bench.broker.url
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _as_environment(environment: Mapping[str, str]) -> Iterator[None]:
    """This process's environment is that one until the end of the block: AWS clients and settings read it."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _read_config(path: Path) -> tuple[str | None, dict[str, str]]:
    """Target and variables of ``rebalance.toml``; (None, {}) where there is no such file."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, {}
    except (OSError, ValueError) as error:
        raise CliError(f"{path} cannot be read: {error}.", "Mend it, or write a new one: rebalance init") from None
    target = document.get("target")
    if target not in ("local", "aws"):
        raise CliError(f'{path}: target must be "local" or "aws".', "Mend it, or write a new one: rebalance init")
    table = document.get("environment", {})
    variables = {
        name: json.dumps(value)
        if isinstance(value, dict)
        else str(value).lower()
        if value in (True, False)
        else str(value)
        for name, value in table.items()
    }
    return target, variables
