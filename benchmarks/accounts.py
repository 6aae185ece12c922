"""Many accounts and several consumers at the same time: the cost of a plan, and whether accounts affect each other.

Run with ``python -m benchmarks.accounts [--accounts 10 100 1000] [--consumers 2] [--json]``.

Each consumer is a process with the real handler that takes one message at a time, as Lambda does. It has its own paper
broker, which is reset for every account, because at Alpaca no account sees the orders of another. All consumers share
one local AWS: the tables and the FIFO queue with one message group per account. The figures of a plan are the CPU time
and the requests of its **consumer**; the emulators share this machine, so wall time means less. In every round one
account is stuck, because another run holds its lease: its plan, and no other, must be redelivered.
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
from tests.support.lambda_context import FakeContext
from tests.support.local_aws import EXECUTION_TABLE, LocalAws, local_aws

ORDERS = 8
"""Orders of each plan: two sells and six buys."""
STUCK = "stuck"
_QUEUE = "plans.fifo"
_SYMBOLS = [f"S{i}" for i in range(ORDERS)]
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Plan:
    """Time and requests of one delivery."""

    account: str
    cpu_seconds: float
    wall_seconds: float
    database_requests: int
    broker_requests: int
    done: bool
    duplicate_orders: int


@dataclass(frozen=True, slots=True)
class Round:
    """Figures of one round."""

    accounts: int
    consumers: int
    wall_seconds: float
    plans_per_second: float
    cpu_ms_per_plan: float
    plans_per_core_second: float
    database_requests: list[int]
    """Minimum and maximum per plan."""
    broker_requests: list[int]
    median_ms: float
    p99_ms: float
    redelivery_requested: list[str]
    """Accounts whose plan must be redelivered: only the stuck one."""
    duplicate_orders: int
    """Orders whose client order ID the broker received before; must be zero."""


def measure(accounts: int, consumers: int) -> Round:
    """Run one round: one plan per account, executed by this many consumers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = folder / "scenario.json"
        scenario.write_text(json.dumps(_scenario()))
        with local_aws(folder) as aws, contextlib.ExitStack() as stack:
            brokers = [stack.enter_context(paper_broker(folder, scenario)) for _ in range(consumers)]
            environments = [aws.environment() | broker.environment() for broker in brokers]
            url = _prepare(aws, [f"account-{i}" for i in range(accounts)])
            started = time.monotonic()
            plans = _consume(environments, url, expected=accounts)
            wall = time.monotonic() - started
    return _summary(plans, consumers, wall)


def _scenario(account: str = STUCK) -> dict[str, Any]:
    return {
        "account": {"cash": "92000", "account_number": f"PA-{account}"},
        "clock": {"sessions": "always_open"},
        "assets": [{"symbol": symbol, "fractionable": True} for symbol in _SYMBOLS],
        "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in _SYMBOLS},
        "positions": [{"symbol": symbol, "qty": "10"} for symbol in _SYMBOLS],
        "rate_limit": {"trading": 10_000_000, "data": 10_000_000},
    }


def _prepare(aws: LocalAws, accounts: Sequence[str]) -> str:
    """Create the secrets, the queue with a plan per account, and the stuck account; return the URL of the queue."""
    now = datetime.now(UTC)
    journal = DynamoJournal(aws.dynamodb, EXECUTION_TABLE, SystemClock())
    journal.acquire(STUCK, "another run", now=now, expires_at=now + timedelta(hours=1))
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


def _context() -> Any:
    ends_at = time.monotonic() + _SECONDS
    return FakeContext(lambda: ends_at - time.monotonic(), aws_request_id=uuid.uuid4().hex)


def _consume(environments: Sequence[dict[str, str]], url: str, expected: int) -> list[Plan]:
    context = multiprocessing.get_context("spawn")
    with context.Pool(len(environments)) as pool:
        per_consumer = pool.starmap(_work, [(environment, url) for environment in environments], chunksize=1)
    plans = [plan for plans in per_consumer for plan in plans]
    if sum(plan.done for plan in plans) != expected:
        raise AssertionError(f"{sum(plan.done for plan in plans)} of {expected} plans were executed")
    return plans


def _work(environment: dict[str, str], url: str) -> list[Plan]:
    os.environ |= environment | {
        "POWERTOOLS_TRACE_DISABLED": "true",
        "ALPACA_SECRET_NAME": "alpaca/{account}",
        "EXECUTION_CONFIG": '{"order_style": "marketable_limit", "lease_wait_seconds": 0}',  # without waits
    }
    aws_requests: list[str] = []
    broker_requests: list[str] = []
    sqs = _counting("sqs", [])
    with _quiet():
        telemetry = Telemetry()
    count = telemetry.count_request

    def count_request(path: str) -> None:
        broker_requests.append(path)
        count(path)

    telemetry.count_request = count_request  # type: ignore[method-assign]
    service = bootstrap.build(load_settings(), telemetry, clients=lambda name: _counting(name, aws_requests))
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
        account = message["Attributes"]["MessageGroupId"]
        broker.load_scenario(_scenario(account))
        aws_requests.clear()
        broker_requests.clear()
        wall, cpu = time.monotonic(), time.process_time()
        with _quiet():
            response = handle({"Records": [record]}, _context(), telemetry, lambda: service)
        done = not response["batchItemFailures"]
        taken = (time.process_time() - cpu, time.monotonic() - wall)
        orders = broker.orders()
        filled = sum(order["status"] == "filled" for order in orders)
        if done and filled != ORDERS:
            raise AssertionError(f"{filled} of {ORDERS} orders were filled, so the measurement is invalid")
        duplicates = len(orders) - len({order["client_order_id"] for order in orders})
        plans.append(Plan(account, *taken, _database(aws_requests), len(broker_requests), done, duplicates))
        if done:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return plans


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy for loopback
    session.headers.update({"APCA-API-KEY-ID": "benchmark", "APCA-API-SECRET-KEY": "benchmark"})
    return session


def _counting(name: str, requests_made: list[str]) -> Any:
    client = boto3.client(name, config=client_config())
    client.meta.events.register("before-call", lambda model, **_: requests_made.append(f"{name}.{model.name}"))
    return client


def _database(aws_requests: Sequence[str]) -> int:
    return sum(name.startswith("dynamodb.") for name in aws_requests)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):  # the log and the metrics
        yield


# --- summary ----------------------------------------------------------------------------------------------


def _summary(plans: Sequence[Plan], consumers: int, wall: float) -> Round:
    done = [plan for plan in plans if plan.done]
    cpu = statistics.fmean(plan.cpu_seconds for plan in done)
    walls = sorted(plan.wall_seconds for plan in done)
    return Round(
        accounts=len(done),
        consumers=consumers,
        wall_seconds=round(wall, 1),
        plans_per_second=round(len(done) / wall, 1),
        cpu_ms_per_plan=round(cpu * 1000, 1),
        plans_per_core_second=round(1 / cpu, 1),
        database_requests=[min(p.database_requests for p in done), max(p.database_requests for p in done)],
        broker_requests=[min(p.broker_requests for p in done), max(p.broker_requests for p in done)],
        median_ms=round(statistics.median(walls) * 1000),
        p99_ms=round(walls[min(len(walls) - 1, int(len(walls) * 0.99))] * 1000),
        redelivery_requested=sorted({plan.account for plan in plans if not plan.done}),
        duplicate_orders=sum(plan.duplicate_orders for plan in plans),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--consumers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rounds = [asdict(measure(accounts, arguments.consumers)) for accounts in arguments.accounts]
    if arguments.json:
        print(json.dumps(rounds, indent=2))
        return
    for figures in rounds:
        print("  ".join(f"{name} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
