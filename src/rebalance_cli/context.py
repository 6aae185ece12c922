"""Settings and ports of a command: of this machine's servers, of an own account at Alpaca, or of an AWS account.

``rebalance.toml`` (written by ``rebalance init``) selects the target and can set the variables of the deployed function
(``docs/reference.md``). A variable in the environment overrides the file. The file never contains a secret.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from rebalance_cli.command_line import TargetOptions
from rebalance_cli.exit_codes import CliError
from rebalance_executor.adapters.clock import SystemClock
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Broker, Ports
from rebalance_executor.settings import Settings, load_settings
from rebalance_sandbox.environment import DUMMY_KEY, function_environment, queue_variables, server_variables
from rebalance_sandbox.running import SERVER_NAMES, Sandbox, running_servers

ALPACA_PAPER, ALPACA_LIVE = "alpaca-paper", "alpaca-live"
OWN_TARGETS = (ALPACA_PAPER, ALPACA_LIVE)
"""Targets that are an own account at Alpaca, with a journal on this machine."""
KEY_VARIABLES = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "ALPACA_API_KEY", "ALPACA_SECRET_KEY")
"""Variables with keys of an own account: Alpaca's names, then the names of this program."""
_OVERRIDABLE = {"ACCOUNT", "EXECUTION_CONFIG", "LIVE_TRADING"}
"""Settings that the environment decides even for an own account at Alpaca."""
_READ_TIMEOUT = timedelta(minutes=2)
"""Total time that a command waits for the broker."""


class EventRecorder:
    """Implementation of ``EventLog`` for a command that only reads: it keeps the events and prints nothing."""

    def __init__(self) -> None:
        self.events: list[tuple[LogEvent, dict[str, object]]] = []

    def emit(self, event: LogEvent, **fields: object) -> None:
        """Keep the event."""
        self.events.append((event, fields))

    def earlier_plan(self, plan: PlanState) -> AbstractContextManager[None]:
        """Return a context without effect: a command that only reads executes no plan."""
        del plan
        return nullcontext()


@dataclass(frozen=True, slots=True)
class CliContext:
    """Settings, ports and AWS clients of the target that a command works on."""

    settings: Settings
    config: ExecutionConfig
    ports: Ports
    aws_client: Callable[[str], Any]
    """Returns the AWS client of a service, by its name."""
    environment: Mapping[str, str]
    """Complete environment for a process that executes plans on this machine."""
    options: TargetOptions
    is_local: bool = False
    """True if the target is the servers of this machine."""
    broker_url: str | None = None
    """Address of the simulated broker on this machine."""
    event_log: EventRecorder = field(default_factory=EventRecorder)

    @property
    def now(self) -> datetime:
        """The current time."""
        return self.ports.clock.now()

    @property
    def data_dir(self) -> Path:
        """Absolute path of the directory for local data and logs."""
        return self.options.data_dir.resolve()

    @property
    def journal(self) -> DynamoJournal:
        """The DynamoDB journal, which has queries that only operators need."""
        journal = self.ports.journal
        if not isinstance(journal, DynamoJournal):
            raise TypeError("the commands need the DynamoDB journal")
        return journal

    @property
    def risk_store(self) -> DynamoRiskStore:
        """The DynamoDB risk store, which has the bindings of broker accounts that only operators read and move."""
        store = self.ports.risk_store
        if not isinstance(store, DynamoRiskStore):
            raise TypeError("the commands need the DynamoDB risk store")
        return store

    def broker(self, account: str) -> Broker:
        """Return the broker of an account."""
        return self.ports.brokers(account, self.deadline())

    def deadline(self) -> Deadline:
        """Return the deadline of a command that only reads."""
        return Deadline.after(self.now, _READ_TIMEOUT)

    def account_name(self, chosen: str | None) -> str:
        """Return the chosen account, or the configured one if none was chosen."""
        return chosen or self.settings.account

    def command(self, *words: str, account: str | None = None) -> str:
        """Return a command on this target; see ``command_line``.

        Args:
            words: the command with its arguments.
            account: account that the command needs; ``--account`` is added unless it is the configured account.
        """
        option = [] if account in (None, self.settings.account) else ["--account", str(account)]
        return self.options.command(*words, *option)

    def variable(self, name: str, description: str) -> str:
        """Return an environment variable that only commands need.

        Raises:
            CliError: the variable is not set; contains the description.
        """
        value = self.environment.get(name)
        if not value and self.settings.journal_file is not None:
            apply = self.command("apply", "PLAN")
            text = "This target has no queue: plans are executed on this machine, one at a time."
            raise CliError(text, f"Execute a plan, or continue an unfinished one: {apply}")
        if not value:
            init = self.command("init", "--stack", "NAME", "--force")
            raise CliError(
                f"{name} is not set: {description}.", f"Set it, or let {self.options.config_file} set it: {init}"
            )
        return value


def _build_context(environment: Mapping[str, str], options: TargetOptions, **fields: Any) -> CliContext:
    """Return the context for the settings in this process's environment.

    Args:
        environment: environment for a process that executes plans.
        options: options that select the target.
        fields: further fields of the context.

    Raises:
        ConfigurationError: names the setting that is invalid.
    """
    from rebalance_executor import bootstrap  # imported late: takes a second, which --help must not wait for

    settings = load_settings()
    config = ExecutionConfig.from_json(settings.execution_config)
    aws_client, event_log = cache(bootstrap.client_factory(settings)), EventRecorder()
    ports = bootstrap.build_ports(settings, config, event_log, clock=SystemClock(), clients=aws_client)
    return CliContext(settings, config, ports, aws_client, environment, options, event_log=event_log, **fields)


@contextmanager
def cli_context(options: TargetOptions, console: Console) -> Iterator[CliContext]:
    """Provide the context that the file and the environment select, for the duration of the block.

    Raises:
        CliError: no target is configured, or the file is invalid.
        SandboxError: the local servers cannot start.
    """
    target, variables = _read_config(options)
    if target == "local" or (target is None and not os.environ.get("EXECUTION_TABLE")):
        if target is None and not running_servers(options.data_dir.resolve()):
            local, paper = options.command("init", "--local"), options.command("init", "--alpaca-paper")
            stack = options.command("init", "--stack", "NAME")
            raise CliError(
                f"No target is configured: there is no {options.config_file}, and EXECUTION_TABLE is not set.",
                f"Simulated: {local}; your own account: {paper}; a deployed stack: {stack}",
            )
        with _local_context(options, variables, console) as ctx:
            yield ctx
        return
    environment = {**variables, **os.environ}
    if target in OWN_TARGETS:
        environment = own_environment(str(target), variables, os.environ)
    with _environment(environment):
        yield _build_context(environment, options)


def own_environment(target: str, variables: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for an own account at Alpaca, with a journal on this machine.

    The file alone decides on account, broker, keys and journal: a variable that is left over in a shell must not
    redirect orders.

    Args:
        target: ``alpaca-paper`` or ``alpaca-live``.
        variables: variables of ``rebalance.toml``.
        inherited: environment of this process.
    """
    settings = {str(field.validation_alias) for field in Settings.model_fields.values()}
    queues = {name for name in inherited if name.endswith("_QUEUE_URL")}
    decided = (settings | queues | {"LOG_GROUP"}) - _OVERRIDABLE
    kept = {name: value for name, value in inherited.items() if name not in decided}
    paper = str(target == ALPACA_PAPER).lower()
    fixed = {"ALPACA_PAPER": paper, "POWERTOOLS_TRACE_DISABLED": "true", "PYTHONUNBUFFERED": "1"}
    return {**variables, **kept, **fixed}


@contextmanager
def _local_context(options: TargetOptions, variables: Mapping[str, str], console: Console) -> Iterator[CliContext]:
    _note_ignored_keys(options, console)
    with _shared_sandbox(options.data_dir.resolve(), console) as sandbox:
        aws, broker = sandbox.aws.url, sandbox.broker.url
        servers = server_variables(aws, broker) | queue_variables(aws)
        environment = function_environment({**variables, **os.environ}, servers)
        with _environment(environment):
            yield _build_context(environment, options, is_local=True, broker_url=broker)


def _note_ignored_keys(options: TargetOptions, console: Console) -> None:
    """Print that keys of an own account are ignored by the simulated broker, if there are any."""
    ignored = [name for name in KEY_VARIABLES if os.environ.get(name) not in (None, "", DUMMY_KEY)]
    if ignored:
        switch = options.command("init", "--alpaca-paper", "--force")
        text = f"{' and '.join(ignored)} ignored: this target is the simulated broker. For your own account: {switch}"
        console.print(Text(text, "yellow"), soft_wrap=True)


@contextmanager
def _shared_sandbox(data_dir: Path, console: Console) -> Iterator[Sandbox]:
    if len(running_servers(data_dir)) < len(SERVER_NAMES):
        with start_sandbox(data_dir, console) as sandbox:
            yield sandbox
        return
    from rebalance_sandbox import startup  # imported late: on AWS no server is started

    yield startup.running_sandbox(data_dir)


@contextmanager
def start_sandbox(data_dir: Path, console: Console, *, keep: bool = False) -> Iterator[Sandbox]:
    """Start the local servers for the duration of the block; show a spinner on a terminal until they are ready.

    Args:
        data_dir: directory with their data.
        console: receives the spinner.
        keep: let the servers run after the block.

    Raises:
        SandboxError: they cannot start, or another command holds the directory.
    """
    from rebalance_sandbox import startup  # imported late: on AWS no server is started

    spinner = console.status("Starting local AWS and the simulated broker …")
    with spinner, startup.started_sandbox(data_dir, keep=keep) as sandbox:
        spinner.stop()
        yield sandbox


@contextmanager
def _environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Replace this process's environment for the duration of the block; AWS clients and settings read it."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _read_config(options: TargetOptions) -> tuple[str | None, dict[str, str]]:
    """Return target and variables of ``rebalance.toml``; (None, {}) if the file does not exist."""
    path = options.config_file
    init = f"write a new one: {options.command('init', '--help')}"
    next_step = f"Correct the file, or {init}"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if options.is_config_named:
            raise CliError(f"The configuration file {path} does not exist.", f"Check its name, or {init}") from None
        return None, {}
    except (OSError, ValueError) as error:
        raise CliError(f"{path} cannot be read: {error}.", next_step) from None
    target = document.get("target")
    if target not in ("local", "aws", *OWN_TARGETS):
        raise CliError(f'{path}: target must be "local", "{ALPACA_PAPER}", "{ALPACA_LIVE}" or "aws".', next_step)
    return target, {name: _variable_text(value) for name, value in document.get("environment", {}).items()}


def _variable_text(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if value in (True, False) else str(value)
