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
from tests.support.local_aws import LocalAws, local_aws
from tests.support.world import buy, sell

NO_LIMIT = 10_000_000
"""Requests a minute that nothing here reaches: what is measured is the program and not its waiting."""


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
        items = [sell(s, 100) if n < orders // 3 else buy(s, 100) for n, s in enumerate(chosen)]
        now = datetime.now(UTC).isoformat()
        return a_plan_document(*items, **({"plan_id": f"plan-{self._plans}", "timestamp": now} | fields))

    def execute(self, document: dict[str, Any]) -> dict[str, Any]:
        """The result of this plan; what would go to the log is thrown away."""
        with redirect_stdout(StringIO()):
            return lambda_handler(document, cast("Any", Context()))

    def begin(self, orders: int, **scenario: Any) -> None:
        """A broker as on the first day, with the positions of a plan of this size; further keys of its scenario."""
        self.broker.begin(_world(self.symbols[:orders]) | scenario)


def _world(symbols: Sequence[str]) -> dict[str, Any]:
    return {
        "account": {"cash": "100000000"},
        "clock": {"sessions": "always_open"},
        "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in symbols},
        "positions": [{"symbol": symbol, "qty": "100000"} for symbol in symbols],
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
            settings = {
                "rate_limit_per_minute": NO_LIMIT,
                "order_style": "marketable_limit",
                "lease_wait_seconds": 0,
            } | config
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
