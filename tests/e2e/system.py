"""The deployed system, seen from outside: its stack's outputs, AWS's clients, and queues that hear what it says."""

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
"""Of the local AWS."""
SYMBOL = "SPY"
"""Always quoted, fractionable."""
OTHER_SYMBOL = "QQQ"
_POLL_SECONDS = 0.1
PATIENCE_SECONDS = 90


@dataclass(slots=True)
class Heard:
    """What was published: result events and notices, by the plan's id."""

    events: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)

    def event(self, plan_id: str) -> dict[str, Any] | None:
        """The result in the plan's event; None while there is none."""
        return next((event["detail"] for event in self.events if event["detail"]["plan_id"] == plan_id), None)

    def notice(self, plan_id: str) -> dict[str, Any] | None:
        """The notice of the plan; None while there is none."""
        return next((notice for notice in self.notices if plan_id in notice["Message"]), None)

    def times(self, plan_id: str) -> Counter[str]:
        """How often each of the two was published for that plan."""
        return Counter(
            event=sum(event["detail"]["plan_id"] == plan_id for event in self.events),
            notice=sum(plan_id in notice["Message"] for notice in self.notices),
        )


@dataclass
class System:
    """A deployed stack.

    Args:
        stack: its name.
        session: leads to the account.
        endpoint: of the local AWS; None for the real one.
        broker: the paper broker behind it; None where it is Alpaca's paper API.
        freeze: stops the function's processes as a hung call would; None where nobody outside can.
        told: the local AWS's own log, for a failing test.
        upgrade: deploys again with these parameters changed; None where the stack is somebody's own.
        artefact: what was built for the function, unpacked; None where somebody else built it.
    """

    stack: str
    session: boto3.Session
    endpoint: str | None = None
    broker: BrokerServer | None = None
    freeze: Callable[[], None] | None = None
    told: Callable[[], str] = lambda: ""
    upgrade: Callable[..., None] | None = None
    artefact: Path | None = None
    heard: Heard = field(default_factory=Heard)
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A client of that service."""
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
        """The stack's outputs."""
        stack = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    # --- ways in -----------------------------------------------------------------------------------------

    def invoke(self, event: object, *, qualifier: str = "live") -> Any:
        """The function's answer to a direct invocation."""
        answer = self.client("lambda").invoke(
            FunctionName=self.outputs["FunctionName"], Qualifier=qualifier, Payload=json.dumps(event).encode()
        )
        return json.loads(answer["Payload"].read())

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
        """Send a message to the plan queue, one of its own even if the body is the same."""
        self.client("sqs").send_message(
            QueueUrl=self.outputs["PlanQueueUrl"],
            MessageBody=body if isinstance(body, str) else json.dumps(body),
            MessageGroupId=group,
            MessageDeduplicationId=uuid.uuid4().hex,
        )

    # --- what came of it ---------------------------------------------------------------------------------

    def result(self, plan_id: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The result in the plan's event, once it is published."""
        self.wait(lambda: self.listen().event(plan_id) is not None, f"no result event of {plan_id}", seconds)
        found = self.heard.event(plan_id)
        assert found is not None
        return found

    def notice(self, plan_id: str) -> dict[str, Any]:
        """The notice of the plan, once it is published."""
        self.wait(lambda: self.listen().notice(plan_id) is not None, f"no notice of {plan_id}")
        found = self.heard.notice(plan_id)
        assert found is not None
        return found

    def listen(self) -> Heard:
        """Everything published so far."""
        for url, into in ((self.event_listener, self.heard.events), (self.notice_listener, self.heard.notices)):
            while messages := self.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                for message in messages:
                    into.append(json.loads(message["Body"]))
                    self.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return self.heard

    event_listener: str = ""
    notice_listener: str = ""

    def waiting(self, output: str) -> int:
        """Messages in that queue, in work or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.client("sqs").get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)
        return sum(int(told["Attributes"][name]) for name in names)

    def listed(self, plan_id: str) -> list[str]:
        """The plan's status in the index of today's plans."""
        page = self.client("dynamodb").query(
            TableName=self.outputs["ExecutionTableName"],
            IndexName="plans-by-day",
            KeyConditionExpression="#day = :day",
            ExpressionAttributeNames={"#day": "day"},
            ExpressionAttributeValues={":day": {"S": datetime.now(UTC).date().isoformat()}},
        )
        return [item["status"]["S"] for item in page["Items"] if item["plan_id"]["S"] == plan_id]

    def wait(self, is_so: Callable[[], bool], otherwise: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Until it is so, or the test fails with what the local AWS said last."""
        until = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < until, f"{otherwise} within {seconds:.0f} s\n{self.told()}"
            time.sleep(_POLL_SECONDS)


def a_plan(dollars: str = "25", symbol: str = SYMBOL, **fields: object) -> dict[str, Any]:
    """A plan made now that buys a little of one symbol, at once unless ``execution_urgency`` says otherwise."""
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
