"""A stage for measurements: the handler in this process, broker and AWS in processes of their own, all on loopback."""

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
from tests.support.local_aws import EXECUTION_TABLE, LocalAws, local_aws
from tests.support.world import buy, sell

NO_LIMIT = 10_000_000
"""Requests a minute that nothing here reaches: what is measured is the program and not its waiting."""

HELD = 100
"""Shares held of each symbol, at $100 each."""
_MID = 100


class Context:
    """Lambda's context, with ten minutes left."""

    aws_request_id = "benchmark"
    function_name = "benchmark"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:benchmark"
    memory_limit_in_mb = 512

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Milliseconds."""
        return 600_000


class Output(TextIOBase):
    """Takes the log as Lambda does, a write a line, and keeps nothing of it but its size."""

    def __init__(self) -> None:
        self.lines = self.characters = 0
        self._nowhere = Path(os.devnull).open("w", buffering=1, encoding="utf-8")  # noqa: SIM115 - as long as the process

    def write(self, text: str) -> int:
        """Take some text."""
        self.lines += text.count("\n")
        self.characters += len(text)
        return self._nowhere.write(text)


OUTPUT = Output()
"""One for the process: Powertools' logger keeps the stream that it was first given."""


@dataclass(slots=True)
class AwsUse:
    """What the program asked of AWS."""

    requests: Counter[str] = field(default_factory=Counter)
    """By service and operation, as ``dynamodb.UpdateItem``."""
    rows: list[int] = field(default_factory=list)
    """Bytes of every row written to DynamoDB in a transaction."""
    other_actions: int = 0
    """Conditions and updates in transactions."""

    def heard(self, model: Any, params: Any, **_: object) -> None:
        """One request is about to be sent."""
        self.requests[f"{model.service_model.service_name}.{model.name}"] += 1
        if model.name == "TransactWriteItems":
            for action in json.loads(params["body"])["TransactItems"]:
                if "Put" in action:
                    self.rows.append(_row_bytes(action["Put"]["Item"]))
                else:
                    self.other_actions += 1

    def clear(self) -> None:
        """Begin anew."""
        self.requests.clear()
        self.rows.clear()
        self.other_actions = 0

    @property
    def database_requests(self) -> int:
        """Requests to DynamoDB."""
        return sum(n for name, n in self.requests.items() if name.startswith("dynamodb."))


def _row_bytes(item: dict[str, dict[str, str]]) -> int:
    """Bytes of a row as DynamoDB counts them: names and values."""
    return sum(len(name) + len(value) for name, attribute in item.items() for value in attribute.values())


@dataclass(slots=True)
class Stage:
    """A warm handler and its surroundings."""

    broker: BrokerServer
    aws: LocalAws
    symbols: Sequence[str]
    output: Output
    use: AwsUse
    environment: dict[str, str]
    """The variables that lead a function here."""
    _plans: int = 0

    def plan(self, orders: int, **fields: object) -> dict[str, Any]:
        """A new plan of this many orders: a third of them sells, the rest buys."""
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
        """The result of this plan, of which every order must have been filled."""
        result = self.answer(document)
        if result["orders_succeeded"] != len(document["items"]):
            raise AssertionError(f"not every order was filled: {result['status']}")
        return result

    def answer(self, document: dict[str, Any]) -> dict[str, Any]:
        """What the handler says to this plan."""
        with redirect_stdout(cast("Any", self.output)):
            return lambda_handler(document, cast("Any", Context()))

    def begin(self, orders: int, **scenario: Any) -> None:
        """A broker as on the first day, with the positions of a plan of this size; further keys of its scenario."""
        self.broker.load_scenario(_world(self.symbols[:orders]) | scenario)
        self.forget_the_day()

    def forget_the_day(self, account: str = "default") -> None:
        """Empty the account's control book: the next plan is the first of its day, and duplicates nothing."""
        key = {":pk": {"S": f"ACCOUNT#{account}"}, ":day": {"S": "DAY#"}}
        found = self.aws.dynamodb.query(
            TableName=EXECUTION_TABLE,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :day)",
            ExpressionAttributeValues=key,
            ProjectionExpression="pk, sk",
        )
        for row in found["Items"]:
            self.aws.dynamodb.delete_item(TableName=EXECUTION_TABLE, Key=row)


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
    """The stage, until the end of the block.

    Args:
        symbols: what the broker quotes and the account holds.
        accounts: names of accounts with a secret each; without them there is the one account ``default``.
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
                aws.put_secret(f"alpaca/{account}", api_key="local", secret_key="local")  # noqa: S106 - opens nothing
            keys = {"ALPACA_API_KEY": "local", "ALPACA_SECRET_KEY": "local"}
            environment = aws.environment() | broker.environment()
            environment |= {
                "ALPACA_SECRET_NAME": "alpaca/{account}",
                "EXECUTION_CONFIG": json.dumps(settings),
                "POWERTOOLS_TRACE_DISABLED": "true",
                "POWERTOOLS_LOG_LEVEL": "INFO",
            } | (dict.fromkeys(keys, "") if accounts else keys)
            use = AwsUse()
            with patch.dict(os.environ, environment):  # what is measured next must not be led here
                boto3.setup_default_session()
                cast("Any", boto3.DEFAULT_SESSION).events.register("before-call", use.heard)
                bootstrap.telemetry.cache_clear()
                bootstrap.service.cache_clear()
                yield Stage(broker, aws, symbols, OUTPUT, use, environment)
