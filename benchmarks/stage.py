"""A stage for measurements: the handler in this process, broker and AWS in processes of their own, all on loopback."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, cast

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


@dataclass(slots=True)
class Stage:
    """A warm handler and its surroundings."""

    broker: BrokerServer
    aws: LocalAws
    symbols: Sequence[str]
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
        """The result of this plan; what would go to the log is thrown away."""
        with redirect_stdout(StringIO()):
            return lambda_handler(document, cast("Any", Context()))

    def begin(self, orders: int, **scenario: Any) -> None:
        """A broker as on the first day, with the positions of a plan of this size; further keys of its scenario."""
        self.broker.begin(_world(self.symbols[:orders]) | scenario)
        self.forget_the_day()

    def forget_the_day(self) -> None:
        """Empty the account's control book: the next plan is the first of its day, and duplicates nothing."""
        key = {":pk": {"S": "ACCOUNT#default"}, ":day": {"S": "DAY#"}}
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
def stage(symbols: Sequence[str], **config: object) -> Iterator[Stage]:
    """The stage, until the end of the block; ``config`` overrides fields of ``ExecutionConfig``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = folder / "world.json"
        scenario.write_text(json.dumps(_world(symbols)), encoding="utf-8")
        with local_aws(folder) as aws, paper_broker(folder, scenario) as broker:
            no_limit = {"rate_limit_per_minute": NO_LIMIT, "max_messages_per_minute": NO_LIMIT}
            settings = no_limit | {"order_style": "marketable_limit"} | config
            os.environ.update(aws.environment() | broker.environment())
            os.environ.update(
                ALPACA_API_KEY="local",
                ALPACA_SECRET_KEY="local",  # noqa: S106 - opens nothing
                EXECUTION_CONFIG=json.dumps(settings),
                POWERTOOLS_TRACE_DISABLED="true",
                POWERTOOLS_LOG_LEVEL="INFO",
            )
            bootstrap.service.cache_clear()
            yield Stage(broker, aws, symbols)
