"""A stage for measurements: the handler in this process, broker and AWS in separate processes, all on loopback."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import TextIOBase
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import boto3

from rebalance_executor import bootstrap
from rebalance_executor.handler import lambda_handler
from tests.support.broker_server import BrokerServer, paper_broker
from tests.support.builders import a_plan_document
from tests.support.lambda_context import FakeContext
from tests.support.local_aws import EXECUTION_TABLE, LocalAws, local_aws
from tests.support.world import buy, sell

NO_LIMIT = 10_000_000
"""Requests per minute, never reached here, so that the program never waits for the rate limit."""

HELD = 100
"""Shares held of each symbol, at $100 each."""
_MID = 100


CONTEXT = FakeContext(lambda: 600)
"""An invocation that has ten minutes."""


class Output(TextIOBase):
    """Log stream that takes one write per line, as Lambda does, and keeps only the size of the log."""

    def __init__(self) -> None:
        self.lines = self.characters = 0
        self._nowhere = Path(os.devnull).open("w", buffering=1, encoding="utf-8")  # noqa: SIM115 - open until the process ends

    def write(self, text: str) -> int:
        """Count and discard ``text``."""
        self.lines += text.count("\n")
        self.characters += len(text)
        return self._nowhere.write(text)


OUTPUT = Output()
"""One per process, because the logger of Powertools keeps its first stream."""


@dataclass(slots=True)
class AwsUse:
    """Requests of the program to AWS."""

    requests: Counter[str] = field(default_factory=Counter)
    """By service and operation, as ``dynamodb.UpdateItem``."""
    item_sizes: list[int] = field(default_factory=list)
    """Bytes of every item written to DynamoDB in a transaction."""
    other_actions: int = 0
    """Number of conditions and updates in transactions."""

    def record(self, model: Any, params: Any, **_: object) -> None:
        """Record a request that is about to be sent."""
        self.requests[f"{model.service_model.service_name}.{model.name}"] += 1
        if model.name == "TransactWriteItems":
            for action in json.loads(params["body"])["TransactItems"]:
                if "Put" in action:
                    self.item_sizes.append(_item_size(action["Put"]["Item"]))
                else:
                    self.other_actions += 1

    def clear(self) -> None:
        """Reset all counts."""
        self.requests.clear()
        self.item_sizes.clear()
        self.other_actions = 0

    @property
    def database_requests(self) -> int:
        """Number of requests to DynamoDB."""
        return sum(n for name, n in self.requests.items() if name.startswith("dynamodb."))


def _item_size(item: dict[str, dict[str, str]]) -> int:
    """Return the size of an item in bytes as DynamoDB counts it: names and values."""
    return sum(len(name) + len(value) for name, attribute in item.items() for value in attribute.values())


@dataclass(slots=True)
class Stage:
    """A warm handler with its broker and its AWS."""

    broker: BrokerServer
    aws: LocalAws
    symbols: Sequence[str]
    output: Output
    use: AwsUse
    environment: dict[str, str]
    """The variables that point a function here."""
    _plans: int = 0

    def plan(self, orders: int, **fields: object) -> dict[str, Any]:
        """Build a new plan with this many orders, a third of them sells."""
        self._plans += 1
        chosen = self.symbols[:orders]
        items = [
            (sell if n < orders // 3 else buy)(s, 100, current_value=HELD * _MID, target_value=HELD * _MID)
            for n, s in enumerate(chosen)
        ]
        own = {
            "plan_id": f"plan-{self._plans}",
            "timestamp": datetime.now(UTC).isoformat(),
            "total_portfolio_value": HELD * _MID * len(self.symbols),
        }
        return a_plan_document(*items, **(own | fields))

    def execute(self, document: dict[str, Any]) -> dict[str, Any]:
        """Execute the plan; raise ``AssertionError`` unless every order was filled."""
        result = self.invoke(document)
        if result["orders_succeeded"] != len(document["items"]):
            raise AssertionError(f"not every order was filled: {result['status']}")
        return result

    def invoke(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the response of the handler."""
        with redirect_stdout(cast("Any", self.output)):
            return lambda_handler(document, cast("Any", CONTEXT))

    def reset(self, orders: int, **scenario: Any) -> None:
        """Reset broker and daily usage for plans of this size; ``scenario`` adds keys of the broker's scenario."""
        self.broker.load_scenario(_world(self.symbols[:orders]) | scenario)
        self.clear_daily_usage()

    def clear_daily_usage(self, account: str = "default") -> None:
        """Delete the account's daily usage, so that the next plan is the first of its day."""
        key = {":pk": {"S": f"ACCOUNT#{account}"}, ":day": {"S": "DAY#"}}
        usage = self.aws.dynamodb.query(
            TableName=EXECUTION_TABLE,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :day)",
            ExpressionAttributeValues=key,
            ProjectionExpression="pk, sk",
        )
        for item in usage["Items"]:
            self.aws.dynamodb.delete_item(TableName=EXECUTION_TABLE, Key=item)


def _world(symbols: Sequence[str]) -> dict[str, Any]:
    return {
        "account": {"cash": "100000000"},
        "clock": {"sessions": "always_open"},
        "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in symbols},
        "positions": [{"symbol": symbol, "qty": str(HELD)} for symbol in symbols],
        "rate_limit": {"trading": NO_LIMIT, "data": NO_LIMIT},
    }


@contextmanager
def stage(symbols: Sequence[str], accounts: Sequence[str] = (), **config: object) -> Iterator[Stage]:
    """Run the stage for the block.

    Args:
        symbols: symbols that the broker quotes and the account holds.
        accounts: names of accounts with a secret each; by default the only account is ``default``.
        config: fields of ``ExecutionConfig``.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = folder / "world.json"
        scenario.write_text(json.dumps(_world(symbols)), encoding="utf-8")
        with local_aws(folder) as aws, paper_broker(folder, scenario) as broker:
            no_limit = {"rate_limit_per_minute": NO_LIMIT, "max_messages_per_minute": NO_LIMIT}
            settings = no_limit | {"order_style": "marketable_limit", "lease_wait_seconds": 0} | config
            for account in accounts:
                aws.put_secret(f"alpaca/{account}", api_key="local", secret_key="local")  # noqa: S106 - no real key
            keys = {"ALPACA_API_KEY": "local", "ALPACA_SECRET_KEY": "local"}
            environment = aws.environment() | broker.environment()
            environment |= {
                "ALPACA_SECRET_NAME": "alpaca/{account}",
                "EXECUTION_CONFIG": json.dumps(settings),
                "POWERTOOLS_TRACE_DISABLED": "true",
                "POWERTOOLS_LOG_LEVEL": "INFO",
            } | (dict.fromkeys(keys, "") if accounts else keys)
            use = AwsUse()
            with patch.dict(os.environ, environment):  # later measurements must not use it
                boto3.setup_default_session()
                cast("Any", boto3.DEFAULT_SESSION).events.register("before-call", use.record)
                bootstrap.telemetry.cache_clear()
                bootstrap.service.cache_clear()
                yield Stage(broker, aws, symbols, OUTPUT, use, environment)
