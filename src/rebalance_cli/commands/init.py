"""``rebalance init``: writes the file that says where the commands lead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import boto3
import typer
from botocore.exceptions import ClientError

from rebalance_cli.console import answer, command
from rebalance_cli.context import CONFIG_FILE, AsJson, ConfigFile
from rebalance_cli.exit_codes import CliError
from rebalance_cli.outputs import Written
from rebalance_cli.views.result import facts
from rebalance_executor.adapters.aws import client_config

_OF_FUNCTION = (
    "ACCOUNT",
    "EXECUTION_TABLE",
    "IDEMPOTENCY_TABLE",
    "PLAN_BUCKET",
    "RESULT_BUS",
    "ALPACA_SECRET_NAME",
    "ALPACA_PAPER",
    "ALPACA_TRADING_URL",
    "ALPACA_DATA_URL",
    "EXECUTION_CONFIG",
)
"""What the commands share with the deployed function. Live's own switches are not among them: they are set by hand."""
_OF_STACK = {
    "PLAN_QUEUE_URL": "PlanQueueUrl",
    "PLAN_DEAD_LETTER_QUEUE_URL": "PlanDeadLetterQueueUrl",
    "EVENT_DEAD_LETTER_QUEUE_URL": "EventDeadLetterQueueUrl",
    "SCHEDULE_DEAD_LETTER_QUEUE_URL": "ScheduleDeadLetterQueueUrl",
    "FAILURE_QUEUE_URL": "FailureQueueUrl",
}
_HEAD = "# Where the rebalance commands lead. Variables that are set win over those below. No secret belongs here.\n"


def init(
    *,
    local: Annotated[bool, typer.Option("--local", help="This machine: paper broker and local AWS.")] = False,
    stack: Annotated[
        str | None, typer.Option("--stack", help="Name of a deployed stack; its outputs are read.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Write a working configuration: for this machine, or for a deployed stack."""
    with command(as_json=as_json) as (_, out):
        if local == (stack is not None):
            raise CliError("Say where to: this machine or a stack.", "rebalance init --local, or --stack NAME")
        if config.exists() and not force:
            raise CliError(f"{config} is there already. Nothing was written.", "Overwrite it with --force.")
        variables = {} if stack is None else _of_stack(stack)
        _write(config, "local" if local else "aws", variables)
        rows = [("Written", str(config)), ("Leads to", "this machine" if local else f"stack {stack}")]
        told = Written(path=str(config), next="rebalance doctor")
        answer(told, facts([*rows, ("Next", told.next)]), as_json=as_json, out=out)


def _of_stack(stack: str) -> dict[str, str]:
    config = client_config()
    try:
        found = boto3.client("cloudformation", config=config).describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        text = f"The stack {stack} cannot be read: {error.response['Error'].get('Message', error)}."
        raise CliError(text, "See which there are: aws cloudformation list-stacks") from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    if "FunctionAlias" not in outputs:
        raise CliError(
            f"The stack {stack} has no output FunctionAlias: it is not one of this program.", "docs/deploy.md"
        )
    function = boto3.client("lambda", config=config).get_function_configuration(FunctionName=outputs["FunctionAlias"])
    own = function.get("Environment", {}).get("Variables", {})
    told = {name: own[name] for name in _OF_FUNCTION if own.get(name)}
    return told | {name: outputs[key] for name, key in _OF_STACK.items() if key in outputs}


def _write(path: Path, target: str, variables: Mapping[str, str]) -> None:
    lines = [_HEAD, f'target = "{target}"\n']
    if variables:
        lines += ["\n[environment]\n", *(f"{name} = '{value}'\n" for name, value in variables.items())]
    path.write_text("".join(lines), encoding="utf-8")
