"""Deployments: the template built and deployed to a local AWS with a simulated broker, or a stack in a real account."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.e2e.sam import TOOLS, Sam
from tests.e2e.system import OTHER_SYMBOL, REGION, SYMBOL, System
from tests.infrastructure.templates import read
from tests.support.broker_server import BrokerServer, paper_broker
from tests.support.processes import LOOPBACK, answers, clean_environment, free_port, server

STACK = "rebalance-e2e"
SECONDS = 10
"""Timeout of the function: short, because one test waits for it."""
CONFIG = {"connect_timeout_seconds": "1", "read_timeout_seconds": "3", "duplicate_window_minutes": 0}
"""Short requests, because a lease outlasts its invocation by the longest request and one test waits for its end.

No duplicate window, because several tests buy the same symbol.
"""
WORLD: dict[str, object] = {
    "account": {"cash": "100000", "number_by_key": {f"key-{name}": f"PA-{name}" for name in ("growth", "newcomer")}},
    "clock": {"sessions": "always_open"},
    "assets": [{"symbol": symbol, "fractionable": True} for symbol in (SYMBOL, OTHER_SYMBOL)],
    "quotes": {symbol: {"bid": "599.99", "ask": "600.01"} for symbol in (SYMBOL, OTHER_SYMBOL)},
}


@dataclass(frozen=True, slots=True)
class LocalCloud:
    """A local AWS, the simulated broker that its stacks trade at, and SAM for it."""

    url: str
    process: subprocess.Popen[bytes]
    broker: BrokerServer
    sam: Sam

    def session(self) -> boto3.Session:
        """Return a session with the keys of the local AWS."""
        keys = self.sam.environment
        return boto3.Session(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], region_name=REGION)

    def put_secret(self, name: str, key: str) -> None:
        """Store the broker credentials with this key; the simulated broker has an account for each."""
        secret = json.dumps({"api_key": f"key-{key}", "secret_key": "secret"})
        client = self.session().client("secretsmanager", endpoint_url=self.url)
        client.create_secret(Name=name, SecretString=secret)

    def log(self) -> str:
        """Return the end of the log of the local AWS."""
        return (self.sam.folder / "aws.log").read_text(errors="replace")[-6000:]


@contextmanager
def local_cloud(folder: Path) -> Iterator[LocalCloud]:
    """Start a local AWS and a simulated broker, build the template, and stop both at the end."""
    world = folder / "world.json"
    world.write_text(json.dumps(WORLD))
    with paper_broker(folder, world) as broker, _local_aws(folder) as (url, process):
        sam = Sam(_sam_environment(url), REGION, folder)
        sam.build()
        yield LocalCloud(url, process, broker, sam)


@contextmanager
def deployed_locally(folder: Path) -> Iterator[System]:
    """Build and deploy ``template.yaml`` to a local AWS with ``sam``; yield the system, then stop it."""
    if not (TOOLS / "sam").exists():
        pytest.skip("AWS SAM is missing: make sam")
    with local_cloud(folder) as cloud:
        for account in ("default", "growth"):
            cloud.put_secret(f"alpaca/{STACK}/{account}", account)
        parameters = local_parameters(cloud.broker)
        cloud.sam.deploy(STACK, parameters)
        system = System(
            STACK,
            cloud.session(),
            cloud.url,
            cloud.broker,
            freeze=lambda: _freeze(cloud.process.pid),
            log=cloud.log,
            artefact=cloud.sam.artefact,
            cloud=cloud,
        )

        def upgrade(**changed: object) -> None:
            cloud.sam.deploy(STACK, parameters | changed)
            publish(system)  # the local AWS loses versions and alias on a stack update

        system.upgrade = upgrade
        _set_redrive_policy(system)  # the local AWS ignores the one in the template
        with _listening(system):
            yield system


@contextmanager
def deployed_in_aws() -> Iterator[System]:
    """Yield the stack named by ``E2E_DEPLOYED_STACK``, in the environment's account, on Alpaca's paper API."""
    stack = os.environ.get("E2E_DEPLOYED_STACK")
    if not stack:
        pytest.skip("no real AWS account: set E2E_DEPLOYED_STACK to a deployed paper stack, and the variables of AWS")
    system = System(stack, boto3.Session())
    with _listening(system):
        yield system


def local_parameters(broker: BrokerServer) -> dict[str, object]:
    """Return the parameters of a stack in the local AWS that trades at this simulated broker."""
    return {
        "AlpacaTradingUrl": broker.url,
        "AlpacaDataUrl": broker.url,
        "TimeoutSeconds": SECONDS,
        "ExecutionConfig": json.dumps(json.dumps(CONFIG)),  # quoted twice, because sam parses it like a shell
        "NotifyEmail": "operator@example.com",
        "SavedQueries": "no",  # the local AWS has none
    }


# --- local ------------------------------------------------------------------------------------------------


@contextmanager
def _local_aws(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    environment = clean_environment(
        GATEWAY_PORT=str(port),
        BIND_HOST=LOOPBACK,
        PERSIST_STATE="0",
        S3_PERSIST="0",
        S3_DATA_DIR=str(folder / "s3"),
        STATE_DIR=str(folder / "state"),
        TMPDIR=str(folder),
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        DOCKER_HOST="unix:///nonexistent",  # otherwise ministack removes containers of other instances at start
    )
    command = [str(TOOLS / "python"), "-m", "ministack"]
    ready = f"{url}/_ministack/health"
    with server(command, environment, folder / "aws.log", lambda: answers(ready)) as process:
        yield url, process


def _sam_environment(url: str) -> dict[str, str]:
    return clean_environment(
        AWS_ENDPOINT_URL=url,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION=REGION,
        SAM_CLI_TELEMETRY="0",
    )


def _set_redrive_policy(system: System) -> None:
    declared = read("template.yaml")["Resources"]["PlanQueue"]["Properties"]["RedrivePolicy"]
    sqs, dead = system.client("sqs"), system.outputs["PlanDeadLetterQueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": declared["maxReceiveCount"]})
    sqs.set_queue_attributes(QueueUrl=system.outputs["PlanQueueUrl"], Attributes={"RedrivePolicy": policy})


def publish(system: System) -> None:
    client, function = system.client("lambda"), system.outputs["FunctionName"]
    version = client.publish_version(FunctionName=function)["Version"]
    client.create_alias(FunctionName=function, Name="live", FunctionVersion=version)


def _freeze(pid: int) -> None:
    """Stop the function's processes, which are children of the local AWS, so that they seem to hang."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").parent.parent.glob("*/children"):
        for number in child.read_text().split():
            with suppress(OSError):
                if "_worker.py" in Path(f"/proc/{number}/cmdline").read_text():
                    os.kill(int(number), signal.SIGSTOP)


# --- what is published ------------------------------------------------------------------------------------


@contextmanager
def _listening(system: System) -> Iterator[None]:
    """Subscribe two queues to the result events and the notifications, as any other consumer would."""
    name = f"e2e-{uuid.uuid4().hex[:12]}"
    sqs, events, sns = (system.client(service) for service in ("sqs", "events", "sns"))
    bus = system.outputs["ResultBusName"]
    system.event_queue, event_arn = _create_queue(sqs, f"{name}-events")
    system.notification_queue, notification_arn = _create_queue(sqs, f"{name}-notifications")
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps({"detail-type": ["RebalanceExecuted"]}))
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": event_arn}])
    subscription = sns.subscribe(
        TopicArn=system.outputs["ResultTopicArn"], Protocol="sqs", Endpoint=notification_arn, ReturnSubscriptionArn=True
    )["SubscriptionArn"]
    try:
        yield
    finally:
        if system.endpoint is None:  # the local AWS is stopped as a whole
            sns.unsubscribe(SubscriptionArn=subscription)
            events.remove_targets(Rule=name, EventBusName=bus, Ids=["queue"])
            events.delete_rule(Name=name, EventBusName=bus)
            for url in (system.event_queue, system.notification_queue):
                sqs.delete_queue(QueueUrl=url)


def _create_queue(sqs: Any, name: str) -> tuple[str, str]:
    """Create a standard queue that EventBridge and SNS may send to; return its URL and its ARN."""
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url, arn
