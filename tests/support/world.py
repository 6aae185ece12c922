"""The whole program in one process: real handler, Powertools, alpaca-py; AWS by moto; the paper broker; one clock."""

from __future__ import annotations

import io
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from unittest.mock import patch

import boto3
from aws_lambda_powertools import Metrics

from paper_broker.server import PaperBroker
from rebalance_executor import bootstrap
from rebalance_executor.adapters.aws import client_config
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_executor.execution.kill_switch import set_by_operator
from rebalance_executor.handler import handle
from rebalance_executor.service import Service
from rebalance_executor.settings import Settings
from rebalance_executor.telemetry import NAMESPACE, SERVICE, Telemetry, new_logger
from tests.support.aws import aws, create_execution_table
from tests.support.builders import NOW, a_plan_document, an_item_document

EXECUTION, IDEMPOTENCY, BUCKET, BUS = "execution", "idempotency", "plans", "results"
_CONTAINERS = itertools.count(1)
KEYS = {"api_key": "key", "secret_key": "secret"}


class WorldClock:
    """The program's clock, which moves the broker's when the program waits. Nothing really sleeps."""

    def __init__(self, broker: PaperBroker) -> None:
        self._broker = broker
        self.slept = timedelta()
        self._to_come: list[tuple[datetime, Callable[[], object]]] = []

    def now(self) -> datetime:
        """The broker's time: both clocks agree."""
        return self._broker.app.clock()

    def sleep(self, span: timedelta) -> None:
        """Let the time pass."""
        assert span >= timedelta(), "nobody waits backwards"
        self.slept += span
        self.pass_time(span.total_seconds())

    def in_seconds(self, seconds: float) -> datetime:
        """A time to come."""
        return self.now() + timedelta(seconds=seconds)

    def pass_time(self, seconds: float) -> None:
        """Let the time pass without anybody waiting."""
        until = self.in_seconds(seconds)
        while self._to_come and self._to_come[0][0] <= until:
            at, happen = self._to_come.pop(0)
            self._advance(at)
            happen()
        self._advance(until)

    def after(self, seconds: float, happen: Callable[[], object]) -> None:
        """Let something happen in so many seconds from now."""
        self._to_come.append((self.in_seconds(seconds), happen))
        self._to_come.sort(key=lambda entry: entry[0])

    def then(self, seconds: float, change: dict[str, Any]) -> None:
        """Let the broker's world change in so many seconds from now."""
        self.after(seconds, lambda: self._broker.change(change))

    def _advance(self, until: datetime) -> None:
        self._broker.change({"clock": {"advance_seconds": (until - self.now()).total_seconds()}})


@dataclass(frozen=True, slots=True)
class FakeContext:
    """Lambda's context: a deadline on the world's clock."""

    clock: WorldClock
    ends_at: datetime
    aws_request_id: str = "request"
    function_name: str = "rebalance"
    function_version: str = "$LATEST"
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:rebalance"
    memory_limit_in_mb: int = 512
    log_group_name: str = "/aws/lambda/rebalance"
    log_stream_name: str = "local"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation would be ended."""
        return max(0, int((self.ends_at - self.clock.now()).total_seconds() * 1000))


@dataclass(slots=True)
class HandlerWorld:
    """One deployed program with its broker and its AWS account."""

    broker: PaperBroker
    clock: WorldClock
    settings: Settings
    session: boto3.Session
    lines: io.StringIO = field(default_factory=io.StringIO)
    aws_requests: Counter[str] = field(default_factory=Counter)
    _service: Service | None = None
    _telemetry: Telemetry | None = None

    # --- drive -------------------------------------------------------------------------------------------

    def deliver(self, event: object, *, seconds: float = 600) -> dict[str, Any]:
        """Invoke the handler, with ``seconds`` until its time-out."""
        if self._service is None or self._telemetry is None:
            self.restart()
        context = FakeContext(self.clock, self.clock.now() + timedelta(seconds=seconds))
        return handle(
            event, cast("Any", context), cast("Telemetry", self._telemetry), lambda: cast("Service", self._service)
        )

    @property
    def service(self) -> Service:
        """The program itself."""
        return cast("Service", self._service)

    def restart(self) -> None:
        """A new container: nothing in memory is left."""
        # Loggers of one name share their first stream: each container's has a name of its own.
        logger = new_logger(f"{SERVICE}-{next(_CONTAINERS)}", self.lines)
        self._telemetry = Telemetry(logger=logger, metrics=Metrics(namespace=NAMESPACE, service=SERVICE))
        self._service = bootstrap.build(self.settings, self._telemetry, clock=self.clock, clients=self._client)

    @property
    def risk_store(self) -> DynamoRiskStore:
        """The account's control book, as an operator reads and sets it."""
        return DynamoRiskStore(self.session.client("dynamodb"), EXECUTION, self.clock)

    def set_kill_switch(self, state: TradingState, reason: str = "drill") -> None:
        """Set the kill switch by hand."""
        set_by_operator(self.risk_store, "default", KillSwitchRecord(state, "Ada", reason, self.clock.now()))

    def delete_idempotency_records(self) -> None:
        """Lose every record of the front door, as an expiry or a mistake would."""
        table = self.session.resource("dynamodb").Table(IDEMPOTENCY)
        for item in table.scan()["Items"]:
            table.delete_item(Key={"id": item["id"]})

    def _client(self, name: str) -> Any:
        client = self.session.client(cast("Any", name), config=client_config())
        client.meta.events.register(
            "before-call", lambda model, **_: self.aws_requests.update([f"{name}.{model.name}"])
        )
        return client

    # --- look --------------------------------------------------------------------------------------------

    @property
    def orders(self) -> list[dict[str, Any]]:
        """Every order at the broker, oldest first."""
        return self.broker.app.exchange.list_orders(status="all", direction="asc", limit=500)

    def filled(self, symbol: str) -> Decimal:
        """Shares that the broker has filled of this symbol, whatever the side."""
        return sum((Decimal(o["filled_qty"]) for o in self.orders if o["symbol"] == symbol), Decimal())

    @property
    def log(self) -> list[dict[str, Any]]:
        """The structured log so far."""
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        return [line for line in self.log if line["message"] == event]


@contextmanager
def a_world(
    *,
    cash: str = "100000",
    positions: Mapping[str, str] | None = None,
    prices: Mapping[str, str] | None = None,
    whole_shares: Sequence[str] = (),
    config: Mapping[str, object] | None = None,
    **scenario: Any,
) -> Iterator[HandlerWorld]:
    """A world at ``NOW`` with these dollars and positions.

    Args:
        cash: dollars.
        positions: shares by symbol.
        prices: mid price by symbol; the quotes stand a cent to either side. AAA, BBB and CCC at $100 by default.
        whole_shares: symbols that are not fractionable.
        config: fields of ``ExecutionConfig``. Marketable limits unless it says otherwise: most scenarios are about
            what happens to an order and not about where it is priced.
        scenario: further keys of the paper broker's scenario.
    """
    quoted = {name: Decimal(price) for name, price in (prices or dict.fromkeys(("AAA", "BBB", "CCC"), "100")).items()}
    cent = Decimal("0.01")
    world = {
        "account": {"cash": cash, **scenario.pop("account", {})},
        "clock": {"mode": "virtual", "now": NOW.isoformat(), "sessions": "always_open"},
        "assets": [{"symbol": name, "fractionable": name not in whole_shares} for name in [*quoted, "SPY"]],
        "quotes": {name: {"bid": str(price - cent), "ask": str(price + cent)} for name, price in quoted.items()},
        "positions": [{"symbol": name, "qty": qty} for name, qty in (positions or {}).items()],
    } | scenario
    with aws() as session, PaperBroker(world) as broker, patch("time.sleep"):
        client = session.client("dynamodb")
        create_execution_table(client, EXECUTION)
        client.create_table(
            TableName=IDEMPOTENCY,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        session.client("s3").create_bucket(Bucket=BUCKET)
        session.client("events").create_event_bus(Name=BUS)
        session.client("secretsmanager").create_secret(Name="alpaca/default", SecretString=json.dumps(KEYS))
        settings = Settings.model_validate(
            {
                "EXECUTION_TABLE": EXECUTION,
                "IDEMPOTENCY_TABLE": IDEMPOTENCY,
                "ALPACA_SECRET_NAME": "alpaca/{account}",
                "ALPACA_TRADING_URL": broker.url,
                "ALPACA_DATA_URL": broker.url,
                "EXECUTION_CONFIG": json.dumps({"order_style": "marketable_limit"} | dict(config or {})),
                "PLAN_BUCKET": BUCKET,
                "RESULT_BUS": BUS,
            }
        )
        yield HandlerWorld(broker, WorldClock(broker), settings, session)


def buy(symbol: str, dollars: object, **fields: object) -> dict[str, Any]:
    """A BUY item."""
    return an_item_document(symbol, "BUY", dollars, **fields)


def sell(symbol: str, dollars: object, **fields: object) -> dict[str, Any]:
    """A SELL item of this many (positive) dollars."""
    return an_item_document(symbol, "SELL", f"-{dollars}", **fields)


def exit_of(symbol: str, dollars: object = "1000", **fields: object) -> dict[str, Any]:
    """A SELL of everything that is held."""
    return sell(symbol, dollars, **({"target_value": "0", "target_weight": "0"} | fields))


def hold(symbol: str) -> dict[str, Any]:
    """A HOLD item."""
    return an_item_document(symbol, "HOLD", "0")


def plan(*items: object, **fields: object) -> dict[str, Any]:
    """A plan made just now, as JSON."""
    return a_plan_document(*items, **({"timestamp": NOW.isoformat()} | fields))


def outcomes(result: Mapping[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Symbol → outcome and code."""
    return {order["symbol"]: (order["outcome"], order["error_code"]) for order in result["orders"]}
