"""Many accounts and several consumers side by side: what a plan costs, and whether accounts are in each other's way.

Run with ``python -m benchmarks.accounts [--accounts 10 100 1000] [--consumers 2] [--json]``.

Each consumer is a process with the real handler, taking one message at a time as Lambda does. Beside it stands a paper
broker, which begins anew for every account, as no account sees another one's orders at Alpaca. All of them share one
local AWS (tables and the FIFO queue, message group = account). What is told of a plan is the **consumer's** CPU time
and its requests: the emulators share this machine, so that time on the wall says less. In every round one account is
stuck (its lease is held by somebody else): its plan must be deferred, and nobody else's.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import requests

from rebalance_executor import bootstrap
from rebalance_executor.adapters.aws import client_config
from rebalance_executor.adapters.clock import SystemClock
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.handler import handle
from rebalance_executor.settings import load_settings
from rebalance_executor.telemetry import Telemetry
from tests.support.broker_server import BrokerServer, paper_broker
from tests.support.local_aws import EXECUTION_TABLE, LocalAws, local_aws

ORDERS = 8
"""Orders of each plan: two sells and six buys."""
STUCK = "stuck"
_QUEUE = "plans.fifo"
_SYMBOLS = [f"S{i}" for i in range(ORDERS)]
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Plan:
    """What one delivery took."""

    account: str
    cpu_seconds: float
    wall_seconds: float
    database_requests: int
    broker_requests: int
    done: bool
    orders_twice: int


@dataclass(frozen=True, slots=True)
class Round:
    """All accounts of one size."""

    accounts: int
    consumers: int
    wall_seconds: float
    plans_a_second: float
    cpu_ms_a_plan: float
    plans_a_core_second: float
    database_requests: list[int]
    """Of a plan: the least and the most."""
    broker_requests: list[int]
    median_ms: float
    p99_ms: float
    deferred: list[str]
    """Accounts whose plan was deferred; must be the stuck one."""
    orders_twice: int
    """Client order ids that the broker saw more than once; must be none."""


def measure(accounts: int, consumers: int) -> Round:
    """One round: a plan for each account, taken from the queue by this many processes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = folder / "world.json"
        scenario.write_text(json.dumps(_world()))
        with local_aws(folder) as aws, contextlib.ExitStack() as stack:
            brokers = [stack.enter_context(paper_broker(folder, scenario)) for _ in range(consumers)]
            environments = [aws.environment() | broker.environment() for broker in brokers]
            url = _prepared(aws, [f"account-{i}" for i in range(accounts)])
            begun = time.monotonic()
            plans = _consume(environments, url, expected=accounts)
            wall = time.monotonic() - begun
    return _summary(plans, consumers, wall)


def _world() -> dict[str, Any]:
    return {
        "account": {"cash": "92000"},
        "clock": {"sessions": "always_open"},
        "assets": [{"symbol": symbol, "fractionable": True} for symbol in _SYMBOLS],
        "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in _SYMBOLS},
        "positions": [{"symbol": symbol, "qty": "10"} for symbol in _SYMBOLS],
        "rate_limit": {"trading": 10_000_000, "data": 10_000_000},
    }


def _prepared(aws: LocalAws, accounts: Sequence[str]) -> str:
    """Secrets, the queue with a plan for each account, and one account whose lease is somebody else's."""
    now = datetime.now(UTC)
    journal = DynamoJournal(aws.dynamodb, EXECUTION_TABLE, SystemClock())
    journal.acquire(STUCK, "somebody else", now=now, expires_at=now + timedelta(hours=1))
    attributes: Any = {"FifoQueue": "true", "VisibilityTimeout": str(6 * _SECONDS)}
    url = aws.sqs.create_queue(QueueName=_QUEUE, Attributes=attributes)["QueueUrl"]
    middle = len(accounts) // 2
    for account in [*accounts[:middle], STUCK, *accounts[middle:]]:
        aws.put_secret(f"alpaca/{account}", api_key=account, secret_key=account)
        message_id = uuid.uuid4().hex
        aws.sqs.send_message(
            QueueUrl=url,
            MessageBody=json.dumps(_plan(account)),
            MessageGroupId=account,
            MessageDeduplicationId=message_id,
        )
    return url


def _plan(account: str) -> dict[str, Any]:
    def item(symbol: str, action: str, dollars: int) -> dict[str, str | int]:
        weights = {"current_weight": "0.01", "target_weight": str((1000 + dollars) / 100_000)}
        values = {"target_value": str(1000 + dollars), "current_value": "1000", "trade_amount": str(dollars)}
        return {
            "symbol": symbol,
            "action": action,
            "priority": 1,
            "weight_diff": str(dollars / 100_000),
            **weights,
            **values,
        }

    sells = [item(symbol, "SELL", -1000) for symbol in _SYMBOLS[:2]]
    buys = [item(symbol, "BUY", 1000) for symbol in _SYMBOLS[2:]]
    return {
        "plan_id": f"plan-{account}",
        "correlation_id": account,
        "causation_id": account,
        "account": account,
        "timestamp": datetime.now(UTC).isoformat(),
        "items": sells + buys,
        "total_portfolio_value": "100000",
        "total_trade_value": "8000",
    }


# --- a consumer -------------------------------------------------------------------------------------------


class _Context:
    """What the handler asks of Lambda's context."""

    function_name = "benchmark"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:benchmark"

    def __init__(self) -> None:
        self.aws_request_id = uuid.uuid4().hex
        self._ends = time.monotonic() + _SECONDS

    def get_remaining_time_in_millis(self) -> int:
        return int((self._ends - time.monotonic()) * 1000)


def _consume(environments: Sequence[dict[str, str]], url: str, expected: int) -> list[Plan]:
    context = multiprocessing.get_context("spawn")
    with context.Pool(len(environments)) as pool:
        found = pool.starmap(_work, [(environment, url) for environment in environments], chunksize=1)
    plans = [plan for one in found for plan in one]
    if sum(plan.done for plan in plans) != expected:
        raise AssertionError(f"{sum(plan.done for plan in plans)} of {expected} plans were executed")
    return plans


def _work(environment: dict[str, str], url: str) -> list[Plan]:
    os.environ |= environment | {
        "POWERTOOLS_TRACE_DISABLED": "true",
        "ALPACA_SECRET_NAME": "alpaca/{account}",
        "EXECUTION_CONFIG": '{"order_style": "marketable_limit", "lease_wait_seconds": 0}',  # no wait is measured
    }
    counted: list[str] = []
    asked: list[str] = []
    sqs = _counting("sqs", [])
    with _quiet():
        told = Telemetry()
    count = told.count_request

    def count_request(path: str) -> None:
        asked.append(path)
        count(path)

    told.count_request = count_request  # type: ignore[method-assign]
    service = bootstrap.build(load_settings(), told, clients=lambda name: _counting(name, counted))
    plans = []
    broker = BrokerServer(environment["ALPACA_TRADING_URL"], _session())
    while messages := sqs.receive_message(QueueUrl=url, AttributeNames=["MessageGroupId"]).get("Messages"):
        (message,) = messages
        record = {
            "messageId": message["MessageId"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "eventSource": "aws:sqs",
        }
        broker.load_scenario(_world())
        counted.clear()
        asked.clear()
        wall, cpu = time.monotonic(), time.process_time()
        with _quiet():
            answer = handle({"Records": [record]}, _Context(), told, lambda: service)  # type: ignore[arg-type]
        done = not answer["batchItemFailures"]
        taken = (time.process_time() - cpu, time.monotonic() - wall)
        orders = broker.orders()
        filled = sum(order["status"] == "filled" for order in orders)
        if done and filled != ORDERS:
            raise AssertionError(f"{filled} of {ORDERS} orders were filled: this would measure something else")
        twice = len(orders) - len({order["client_order_id"] for order in orders})
        account = message["Attributes"]["MessageGroupId"]
        plans.append(Plan(account, *taken, _database(counted), len(asked), done, twice))
        if done:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return plans


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy on the way to this machine
    session.headers.update({"APCA-API-KEY-ID": "benchmark", "APCA-API-SECRET-KEY": "benchmark"})
    return session


def _counting(name: str, counted: list[str]) -> Any:
    client = boto3.client(name, config=client_config())
    client.meta.events.register("before-call", lambda model, **_: counted.append(f"{name}.{model.name}"))
    return client


def _database(counted: Sequence[str]) -> int:
    return sum(name.startswith("dynamodb.") for name in counted)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):  # log and metrics
        yield


# --- what came of it --------------------------------------------------------------------------------------


def _summary(plans: Sequence[Plan], consumers: int, wall: float) -> Round:
    done = [plan for plan in plans if plan.done]
    cpu = statistics.fmean(plan.cpu_seconds for plan in done)
    walls = sorted(plan.wall_seconds for plan in done)
    return Round(
        accounts=len(done),
        consumers=consumers,
        wall_seconds=round(wall, 1),
        plans_a_second=round(len(done) / wall, 1),
        cpu_ms_a_plan=round(cpu * 1000, 1),
        plans_a_core_second=round(1 / cpu, 1),
        database_requests=[min(p.database_requests for p in done), max(p.database_requests for p in done)],
        broker_requests=[min(p.broker_requests for p in done), max(p.broker_requests for p in done)],
        median_ms=round(statistics.median(walls) * 1000),
        p99_ms=round(walls[min(len(walls) - 1, int(len(walls) * 0.99))] * 1000),
        deferred=sorted({plan.account for plan in plans if not plan.done}),
        orders_twice=sum(plan.orders_twice for plan in plans),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--consumers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rounds = [measure(accounts, asked.consumers) for accounts in asked.accounts]
    if asked.json:
        print(json.dumps([asdict(found) for found in rounds], indent=2))
        return
    for found in rounds:
        print("  ".join(f"{name} {value}" for name, value in asdict(found).items()))


if __name__ == "__main__":
    main()
