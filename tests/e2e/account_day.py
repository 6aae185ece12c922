"""A day of an account: what only a stack shows that is deployed, changed, rolled back, deleted and deployed again.

    make e2e                              on the local AWS, as far as that goes
    E2E_STACK=rebalance-day make e2e      in the AWS account and region of the environment, about twenty minutes

Each step is named. After a failure the same command continues with the failed step. Nothing is left behind, except
for a KMS key that AWS deletes after a week. A stack of this name that this script did not deploy is never touched. In
AWS the secret alpaca/STACK/default must exist (docs/deploy.md).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tests.e2e.deployment import local_cloud, local_parameters, publish
from tests.e2e.leftovers import Resource, remove, resources_of, retained
from tests.e2e.sam import ROOT, TOOLS, Sam, of_this_account
from tests.e2e.system import System, a_plan

_LOCAL_STACK = "rebalance-day"
_STATES = ROOT / "build" / "account-day"
_CANARY = "Canary10Percent5Minutes"
_QUEUE_NAME_SECONDS = 60
"""Seconds after which SQS accepts the name of a deleted queue again."""


@dataclass
class Day:
    """A stack on its day.

    Args:
        stack: its name.
        sam: deploys it.
        parameters: those of its template.
        session: session of the AWS account.
        endpoint: URL of the local AWS; None for the real AWS.
        file: receives what is done, so that the day can be continued; None if it cannot.
    """

    stack: str
    sam: Sam
    parameters: dict[str, object]
    session: boto3.Session
    endpoint: str | None = None
    file: Path | None = None
    done: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """What later steps need: plan, result, versions and resources."""

    @property
    def system(self) -> System:
        """The deployed stack, with its present outputs."""
        return System(self.stack, self.session, self.endpoint)

    def deploy(self, **changed: object) -> None:
        """Deploy with these parameters changed for the rest of the day, and remember all resources."""
        self.parameters |= changed
        self.facts["changed"] = self.facts.get("changed", {}) | changed
        known = [Resource(*one) for one in self.facts.get("resources", [])]
        self.sam.deploy(self.stack, self.parameters)
        found = resources_of(self.system)
        self.facts["resources"] = sorted({*known, *found})
        self.save()

    def exists(self) -> bool:
        """Return whether CloudFormation knows the stack."""
        try:
            stacks = self.system.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError:
            return False
        return any(stack["StackStatus"] != "DELETE_COMPLETE" for stack in stacks)

    def save(self) -> None:
        """Store what is done."""
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(json.dumps({"done": self.done, "facts": self.facts}), encoding="utf-8")

    def load(self) -> None:
        """Continue a day that failed, if there is one."""
        if self.file is not None and self.file.exists():
            stored = json.loads(self.file.read_text(encoding="utf-8"))
            self.done, self.facts = stored["done"], stored["facts"]
            self.parameters |= self.facts.get("changed", {})


# --- the steps: each returns what it saw, and fails with an AssertionError -----------------------------------


def deploy(day: Day) -> str:
    """Build and deploy the stack."""
    assert not day.exists() or "resources" in day.facts or "mine" in day.facts, (
        f"there is a stack {day.stack} already; choose a name for E2E_STACK that is free"
    )
    day.facts["mine"] = True
    day.save()
    day.sam.build()
    day.deploy()
    return f"{len(day.facts['resources'])} resources"


def check_health(day: Day) -> str:
    """Ask the deployed function for its health."""
    report = day.system.invoke({"health": True})
    assert report.get("healthy") is True, report
    return f"{len(report['checks'])} checks"


def execute_plan(day: Day) -> str:
    """Execute a plan and read its result; the market may be closed."""
    plan = day.facts.setdefault("plan", a_plan())
    day.save()
    result = day.system.invoke(plan)
    assert result.get("plan_id") == plan["plan_id"], result
    day.facts["result"] = result
    return str(result["status"])


def run_system_tests(day: Day) -> str:
    """Run the end-to-end tests of a deployed system."""
    environment = os.environ | {"E2E_DEPLOYED_STACK": day.stack}
    command = [sys.executable, "-m", "pytest", "-q", "tests/e2e/test_deployed_system.py", "-k", "aws"]
    completed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout[-3000:]
    return completed.stdout.strip().splitlines()[-1]


def change_parameter(day: Day) -> str:
    """Change a parameter; the alias must get a version with the new value."""
    before = day.facts.setdefault("before", _version(day.system))
    day.deploy(LogLevel="DEBUG")
    if day.endpoint is not None:
        publish(day.system)
    configuration = _configuration(day.system, "live")
    assert configuration["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == "DEBUG", "the alias has the old value"
    day.facts["after"] = configuration["Version"]
    assert day.facts["after"] != before, f"the alias still has version {before}"
    _check_stored_result(day)
    return f"version {before} → {day.facts['after']}"


def keep_version(day: Day) -> str:
    """Read the version before the change: it must still exist."""
    version = _configuration(day.system, day.facts["before"])["Version"]
    return f"version {version} exists"


def roll_back(day: Day) -> str:
    """Point the alias to the version before the change, and then to the new one again."""
    for version in (day.facts["before"], day.facts["after"]):
        day.system.client("lambda").update_alias(
            FunctionName=day.system.outputs["FunctionName"], Name="live", FunctionVersion=version
        )
        assert _version(day.system) == version
        check_health(day)
        _check_stored_result(day)
    return f"version {day.facts['after']} → {day.facts['before']} → {day.facts['after']}"


def shift_traffic(day: Day) -> str:
    """Deploy a change by CodeDeploy in steps; it must succeed, its check of the new version included."""
    day.deploy(Rollout=_CANARY)
    day.deploy(Rollout=_CANARY, LogLevel="INFO")
    client = day.system.client("codedeploy")
    (application,) = [one.id for one in resources_of(day.system) if one.type == "AWS::CodeDeploy::Application"]
    (group,) = client.list_deployment_groups(applicationName=application)["deploymentGroups"]
    last = client.list_deployments(applicationName=application, deploymentGroupName=group)["deployments"][0]
    status = client.get_deployment(deploymentId=last)["deploymentInfo"]["status"]
    assert status == "Succeeded", f"deployment {last} is {status}"
    _check_stored_result(day)
    return f"deployment {last} succeeded"


def prune(day: Day) -> str:
    """Delete the published versions that no alias uses; the version in use must answer afterwards."""
    command = [sys.executable, str(ROOT / "scripts" / "prune-versions"), day.system.outputs["FunctionName"]]
    completed = subprocess.run(
        [*command, "--keep", "2", "--delete"],
        env=dict(day.sam.environment) | {"AWS_DEFAULT_REGION": day.sam.region},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr[-1000:]
    check_health(day)
    return ", ".join(completed.stdout.split("\n")[:-1])


def delete(day: Day) -> str:
    """Delete the stack; what the template retains must survive."""
    if day.exists() and day.endpoint is None:
        day.sam.delete(day.stack)
        time.sleep(_QUEUE_NAME_SECONDS)
    elif day.exists():  # sam delete needs a field that the local AWS does not return
        day.system.client("cloudformation").delete_stack(StackName=day.stack)
    assert not day.exists(), f"{day.stack} still exists"
    return f"{len(retained(day.facts['resources']))} resources are retained"


def deploy_again(day: Day) -> str:
    """Deploy a stack of the same name; nothing that was retained may block it, and it must execute a plan."""
    day.deploy(Rollout="AllAtOnce")
    check_health(day)
    plan = day.facts.setdefault("second plan", a_plan())
    result = day.system.invoke(plan)
    assert result.get("plan_id") == plan["plan_id"], result
    return str(result["status"])


def leave_nothing(day: Day) -> str:
    """Delete the stack and all that both deployments retained."""
    delete(day)
    removed = [one for one in retained(day.facts["resources"]) if remove(day.system, one)]
    return f"{len(removed)} retained resources removed" + _keys(removed)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the day; ``missing`` says why the local AWS cannot show it."""

    name: str
    run: Callable[[Day], str]
    missing: str | None = None


STEPS: Sequence[Step] = (
    Step("deploy", deploy),
    Step("check health", check_health),
    Step("execute a plan", execute_plan),
    Step("run the end-to-end tests", run_system_tests, "the tests of the local AWS have a stack of their own"),
    Step("change a parameter", change_parameter),
    Step("keep the version before", keep_version, "the local AWS loses versions and alias when a stack changes"),
    Step("roll back", roll_back, "the local AWS loses versions and alias when a stack changes"),
    Step("shift traffic by CodeDeploy", shift_traffic, "the local AWS has no CodeDeploy"),
    Step("delete old versions", prune),
    Step("delete", delete),
    Step("deploy again", deploy_again),
    Step("leave nothing behind", leave_nothing),
)


# --- the day --------------------------------------------------------------------------------------------------


def play(day: Day, say: Callable[[str], object]) -> bool:
    """Carry out the steps that are not done; return False after the first failure."""
    day.load()
    for number, step in enumerate(STEPS, 1):
        head = f"{number:2d}/{len(STEPS)}  {step.name:<28}"
        if step.name in day.done:
            say(f"{head}  done before")
            continue
        if step.missing is not None and day.endpoint is not None:
            say(f"{head}  skipped: {step.missing}")
            continue
        started = time.monotonic()
        try:
            seen = step.run(day)
        except (AssertionError, ClientError, KeyError) as error:
            say(f"{head}  FAILED: {error}\nThe same command continues with this step.")
            return False
        day.done.append(step.name)
        day.save()
        say(f"{head}  {seen} ({time.monotonic() - started:.0f} s)")
    if day.file is not None:
        day.file.unlink(missing_ok=True)
    return True


@contextmanager
def in_aws(stack: str) -> Iterator[Day]:
    """Yield the day of a new stack in the account of the environment, on Alpaca's paper API."""
    folder = _STATES / stack
    folder.mkdir(parents=True, exist_ok=True)
    sam = of_this_account(folder)
    parameters: dict[str, object] = {"Stage": "dev", "AlpacaPaper": "true"}
    yield Day(stack, sam, parameters, boto3.Session(region_name=sam.region), file=folder / "day.json")


@contextmanager
def on_local_aws() -> Iterator[Day]:
    """Yield the day of a stack in a local AWS with a simulated broker, which both end with it."""
    with tempfile.TemporaryDirectory() as name, local_cloud(Path(name)) as cloud:
        cloud.put_secret(f"alpaca/{_LOCAL_STACK}/default", "default")
        yield Day(_LOCAL_STACK, cloud.sam, local_parameters(cloud.broker), cloud.session(), cloud.url)


def main() -> None:
    """Play the day and say what each step saw."""
    if not (TOOLS / "sam").exists():
        sys.exit("AWS SAM is missing: make sam")
    stack = os.environ.get("E2E_STACK")
    with in_aws(stack) if stack else on_local_aws() as day:
        _say(f"Account day of {day.stack} {'in ' + day.sam.region if stack else 'on the local AWS'}")
        if not play(day, _say):
            sys.exit(1)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _version(system: System) -> str:
    alias = system.client("lambda").get_alias(FunctionName=system.outputs["FunctionName"], Name="live")
    return str(alias["FunctionVersion"])


def _configuration(system: System, qualifier: str) -> dict[str, Any]:
    answer: dict[str, Any] = system.client("lambda").get_function_configuration(
        FunctionName=system.outputs["FunctionName"], Qualifier=qualifier
    )
    return answer


def _check_stored_result(day: Day) -> None:
    assert day.system.invoke(day.facts["plan"]) == day.facts["result"], "the plan has another result"


def _keys(removed: Sequence[Resource]) -> str:
    keys = [one.id for one in removed if one.type == "AWS::KMS::Key"]
    return f"; AWS deletes {', '.join(keys)} after a week" if keys else ""


if __name__ == "__main__":
    main()
