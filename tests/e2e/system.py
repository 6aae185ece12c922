"""The deployed system as its users see it: outputs of the stack, AWS clients, and queues with published results."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.support.broker_server import BrokerServer

REGION = "us-east-1"
"""Region of the local AWS."""
SYMBOL = "SPY"
"""A fractionable symbol that always has a quote."""
OTHER_SYMBOL = "QQQ"
_POLL_SECONDS = 0.1
WAIT_SECONDS = 90


@dataclass(slots=True)
class PublishedMessages:
    """Result events and notifications received so far."""

    events: list[dict[str, Any]] = field(default_factory=list)
    notifications: list[dict[str, Any]] = field(default_factory=list)

    def event(self, plan_id: str) -> dict[str, Any] | None:
        """Return the result in the event of this plan; None if there is none yet."""
        return next((event["detail"] for event in self.events if event["detail"]["plan_id"] == plan_id), None)

    def notification(self, plan_id: str) -> dict[str, Any] | None:
        """Return the notification of this plan; None if there is none yet."""
        return next((message for message in self.notifications if plan_id in message["Message"]), None)

    def counts(self, plan_id: str) -> Counter[str]:
        """Count the events and notifications of this plan."""
        return Counter(
            event=sum(event["detail"]["plan_id"] == plan_id for event in self.events),
            notification=sum(plan_id in message["Message"] for message in self.notifications),
        )


@dataclass
class System:
    """A deployed stack.

    Args:
        stack: name of the stack.
        session: session of the AWS account.
        endpoint: URL of the local AWS; None for the real AWS.
        broker: the simulated broker; None if the stack uses Alpaca's paper API.
        freeze: stops the function's processes, like a hung call; None if that is impossible.
        log: returns the log of the local AWS, for failing tests.
        upgrade: deploys again with changed parameters; None for a real stack.
        artefact: folder with the built function; None for a real stack.
        cloud: the ``LocalCloud`` of a local stack, where other stacks can be deployed beside it.
    """

    stack: str
    session: boto3.Session
    endpoint: str | None = None
    broker: BrokerServer | None = None
    freeze: Callable[[], None] | None = None
    log: Callable[[], str] = lambda: ""
    upgrade: Callable[..., None] | None = None
    artefact: Path | None = None
    cloud: Any = None
    published: PublishedMessages = field(default_factory=PublishedMessages)
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return a client of this service."""
        if service not in self._clients:
            config = Config(
                read_timeout=70,
                retries={"total_max_attempts": 1},
                proxies={} if self.endpoint else None,
                s3={"addressing_style": "path"} if self.endpoint else None,
            )
            self._clients[service] = self.session.client(service, endpoint_url=self.endpoint, config=config)
        return self._clients[service]

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """Outputs of the stack."""
        stack = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    # --- inputs ------------------------------------------------------------------------------------------

    def invoke(self, event: object, *, qualifier: str = "live") -> Any:
        """Invoke the function directly and return its response."""
        response = self.client("lambda").invoke(
            FunctionName=self.outputs["FunctionName"], Qualifier=qualifier, Payload=json.dumps(event).encode()
        )
        return json.loads(response["Payload"].read())

    def announce(self, plan: Mapping[str, Any]) -> None:
        """Put the plan on the bus."""
        entry = {
            "EventBusName": self.outputs["EventBusName"],
            "Source": "portfolio.construction",
            "DetailType": "RebalancePlanned",
            "Detail": json.dumps(plan),
        }
        assert self.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0

    def queue(self, body: object, group: str = "default") -> None:
        """Send a message to the plan queue, with a new deduplication ID even if the body is the same."""
        self.client("sqs").send_message(
            QueueUrl=self.outputs["PlanQueueUrl"],
            MessageBody=body if isinstance(body, str) else json.dumps(body),
            MessageGroupId=group,
            MessageDeduplicationId=uuid.uuid4().hex,
        )

    # --- outputs -----------------------------------------------------------------------------------------

    def result(self, plan_id: str, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """Wait for the result event of this plan and return the result."""
        self.wait(lambda: self.receive().event(plan_id) is not None, f"no result event of {plan_id}", seconds)
        result = self.published.event(plan_id)
        assert result is not None
        return result

    def notification(self, plan_id: str) -> dict[str, Any]:
        """Wait for the notification of this plan and return it."""
        self.wait(lambda: self.receive().notification(plan_id) is not None, f"no notification of {plan_id}")
        notification = self.published.notification(plan_id)
        assert notification is not None
        return notification

    def receive(self) -> PublishedMessages:
        """Receive new messages and return all published so far."""
        received = ((self.event_queue, self.published.events), (self.notification_queue, self.published.notifications))
        for url, into in received:
            while messages := self.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                for message in messages:
                    into.append(json.loads(message["Body"]))
                    self.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return self.published

    event_queue: str = ""
    notification_queue: str = ""

    def message_count(self, output: str) -> int:
        """Return the number of messages in the queue of this output, including those in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        response = self.client("sqs").get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)
        return sum(int(response["Attributes"][name]) for name in names)

    def listed(self, plan_id: str) -> list[str]:
        """Return the status of this plan in the index of today's plans; empty if it is not listed."""
        page = self.client("dynamodb").query(
            TableName=self.outputs["ExecutionTableName"],
            IndexName="plans-by-day",
            KeyConditionExpression="#day = :day",
            ExpressionAttributeNames={"#day": "day"},
            ExpressionAttributeValues={":day": {"S": datetime.now(UTC).date().isoformat()}},
        )
        return [item["status"]["S"] for item in page["Items"] if item["plan_id"]["S"] == plan_id]

    def wait(self, condition: Callable[[], bool], failure: str, seconds: float = WAIT_SECONDS) -> None:
        """Wait until the condition is true; after ``seconds`` fail with the log of the local AWS."""
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"{failure} within {seconds:.0f} s\n{self.log()}"
            time.sleep(_POLL_SECONDS)


def a_plan(dollars: str = "25", symbol: str = SYMBOL, **fields: object) -> dict[str, Any]:
    """Return a new plan that buys a little of one symbol, immediately by default (``execution_urgency``)."""
    plan_id = f"e2e-{uuid.uuid4().hex[:12]}"
    item = {
        "symbol": symbol,
        "action": "BUY",
        "trade_amount": dollars,
        "current_weight": "0",
        "target_weight": "0.01",
        "weight_diff": "0.01",
        "target_value": dollars,
        "current_value": "0",
        "priority": 1,
    }
    return {
        "plan_id": plan_id,
        "correlation_id": f"{plan_id}-correlation",
        "causation_id": f"{plan_id}-causation",
        "timestamp": datetime.now(UTC).isoformat(),
        "items": [item],
        "total_portfolio_value": "100000",
        "total_trade_value": dollars,
        "execution_urgency": "URGENT",
    } | fields
