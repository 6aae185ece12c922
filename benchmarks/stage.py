"""A stage for measurements: the handler in this process, broker and AWS in separate processes, all on loopback.

``first_of_day`` makes the next plan the first one of a day in a container that waited: its caches are a day old.
``warm`` makes it the second plan of a day: the caches are new.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import TextIOBase
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import boto3

from rebalance_executor import bootstrap
from rebalance_executor.adapters.clock import SystemClock
from rebalance_executor.handler import lambda_handler
from tests.support.broker_server import BrokerServer, paper_broker
from tests.support.builders import a_plan_document
from tests.support.lambda_context import FakeContext
from tests.support.local_aws import EXECUTION_TABLE, LocalAws, local_aws
from tests.support.world import buy, sell

DAY, WEEKEND = timedelta(days=1), timedelta(days=3)
LATENCY = 0.04
"""Seconds that the broker takes per request where a row says so."""

_NAIVE = "benchmarks.naive_handler"
_UNLIMITED = 10_000_000
"""Requests per minute, never reached here."""

HELD = 100
"""Shares held of each symbol, at $100 each."""
_MID = 100


CONTEXT = FakeContext(lambda: 600)
"""An invocation that has ten minutes."""


class ShiftedClock(SystemClock):
    """The real time, or the time of an earlier day while a plan of that day is executed."""

    shift = timedelta(0)

    def now(self) -> datetime:
        """Return the time of the day that is played."""
        return super().now() - self.shift


class Output(TextIOBase):
    """Log stream that takes one write per line, as Lambda does, and keeps its size and, if asked, its lines."""

    def __init__(self) -> None:
        self.lines = self.characters = 0
        self.kept: list[str] | None = None
        """Receives what is written, unless it is None."""
        self._nowhere = Path(os.devnull).open("w", buffering=1, encoding="utf-8")  # noqa: SIM115 - open until the process ends

    def keep(self) -> list[str]:
        """Return a list that receives what is written from now on."""
        self.kept = []
        return self.kept

    def write(self, text: str) -> int:
        """Count and discard ``text``."""
        self.lines += text.count("\n")
        self.characters += len(text)
        if self.kept is not None:
            self.kept.append(text)
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
    is_on: bool = True
    """False while processor time is measured: recording takes time of this process."""

    def record(self, model: Any, params: Any, **_: object) -> None:
        """Record a request that is about to be sent."""
        if not self.is_on:
            return
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
    config: dict[str, object]
    """Fields of ``ExecutionConfig``."""
    limited: bool
    """True if the rate limits of broker and program are in force."""
    _plans: int = 0
    _naive: Any = None

    def naive(self, document: dict[str, Any]) -> object:
        """Execute the plan with the naive handler."""
        with redirect_stdout(cast("Any", self.output)):  # its logger keeps the current stream
            if self._naive is None:  # it reads the variables when it is imported
                sys.modules.pop(_NAIVE, None)
                self._naive = importlib.import_module(_NAIVE)
            return self._naive.lambda_handler(document, CONTEXT)

    def plan(self, orders: int, *, sells: int | None = None, **fields: object) -> dict[str, Any]:
        """Build a new plan with this many orders; ``sells`` of them are sells, by default a third."""
        self._plans += 1
        sells = orders // 3 if sells is None else sells
        items = [
            (sell if n < sells else buy)(s, 100, current_value=HELD * _MID, target_value=HELD * _MID)
            for n, s in enumerate(self.symbols[:orders])
        ]
        own = {
            "plan_id": f"plan-{self._plans}",
            "timestamp": ShiftedClock().now().isoformat(),
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
        self.broker.load_scenario(self.world(orders) | scenario)
        self.clear_daily_usage()
        self.use.clear()
        if self.limited:  # the container waited for longer than a minute
            self.renew()

    def configure(self, **fields: object) -> None:
        """Change fields of ``ExecutionConfig`` from the next plan on."""
        self.config |= fields
        os.environ["EXECUTION_CONFIG"] = self.environment["EXECUTION_CONFIG"] = json.dumps(self.config)

    def renew(self) -> None:
        """Replace the service: its connections, and its count of the requests of this minute."""
        bootstrap.service.cache_clear()
        with redirect_stdout(cast("Any", self.output)):  # its logger keeps the current stream
            bootstrap.service()

    def first_of_day(self, orders: int, since: timedelta = DAY, **scenario: Any) -> None:
        """Execute the plan of the day before, then reset for the first plan of a day."""
        self._fill_caches(orders, since)
        self.reset(orders, **scenario)

    def warm(self, orders: int, **scenario: Any) -> None:
        """Execute a plan now, then reset for a second one of this day."""
        self._fill_caches(orders, timedelta(0))
        self.reset(orders, **scenario)

    def _fill_caches(self, orders: int, ago: timedelta) -> None:
        """Execute a plan of an earlier time, without latency and limits. The caches know nothing newer than it."""
        self.clear_caches()
        clock = {"sessions": "always_open"} | ({"now": (datetime.now(UTC) - ago).isoformat()} if ago else {})
        self.broker.load_scenario(self.world(orders) | _WITHOUT_LIMITS | {"clock": clock})
        self.clear_daily_usage()
        ShiftedClock.shift = ago
        with patch.dict(os.environ, EXECUTION_CONFIG=json.dumps(self.config | _LIFTED | _AT_ONCE)):
            self.renew()
            self.execute(self.plan(orders))
        ShiftedClock.shift = timedelta(0)
        self.renew()

    def world(self, orders: int) -> dict[str, Any]:
        """Return the broker's scenario for plans of this size."""
        return _world(self.symbols[:orders]) | ({} if self.limited else _WITHOUT_LIMITS)

    def clear_caches(self) -> None:
        """Delete what plans remember for later plans: all items of symbols and of the market."""
        self._delete(lambda pk, _: not pk.startswith(("ACCOUNT#", "BROKER#", "PLAN#")))

    def _delete(self, chosen: Callable[[str, str], bool]) -> None:
        pages = self.aws.dynamodb.get_paginator("scan").paginate(
            TableName=EXECUTION_TABLE, ProjectionExpression="pk, sk"
        )
        items = [item for page in pages for item in page["Items"]]
        for item in [item for item in items if chosen(item["pk"]["S"], item["sk"]["S"])]:
            self.aws.dynamodb.delete_item(TableName=EXECUTION_TABLE, Key=item)

    def clear_daily_usage(self) -> None:
        """Delete the daily usage of all accounts, so that the next plan is the first of its day."""
        self._delete(lambda pk, sk: pk.startswith("ACCOUNT#") and sk.startswith("DAY#"))


def _world(symbols: Sequence[str]) -> dict[str, Any]:
    return {
        "account": {"cash": "100000000"},
        "clock": {"sessions": "always_open"},
        "quotes": {symbol: {"bid": "99.99", "ask": "100.01", "volume": 1_000_000} for symbol in symbols},
        "positions": [{"symbol": symbol, "qty": str(HELD)} for symbol in symbols],
    }


_WITHOUT_LIMITS = {"rate_limit": {"trading": _UNLIMITED, "data": _UNLIMITED}}
_LIFTED: dict[str, object] = {"rate_limit_per_minute": _UNLIMITED, "max_messages_per_minute": _UNLIMITED}
_AT_ONCE: dict[str, object] = {"order_style": "marketable_limit", "lease_wait_seconds": 0}


@contextmanager
def stage(symbols: Sequence[str], *, limited: bool = False, **config: object) -> Iterator[Stage]:
    """Run the stage for the block.

    Args:
        symbols: symbols that the broker quotes and the account holds.
        limited: leave the rate limits in force, 200 requests per minute; by default nothing ever waits for them.
        config: fields of ``ExecutionConfig``.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = folder / "world.json"
        scenario.write_text(json.dumps(_world(symbols) | _WITHOUT_LIMITS), encoding="utf-8")
        with local_aws(folder) as aws, paper_broker(folder, scenario) as broker:
            settings = _AT_ONCE | ({} if limited else _LIFTED) | config
            environment = aws.environment() | broker.environment()
            environment |= {
                "ALPACA_API_KEY": "local",
                "ALPACA_SECRET_KEY": "local",
                "ALPACA_SECRET_NAME": "alpaca/{account}",
                "EXECUTION_CONFIG": json.dumps(settings),
                "POWERTOOLS_TRACE_DISABLED": "true",
                "POWERTOOLS_LOG_LEVEL": "INFO",
            }
            use = AwsUse()
            clock = patch.object(bootstrap, "SystemClock", ShiftedClock)
            with patch.dict(os.environ, environment), clock:  # later measurements must not use them
                boto3.setup_default_session()
                cast("Any", boto3.DEFAULT_SESSION).events.register("before-call", use.record)
                bootstrap.telemetry.cache_clear()
                bootstrap.service.cache_clear()
                yield Stage(broker, aws, symbols, OUTPUT, use, environment, settings, limited)
