"""``rebalance init``: write the file that selects the target of the commands."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import boto3
import typer
from botocore.exceptions import ClientError

from rebalance_cli.commands.plan import check_digits
from rebalance_cli.context import ALPACA_LIVE, ALPACA_PAPER, OWN_TARGETS
from rebalance_cli.exit_codes import CliError
from rebalance_cli.formatting import dollars
from rebalance_cli.options import AccountDigits, CommandSession, config_command
from rebalance_cli.outputs import Written
from rebalance_cli.queries.own_account import (
    Endpoints,
    Places,
    account_settings,
    ask_hidden,
    check_keys,
    find_keys,
    store,
)
from rebalance_cli.views.tables import facts
from rebalance_executor.adapters.aws import client_config
from rebalance_executor.domain.market import BrokerKind

_FUNCTION_VARIABLES = (
    "DEPLOYMENT",
    "ACCOUNT",
    "ACCOUNTS",
    "EXECUTION_TABLE",
    "IDEMPOTENCY_TABLE",
    "PLAN_BUCKET",
    "RESULT_BUS",
    "RESULT_TOPIC",
    "ALPACA_SECRET_NAME",
    "ALPACA_PAPER",
    "ALPACA_TRADING_URL",
    "ALPACA_DATA_URL",
    "EXECUTION_CONFIG",
)
"""Variables copied from the deployed function. LIVE_TRADING is not copied: it must be set by hand."""
_STACK_OUTPUTS = {
    "PLAN_QUEUE_URL": "PlanQueueUrl",
    "PLAN_DEAD_LETTER_QUEUE_URL": "PlanDeadLetterQueueUrl",
    "EVENT_DEAD_LETTER_QUEUE_URL": "EventDeadLetterQueueUrl",
    "SCHEDULE_DEAD_LETTER_QUEUE_URL": "ScheduleDeadLetterQueueUrl",
    "FAILURE_QUEUE_URL": "FailureQueueUrl",
}
"""Variable of the commands → output of the stack."""
_HEAD = "# Target of the rebalance commands. Environment variables override those below. Never put a secret here.\n"
_OWN_HEAD = (
    "# Target of the rebalance commands: an own account. The values below win over environment variables.\n"
    "# Never put a secret here.\n"
)


_TARGETS = "Specify one of --local, --alpaca-paper, --alpaca-live and --stack NAME."


@config_command
def init(
    session: CommandSession,
    *,
    local: Annotated[bool, typer.Option("--local", help="Simulated broker and local AWS on this machine.")] = False,
    alpaca_paper: Annotated[
        bool, typer.Option("--alpaca-paper", help="Your own paper account at Alpaca, journal on this machine.")
    ] = False,
    alpaca_live: Annotated[
        bool, typer.Option("--alpaca-live", help="Your own account at Alpaca with REAL MONEY, journal on this machine.")
    ] = False,
    stack: Annotated[
        str | None, typer.Option("--stack", help="Use this deployed CloudFormation stack; its outputs are read.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option("--journal", help="File of the journal (default: in the user's data directory).")
    ] = None,
    keys_file: Annotated[
        Path | None, typer.Option("--keys-file", help="File for the keys (default: in the user's config directory).")
    ] = None,
    keyring: Annotated[bool, typer.Option("--keyring", help="Store the keys in the system's keyring.")] = False,
    trading_url: Annotated[
        str | None,
        typer.Option(
            "--trading-url", envvar="REBALANCE_TRADING_URL", help="Another broker in place of Alpaca, for a trial."
        ),
    ] = None,
    data_url: Annotated[
        str | None, typer.Option("--data-url", help="Its market data (default: the same address).")
    ] = None,
    confirm_account: AccountDigits = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a working configuration: for simulated money, for your own account at Alpaca, or for a deployed stack.

    For an account at Alpaca, the keys are read from APCA_API_KEY_ID and APCA_API_SECRET_KEY, or asked for. They are
    checked against the broker before anything is written, and stored outside this directory.
    """
    chosen = {"local": local, ALPACA_PAPER: alpaca_paper, ALPACA_LIVE: alpaca_live, "aws": stack is not None}
    target, *others = [name for name, is_chosen in chosen.items() if is_chosen] or [""]
    if others or not target:
        raise CliError(_TARGETS, f"With simulated money: {session.options.command('init', '--local')}")
    _check_no_file(session, ["--stack", stack] if stack is not None else [f"--{target}"], force=force)
    if target in OWN_TARGETS:
        endpoints = Endpoints(trading_url, data_url or trading_url)
        _init_own(session, target, endpoints, Places(keys_file, journal, keyring=keyring), confirm_account)
        return
    _write(session.options.config_file, target, {} if stack is None else _stack_variables(stack))
    place = "simulated broker, on this machine" if local else f"stack {stack}"
    _answer(session, Written(path=str(session.options.config_file), next=session.options.command("doctor")), place)


def _check_no_file(session: CommandSession, words: Sequence[str], *, force: bool) -> None:
    config_file = session.options.config_file
    if config_file.exists() and not force:
        text = f"{config_file} exists already. Nothing was written."
        raise CliError(text, f"Overwrite it: {session.options.command('init', *words, '--force')}")


def _answer(session: CommandSession, answer: Written, place: str, *rows: tuple[str, str]) -> None:
    session.answer(answer, facts([("Written", answer.path), ("Target", place), *rows]), answer.next)


def _init_own(
    session: CommandSession, target: str, endpoints: Endpoints, places: Places, confirm_account: str | None
) -> None:
    settings = account_settings(target, endpoints)
    credentials = find_keys(os.environ, ask_hidden())
    account = check_keys(settings, credentials)
    doctor = session.options.command("doctor")
    if target == ALPACA_LIVE:
        check_digits(account.account_number, settings.account, confirm_account, "Read the number at Alpaca.")
        doctor = f"export LIVE_TRADING=yes, then {doctor}"
    variables = store(endpoints, replace(credentials, account_number=account.account_number), places)
    _write(session.options.config_file, target, variables)
    status = f"{account.status}, trading is blocked: {account.blocked_by}" if account.blocked_by else account.status
    keys = variables.get("ALPACA_KEYS_FILE") or f"keyring entry {account.account_number}"
    answer = Written(
        path=str(session.options.config_file),
        account_number=account.account_number,
        equity=account.equity,
        status=status,
        keys=keys,
        journal=variables["JOURNAL_FILE"],
        next=doctor,
    )
    money = "REAL MONEY" if settings.broker_kind is BrokerKind.LIVE else f"{settings.broker_kind} money"
    rows = [
        ("Account", f"{account.account_number}, {status}"),
        ("Equity", f"${dollars(account.equity)}"),
        ("Keys", keys),
        ("Journal", variables["JOURNAL_FILE"]),
    ]
    _answer(session, answer, f"{target}, {money}, {urlsplit(settings.trading_url).netloc}", *rows)


def _stack_variables(stack: str) -> dict[str, str]:
    config = client_config()
    try:
        description = boto3.client("cloudformation", config=config).describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        text = f"The stack {stack} cannot be read: {error.response['Error'].get('Message', error)}."
        raise CliError(text, "List the stacks: aws cloudformation list-stacks") from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}
    if "FunctionAlias" not in outputs:
        text = f"The stack {stack} has no output FunctionAlias, so it is not a stack of this program."
        raise CliError(text, "List the stacks: aws cloudformation list-stacks. Deploying: docs/deploy.md")
    function = boto3.client("lambda", config=config).get_function_configuration(FunctionName=outputs["FunctionAlias"])
    deployed = function.get("Environment", {}).get("Variables", {})
    variables = {name: deployed[name] for name in _FUNCTION_VARIABLES if deployed.get(name)}
    return variables | {name: outputs[key] for name, key in _STACK_OUTPUTS.items() if key in outputs}


def _write(path: Path, target: str, variables: Mapping[str, str]) -> None:
    lines = [_OWN_HEAD if target in OWN_TARGETS else _HEAD, f'target = "{target}"\n']
    if variables:
        lines += ["\n[environment]\n", *(f"{name} = {_toml(value)}\n" for name, value in variables.items())]
    path.write_text("".join(lines), encoding="utf-8")


def _toml(text: str) -> str:
    """Return a TOML string: a literal one, or one with escapes if the text has a quote."""
    return f"'{text}'" if "'" not in text else json.dumps(text, ensure_ascii=False)
