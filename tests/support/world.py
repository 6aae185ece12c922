"""The whole program in one process: the real handler, moto for AWS and the simulated broker over HTTP, on one clock.

Time is simulated. When the program waits, the clock advances at once, and the simulated broker reads the same clock.
"""

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
from typing import Any, NoReturn, cast
from unittest.mock import patch

import boto3
import pytest
from aws_lambda_powertools import Metrics

from paper_broker.app import App
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
from rebalance_executor.tracing import Tracing
from rebalance_simulation.clock import SimulatedClock
from tests.support.aws import aws, create_execution_table, create_idempotency_table
from tests.support.builders import NOW, a_plan_document, an_item_document
from tests.support.lambda_context import FakeContext

EXECUTION, IDEMPOTENCY, BUCKET, BUS = "execution", "idempotency", "plans", "results"
KEYS = {"api_key": "key", "secret_key": "secret"}
_OPEN = frozenset({"new", "accepted", "pending_new", "partially_filled", "pending_cancel", "held"})
_REQUESTS = itertools.count(1)
_CONTAINERS = itertools.count(1)
_HALF_SPREAD = Decimal("0.01")


class Killed(BaseException):
    """The process was killed."""


def kill(*_: object) -> NoReturn:
    """Kill the process in which the program runs; also replaces a method that the program calls."""
    raise Killed


@dataclass(slots=True)
class HandlerWorld:
    """One deployed program with its broker and its AWS account."""

    broker: PaperBroker
    clock: SimulatedClock
    settings: Settings
    session: boto3.Session
    lines: io.StringIO = field(default_factory=io.StringIO)
    aws_requests: Counter[str] = field(default_factory=Counter)
    lost_acknowledgements: Counter[str] = field(default_factory=Counter)
    """Number of the next AWS requests whose answers are lost after their effect, by operation; the SDK repeats them."""
    _service: Service | None = None
    _telemetry: Telemetry | None = None

    # --- drive -------------------------------------------------------------------------------------------

    def deliver(self, event: object, *, seconds: float = 600, request_id: str | None = None) -> dict[str, Any]:
        """Invoke the handler, with ``seconds`` until its timeout; Lambda's retries of an event share a request ID."""
        if self._service is None or self._telemetry is None:
            self.restart()
        ends_at = self.in_seconds(seconds)

        def remaining_seconds() -> float:
            return (ends_at - self.clock.now()).total_seconds()

        context = cast("Any", FakeContext(remaining_seconds, request_id or f"request-{next(_REQUESTS)}"))
        return handle(event, context, cast("Telemetry", self._telemetry), lambda: self.service)

    def deliver_and_kill(self, event: object, *, after: float = 0.1, seconds: float = 60) -> None:
        """Invoke the handler and kill its process ``after`` seconds later; then replace the container."""
        self.after(after, kill)
        with pytest.raises(Killed):
            self.deliver(event, seconds=seconds)
        self.replace_killed()

    def replace_killed(self) -> None:
        """Start a container after a kill, 90 seconds later, when the lease of the killed run has expired.

        Its idempotency claim has not: claims expire by the machine's clock, which tests do not advance.
        """
        self.restart()
        self.advance(90)

    @property
    def service(self) -> Service:
        """The service of the running container."""
        return cast("Service", self._service)

    def restart(self, tracing: Tracing | None = None) -> None:
        """Start a new container; what the old one held in memory is lost."""
        # Loggers of one name share their first stream, so each container's logger gets its own name.
        logger = new_logger(f"{SERVICE}-{next(_CONTAINERS)}", self.lines)
        metrics = Metrics(namespace=NAMESPACE, service=SERVICE)
        self._telemetry = Telemetry(logger=logger, metrics=metrics, tracing=tracing)
        self._service = bootstrap.build(self.settings, self._telemetry, clock=self.clock, clients=self._client)

    @property
    def risk_store(self) -> DynamoRiskStore:
        """The account's risk state, as an operator reads and sets it."""
        return DynamoRiskStore(self.session.client("dynamodb"), EXECUTION, self.clock)

    def set_kill_switch(self, state: TradingState, reason: str = "drill") -> None:
        """Set the kill switch as the operator Ada."""
        set_by_operator(self.risk_store, "default", KillSwitchRecord(state, "Ada", reason, self.clock.now()))

    def delete_idempotency_records(self) -> None:
        """Delete every idempotency record, as an expiry or a mistake would."""
        table = self.session.resource("dynamodb").Table(IDEMPOTENCY)
        for item in table.scan()["Items"]:
            table.delete_item(Key={"id": item["id"]})

    def _client(self, name: str) -> Any:
        client = self.session.client(cast("Any", name), config=client_config())
        client.meta.events.register(
            "before-call", lambda model, **_: self.aws_requests.update([f"{name}.{model.name}"])
        )
        client.meta.events.register_first("needs-retry", self._delay_if_lost)
        return client

    def _delay_if_lost(self, operation: Any, **_: object) -> float | None:
        """Return the delay after which the SDK repeats a request whose answer was lost."""
        if not self.lost_acknowledgements[operation.name]:
            return None
        self.lost_acknowledgements[operation.name] -= 1
        return 0.0

    # --- time --------------------------------------------------------------------------------------------

    def in_seconds(self, seconds: float) -> datetime:
        """Return the time ``seconds`` from now."""
        return self.clock.now() + timedelta(seconds=seconds)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass outside an invocation."""
        self.clock.advance(timedelta(seconds=seconds))

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Call ``action`` in ``seconds`` seconds."""
        self.clock.call_later(timedelta(seconds=seconds), action)

    def change_after(self, seconds: float, change: dict[str, Any]) -> None:
        """Change the simulated broker's scenario in ``seconds`` seconds."""
        self.after(seconds, lambda: self.broker.change(change))

    @property
    def slept(self) -> float:
        """Seconds that the program has waited so far."""
        return sum(self.clock.slept, timedelta()).total_seconds()

    # --- observe -----------------------------------------------------------------------------------------

    @property
    def orders(self) -> list[dict[str, Any]]:
        """Every order at the broker, oldest first."""
        return self.broker.app.exchange.list_orders(status="all", direction="asc", limit=500)

    def filled(self, symbol: str) -> Decimal:
        """Return the shares of ``symbol`` that the broker has filled, whatever the side."""
        return sum((Decimal(o["filled_qty"]) for o in self.orders if o["symbol"] == symbol), Decimal())

    @property
    def log(self) -> list[dict[str, Any]]:
        """The structured log so far."""
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one event."""
        return [line for line in self.log if line["message"] == event]


@contextmanager
def a_world(
    *,
    cash: str = "100000",
    positions: Mapping[str, str] | None = None,
    prices: Mapping[str, str] | None = None,
    whole_shares: Sequence[str] = (),
    at: datetime = NOW,
    sessions: str = "always_open",
    config: Mapping[str, object] | None = None,
    **scenario: Any,
) -> Iterator[HandlerWorld]:
    """Yield a world with these dollars and positions; at the end, check what holds after every scenario.

    Args:
        cash: dollars.
        positions: shares by symbol.
        prices: mid price by symbol, quoted one cent to either side. AAA, BBB and CCC at $100 by default.
        whole_shares: symbols that are not fractionable.
        at: the time at which the world starts.
        sessions: the simulated broker's trading hours: ``nyse``, ``always_open`` or ``always_closed``.
        config: fields of ``ExecutionConfig``. The default order style is marketable limits, because most scenarios
            are about what happens to an order and not about its price.
        scenario: further keys of the simulated broker's scenario.
    """
    mids = {name: Decimal(price) for name, price in (prices or dict.fromkeys(("AAA", "BBB", "CCC"), "100")).items()}
    full_scenario = {
        "account": {"cash": cash, **scenario.pop("account", {})},
        "clock": {"sessions": sessions},
        "assets": [{"symbol": name, "fractionable": name not in whole_shares} for name in [*mids, "SPY"]],
        "quotes": {name: _quote(mid) for name, mid in mids.items()},
        "positions": [{"symbol": name, "qty": qty} for name, qty in (positions or {}).items()],
    } | scenario
    clock = SimulatedClock(at)
    with aws() as session, paper_broker_on(clock, full_scenario) as broker, patch("time.sleep"):
        _provision(session)
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
        world = HandlerWorld(broker, clock, settings, session)
        yield world
        _check_invariants(world)


def _quote(mid: Decimal) -> dict[str, object]:
    return {"bid": str(mid - _HALF_SPREAD), "ask": str(mid + _HALF_SPREAD), "volume": 1_000_000}


@contextmanager
def paper_broker_on(clock: SimulatedClock, scenario: Mapping[str, Any]) -> Iterator[PaperBroker]:
    """Yield a simulated broker in this process that reads ``clock``."""
    with PaperBroker({}) as broker:
        broker.app = App(scenario, clock.now)
        yield broker


def _check_invariants(world: HandlerWorld) -> None:
    """Assert: no client order ID twice, at most one open order per symbol, no secret in the log."""
    client_order_ids = Counter(order["client_order_id"] for order in world.orders)
    assert all(count == 1 for count in client_order_ids.values()), client_order_ids
    open_orders = Counter(order["symbol"] for order in world.orders if order["status"] in _OPEN)
    assert all(count == 1 for count in open_orders.values()), open_orders
    assert not any(f'"{secret}"' in world.lines.getvalue() for secret in KEYS.values())


def _provision(session: boto3.Session) -> None:
    client = session.client("dynamodb")
    create_execution_table(client, EXECUTION)
    create_idempotency_table(client, IDEMPOTENCY)
    s3 = session.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    session.client("events").create_event_bus(Name=BUS)
    session.client("secretsmanager").create_secret(Name="alpaca/default", SecretString=json.dumps(KEYS))


def buy(symbol: str, dollars: object, **fields: object) -> dict[str, Any]:
    """Build a BUY item as JSON."""
    return an_item_document(symbol, "BUY", dollars, **fields)


def sell(symbol: str, dollars: object, **fields: object) -> dict[str, Any]:
    """Build a SELL item as JSON; ``dollars`` is positive."""
    return an_item_document(symbol, "SELL", f"-{dollars}", **fields)


def exit_of(symbol: str, dollars: object = "1000", **fields: object) -> dict[str, Any]:
    """Build a SELL item that closes the position."""
    return sell(symbol, dollars, **({"target_value": "0", "target_weight": "0"} | fields))


def hold(symbol: str) -> dict[str, Any]:
    """Build a HOLD item."""
    return an_item_document(symbol, "HOLD", "0")


def plan(*items: object, **fields: object) -> dict[str, Any]:
    """Build a plan as JSON, with ``NOW`` as its timestamp."""
    return a_plan_document(*items, **({"timestamp": NOW.isoformat()} | fields))


def outcomes(result: Mapping[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Return outcome and code by symbol."""
    return {order["symbol"]: (order["outcome"], order["error_code"]) for order in result["orders"]}
