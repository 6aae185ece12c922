"""``rebalance init``: write the file that selects the target of the commands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import boto3
import typer
from botocore.exceptions import ClientError

from rebalance_cli.exit_codes import CliError
from rebalance_cli.options import CommandSession, config_command
from rebalance_cli.outputs import Written
from rebalance_cli.views.tables import facts
from rebalance_executor.adapters.aws import client_config

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


@config_command
def init(
    session: CommandSession,
    *,
    local: Annotated[bool, typer.Option("--local", help="Use this machine: paper broker and local AWS.")] = False,
    stack: Annotated[
        str | None, typer.Option("--stack", help="Use this deployed CloudFormation stack; its outputs are read.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a working configuration: for this machine, or for a deployed stack."""
    options, config_file = session.options, session.options.config_file
    if local == (stack is not None):
        next_step = f"For this machine: {options.command('init', '--local')}"
        raise CliError("Specify either --local or --stack NAME.", next_step)
    if config_file.exists() and not force:
        target = ["--local"] if stack is None else ["--stack", stack]
        text = f"{config_file} exists already. Nothing was written."
        raise CliError(text, f"Overwrite it: {options.command('init', *target, '--force')}")
    variables = {} if stack is None else _stack_variables(stack)
    _write(config_file, "local" if local else "aws", variables)
    answer = Written(path=str(config_file), next=options.command("doctor"))
    place = "this machine" if local else f"stack {stack}"
    session.answer(answer, facts([("Written", answer.path), ("Target", place)]), answer.next)


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
    lines = [_HEAD, f'target = "{target}"\n']
    if variables:
        lines += ["\n[environment]\n", *(f"{name} = '{value}'\n" for name, value in variables.items())]
    path.write_text("".join(lines), encoding="utf-8")
