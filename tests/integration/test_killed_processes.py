"""Handler processes that are killed with SIGKILL, with the broker over HTTP and a local DynamoDB.

A gate between the process and the broker or AWS holds one request, before or after its effect. While it holds the
request, the process that sent it is killed. A new process with the same message then finishes the plan: like a queue,
the test redelivers the message until it is accepted. The outcome must not depend on the moment of the kill: exact
positions and dollars, each order once, and a result that matches the broker's orders.

The lease of a killed run lasts until shortly after its invocation would have timed out. The module therefore kills all
processes before it redelivers the first message, so that their leases expire together.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import requests

from paper_broker.server import PaperBroker
from tests.support.broker_server import BrokerServer
from tests.support.containers import Container, Containers, Raised, containers
from tests.support.gate import Gate, gate
from tests.support.local_aws import IDEMPOTENCY_TABLE, LocalAws, local_aws
from tests.support.world import buy, exit_of, plan, sell

KILLED_RUN_SECONDS = 8
"""Timeout of the invocations that are killed: 6.4 s to reach the request, and a lease that expires soon."""
REDELIVERY_SECONDS = 60
"""Upper bound for redeliveries, well beyond the end of every lease in this module."""

CONFIG = {
    "order_style": "marketable_limit",
    "child_wait_seconds": "0.3",
    "tick_seconds": "0.05",
    "connect_timeout_seconds": "0.5",
    "read_timeout_seconds": "3",
    "opening_wait_seconds": "0",
    "lease_wait_seconds": "0",
}

HELD = {"AAA": "30", "BBB": "20", "CCC": "10"}
SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")
SHARES = {"AAA": 20, "BBB": 10, "CCC": 10, "DDD": 15, "EEE": 10, "FFF": 5}
"""Shares that the plan trades, at a midpoint of $100. Sells fill at 99.99, buys at 100.01."""
POSITIONS = {"AAA": "10", "BBB": "10", "DDD": "15", "EEE": "10", "FFF": "5"}
CASH = Decimal("1000") + 40 * Decimal("99.99") - 30 * Decimal("100.01")


def a_plan(plan_id: str) -> dict[str, Any]:
    """Return a plan with three sells, one of them a full exit, and three buys."""
    return plan(
        *(sell("AAA", 2000), sell("BBB", 1000), exit_of("CCC")),
        *(buy("DDD", 1500, priority=2), buy("EEE", 1000, priority=3), buy("FFF", 500, priority=4)),
        plan_id=plan_id,
        timestamp=datetime.now(UTC).isoformat(),
    )


def message(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with which SQS delivers the plan."""
    record = {
        "messageId": f"message-{document['plan_id']}",
        "receiptHandle": "receipt",
        "body": json.dumps(document),
        "attributes": {"ApproximateReceiveCount": "1", "MessageGroupId": "default"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:plans.fifo",
        "awsRegion": "us-east-1",
    }
    return {"Records": [record]}


def is_accepted(answer: Mapping[str, Any]) -> bool:
    """Return whether SQS would delete the message."""
    return answer == {"batchItemFailures": []}


# --- environment --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Environment:
    """Local AWS, and the source of handler processes."""

    aws: LocalAws
    containers: Containers
    published: set[str] = field(default_factory=set)
    """IDs of plans whose result event was received."""

    def is_published(self, plan_id: str) -> bool:
        """Return whether the result of this plan was published on the bus."""
        self.published.update(self.aws.published_plan_ids())
        return plan_id in self.published


@dataclass(frozen=True, slots=True)
class Account:
    """One account with its own broker."""

    name: str
    broker: BrokerServer
    environment: Environment

    def container(self, *, broker: str | None = None, aws: str | None = None) -> Container:
        """Start a process for this account. ``broker`` and ``aws`` replace the direct addresses, for a gate."""
        return self.environment.containers.start(
            ACCOUNT=self.name,
            ALPACA_TRADING_URL=broker or self.broker.url,
            ALPACA_DATA_URL=self.broker.url,
            AWS_ENDPOINT_URL=aws or self.environment.aws.url,
        )

    def cash(self) -> Decimal:
        """Return the account's cash at the broker, in dollars."""
        return Decimal(self.broker.session.get(f"{self.broker.url}/v2/account", timeout=10).json()["cash"])


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    folder = tmp_path_factory.mktemp("environment")
    variables = {
        "ALPACA_API_KEY": "test",
        "ALPACA_SECRET_KEY": "test",
        "EXECUTION_CONFIG": json.dumps(CONFIG),
    }
    with local_aws(folder) as aws, containers(folder, **(aws.environment() | variables)) as started:
        yield Environment(aws, started)


_NUMBERS = itertools.count(1)


def an_account(environment: Environment, stack: ExitStack, **scenario: Any) -> Account:
    """Return a new account with its own broker, the positions of ``HELD`` and $1,000."""
    number = next(_NUMBERS)
    world = {
        "account": {"cash": "1000", "account_number": f"PA{number}"},
        "clock": {"mode": "real", "sessions": "always_open"},
        "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in SYMBOLS},
        "positions": [{"symbol": symbol, "qty": qty} for symbol, qty in HELD.items()],
    }
    broker = stack.enter_context(PaperBroker(world | scenario))
    session = stack.enter_context(requests.Session())
    session.trust_env = False
    session.headers.update({"APCA-API-KEY-ID": "test", "APCA-API-SECRET-KEY": "test"})
    return Account(f"account-{number}", BrokerServer(broker.url, session), environment)


# --- moments of a kill ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moment:
    """A request that the gate holds while its sender is killed."""

    pattern: str
    nth: int = 1
    after: bool = False
    at_aws: bool = False
    first_sell_rests: bool = False
    """The first sell rests until it is canceled."""
    freeze: bool = False
    """Freeze the process instead of killing it."""


SUBMISSION = "^POST /v2/orders "
CANCEL = "^DELETE /v2/orders/"
JOURNAL = "TransactWriteItems"
RESULT = 'TransactWriteItems .*"RESULT#'
PUBLISHED = r"AWSEvents\.PutEvents"
RECORDED = rf'UpdateItem .*"{IDEMPOTENCY_TABLE}".*"COMPLETED"'

MOMENTS = {
    "before the plan is journalled": Moment(JOURNAL, at_aws=True),
    "after the plan is journalled": Moment(JOURNAL, at_aws=True, after=True),
    "before the first submission reaches the broker": Moment(SUBMISSION),
    "after the first submission, its response lost": Moment(SUBMISSION, after=True),
    "in the middle of the sells": Moment(SUBMISSION, nth=2, after=True),
    "before a cancel reaches the broker": Moment(CANCEL, first_sell_rests=True),
    "after a cancel, its response lost": Moment(CANCEL, after=True, first_sell_rests=True),
    "between a cancel and the order that follows": Moment(SUBMISSION, nth=4, first_sell_rests=True),
    "at the gate between sells and buys": Moment("^GET /v2/account ", nth=2),
    "in the middle of the buys": Moment(SUBMISSION, nth=5),
    "in the middle of the buys, a response lost": Moment(SUBMISSION, nth=5, after=True),
    "after all fills, before the result is written": Moment(RESULT, at_aws=True),
    "after the result is written": Moment(RESULT, at_aws=True, after=True),
    "after the result is published": Moment(PUBLISHED, at_aws=True, after=True),
    "before the response": Moment(RECORDED, at_aws=True, after=True),
}

LATE = {
    "after the kill, before the next run": Moment(SUBMISSION),
    "after the next run has sent it again": Moment(SUBMISSION),
}
"""When the broker receives a submission that was in transit while its sender was killed."""

FROZEN = {
    "after a submission, before it reads the response": Moment(SUBMISSION, nth=2, after=True, freeze=True),
    "before a journal write": Moment(JOURNAL, nth=2, at_aws=True, freeze=True),
}
"""Moments at which a process is frozen until another one has finished its plan."""


@dataclass(frozen=True, slots=True)
class StoppedRun:
    """An account whose process was killed or frozen at a moment, with the gate that held its request."""

    account: Account
    document: dict[str, Any]
    container: Container
    gate: Gate
    was_reached: bool

    def redeliver(self) -> Container:
        """Redeliver the message to one new process until it is accepted."""
        container = self.account.container()
        deliver_until_accepted(container, self.document)
        return container


def deliver_until_accepted(container: Container, document: Mapping[str, Any]) -> int:
    """Deliver the message until it is accepted, for a bounded time; return the number of failed deliveries."""
    until = time.monotonic() + REDELIVERY_SECONDS
    for failed in itertools.count():
        if is_accepted(container.invoke(message(document))):
            return failed
        assert time.monotonic() < until, f"{document['plan_id']} was never accepted"
        time.sleep(0.2)  # like the visibility timeout of a queue
    raise AssertionError("unreachable")


def stop_at(moment: Moment, environment: Environment, stack: ExitStack) -> StoppedRun:
    """Execute a plan in a new process, and kill or freeze it at the moment."""
    resting = {"symbol": "AAA", "nth": 1, "behaviour": "never"}
    account = an_account(environment, stack, **({"fills": [resting]} if moment.first_sell_rests else {}))
    upstream = environment.aws.url if moment.at_aws else account.broker.url
    held = stack.enter_context(gate(upstream, moment.pattern, nth=moment.nth, after=moment.after))
    through_gate = {"aws": held.url} if moment.at_aws else {"broker": held.url}
    container, document = account.container(**through_gate), a_plan(f"plan-of-{account.name}")
    container.start(message(document), seconds=KILLED_RUN_SECONDS)
    was_reached = held.is_reached()
    if was_reached:
        container.freeze() if moment.freeze else container.kill()
    return StoppedRun(account, document, container, held, was_reached)


@pytest.fixture(scope="module")
def stopped_runs(environment: Environment) -> Iterator[Mapping[str, StoppedRun]]:
    """Stop one process at each moment."""
    with ExitStack() as stack:
        yield {name: stop_at(moment, environment, stack) for name, moment in (MOMENTS | LATE | FROZEN).items()}


# --- checks ----------------------------------------------------------------------------------------------


def assert_executed_once(account: Account, document: Mapping[str, Any], container: Container) -> None:
    """Check positions, dollars, one order each, and a published result that matches the broker and does not change."""
    orders = account.broker.orders()

    result = container.invoke(document)

    assert account.broker.positions() == POSITIONS
    assert account.cash() == CASH
    assert_each_order_once(orders)
    assert filled_shares(orders) == SHARES
    assert result["status"] == "success", result
    assert_result_matches(result, orders)
    assert account.broker.orders() == orders, "another delivery sent an order"
    assert account.environment.is_published(result["plan_id"])


def assert_each_order_once(orders: list[dict[str, Any]]) -> None:
    """Check that every client order ID is unique and no order is open."""
    assert max(Counter(order["client_order_id"] for order in orders).values()) == 1
    assert {order["status"] for order in orders} <= {"filled", "canceled"}


def filled_shares(orders: list[dict[str, Any]]) -> dict[str, Decimal]:
    """Return the filled shares by symbol."""
    filled: dict[str, Decimal] = {}
    for order in orders:
        filled[order["symbol"]] = filled.get(order["symbol"], Decimal()) + Decimal(order["filled_qty"])
    return filled


def assert_result_matches(result: Mapping[str, Any], orders: list[dict[str, Any]]) -> None:
    """Check that the result contains exactly the broker's orders, with their fills."""
    reported = {child["client_order_id"]: child for order in result["orders"] for child in order["children"]}
    assert reported.keys() == {order["client_order_id"] for order in orders}
    for order in orders:
        child = reported[order["client_order_id"]]
        assert child["order_id"] == order["id"]
        assert Decimal(child["filled_qty"]) == Decimal(order["filled_qty"])
        assert child["filled_avg_price"] == order["filled_avg_price"]
    assert {order["symbol"]: Decimal(order["shares"]) for order in result["orders"]} == SHARES


def require_reached(stopped: StoppedRun) -> StoppedRun:
    """Return the stopped run; fail if its process did not reach the moment."""
    assert stopped.was_reached, f"the run did not reach the moment: {stopped.account.broker.orders()}"
    return stopped


@pytest.mark.parametrize("moment", MOMENTS)
def test_plan_whose_process_is_killed_executes_once(stopped_runs: Mapping[str, StoppedRun], moment: str) -> None:
    stopped = require_reached(stopped_runs[moment])

    container = stopped.redeliver()

    assert_executed_once(stopped.account, stopped.document, container)


def test_submission_that_outlives_its_sender_is_found_and_not_repeated(stopped_runs: Mapping[str, StoppedRun]) -> None:
    """The broker receives the order after the process that sent it was killed."""
    stopped = require_reached(stopped_runs["after the kill, before the next run"])
    stopped.gate.open()
    (late,) = stopped.account.broker.orders()

    container = stopped.redeliver()

    assert_executed_once(stopped.account, stopped.document, container)
    assert late["id"] in {order["id"] for order in stopped.account.broker.orders()}


def test_submission_that_arrives_after_its_repetition_is_rejected_by_the_broker(
    stopped_runs: Mapping[str, StoppedRun],
) -> None:
    """The next run sends the order with the same client order ID before the first submission arrives."""
    stopped = require_reached(stopped_runs["after the next run has sent it again"])
    container = stopped.redeliver()

    stopped.gate.open()

    assert_executed_once(stopped.account, stopped.document, container)


@pytest.mark.parametrize("moment", FROZEN)
def test_process_that_resumes_after_its_lease_sends_nothing(
    stopped_runs: Mapping[str, StoppedRun], moment: str
) -> None:
    """Another process has finished the plan while the first one was frozen."""
    stopped = require_reached(stopped_runs[moment])
    successor = stopped.redeliver()
    orders = stopped.account.broker.orders()

    stopped.gate.open()
    stopped.container.thaw()
    answer = stopped.container.response()

    assert not is_accepted(answer)
    assert stopped.account.broker.orders() == orders
    assert_executed_once(stopped.account, stopped.document, successor)


# --- races ---------------------------------------------------------------------------------------------------

ROUNDS = {"AAA": "DDD", "BBB": "EEE", "CCC": "FFF"}
"""Symbol sold → symbol bought by each plan. They differ, because a repeated order is denied."""


@pytest.fixture
def account(environment: Environment) -> Iterator[Account]:
    """Provide an account without plans."""
    with ExitStack() as stack:
        yield an_account(environment, stack)


def a_small_plan(plan_id: str, sold: str = "AAA", bought: str = "DDD") -> dict[str, Any]:
    """Return a plan that sells one share and buys one."""
    return plan(sell(sold, 100), buy(bought, 100, priority=2), plan_id=plan_id, timestamp=datetime.now(UTC).isoformat())


def warm_up(*processes: Container) -> None:
    """Send a first request to each process, so that all start a race at the same time."""
    for container in processes:
        container.invoke({"health": True})


def result_or_error(container: Container) -> dict[str, Any] | str:
    """Return the result of the running invocation, or the kind of error that requests redelivery."""
    try:
        result: dict[str, Any] = container.response()
    except Raised as error:
        return error.kind
    return result


def symbols_sent(account: Account) -> list[str]:
    """Return the symbols of all submissions, including repeated ones, in the sequence of their arrival."""
    log = account.broker.session.get(f"{account.broker.url}/admin/requests", timeout=10).json()["log"]
    return [r["client_order_id"].split("-")[-2] for r in log if (r["method"], r["path"]) == ("POST", "/v2/orders")]


def test_two_processes_racing_for_one_plan_send_one_set_of_orders(account: Account) -> None:
    racers = [account.container(), account.container()]
    warm_up(*racers)
    for sold, bought in ROUNDS.items():
        document = a_small_plan(f"race-for-{sold}", sold, bought)

        for racer in racers:
            racer.start(document)
        answers = [result_or_error(racer) for racer in racers]

        results = [answer for answer in answers if isinstance(answer, dict)]
        assert results, answers
        assert {answer for answer in answers if isinstance(answer, str)} <= {"LeaseHeld"}
        assert [racer.invoke(document) for racer in racers] == [results[0]] * 2
        assert symbols_sent(account)[-2:] == [sold, bought]
    assert len(symbols_sent(account)) == 2 * len(ROUNDS)


def test_lease_stops_a_second_process_when_the_idempotency_record_is_lost(account: Account) -> None:
    document = a_plan("claim-lost")
    with gate(account.broker.url, SUBMISSION, nth=2) as held:
        first, second = account.container(broker=held.url), account.container()
        first.start(document)
        assert held.is_reached()
        delete_idempotency_records(account.environment.aws)

        with pytest.raises(Raised) as raised:
            second.invoke(document)

        assert raised.value.kind == "LeaseHeld"
        held.open()
        first.response()
    assert_executed_once(account, document, second)


def test_two_processes_racing_for_one_account_run_one_after_the_other(account: Account) -> None:
    racers = [account.container(), account.container()]
    warm_up(*racers)
    documents = [a_small_plan("one", "AAA", "DDD"), a_small_plan("two", "BBB", "EEE")]

    for racer, document in zip(racers, documents, strict=True):
        racer.start(message(document))
    accepted = [is_accepted(racer.response()) for racer in racers]
    assert any(accepted)
    for racer, document in zip(racers, documents, strict=True):
        deliver_until_accepted(racer, document)

    assert_in_turns(account, "AAA", "DDD", "BBB", "EEE")


def test_plan_waits_for_the_running_plan_of_its_account(account: Account) -> None:
    """The queue gets the second plan back and redelivers it after the first one has finished."""
    with gate(account.broker.url, SUBMISSION, nth=2) as held:
        first, second = account.container(broker=held.url), account.container()
        first.start(message(a_small_plan("one", "AAA", "DDD")))
        assert held.is_reached()

        early = second.invoke(message(a_small_plan("two", "BBB", "EEE")))

        assert not is_accepted(early)
        assert symbols_sent(account) == ["AAA"]
        held.open()
        assert is_accepted(first.response())
    deliver_until_accepted(second, a_small_plan("two", "BBB", "EEE"))
    assert_in_turns(account, "AAA", "DDD", "BBB", "EEE")


def assert_in_turns(account: Account, *symbols: str) -> None:
    """Check that the two plans' orders do not interleave, and that each was sent once and filled."""
    sent = symbols_sent(account)
    assert sent in ([*symbols], [*symbols[2:], *symbols[:2]])
    orders = account.broker.orders()
    assert_each_order_once(orders)
    assert filled_shares(orders) == dict.fromkeys(symbols, 1)
    assert account.broker.positions() == {"AAA": "29", "BBB": "19", "CCC": "10", "DDD": "1", "EEE": "1"}
    assert account.cash() == Decimal("1000") + 2 * Decimal("99.99") - 2 * Decimal("100.01")


def delete_idempotency_records(aws: LocalAws) -> None:
    """Delete every idempotency record."""
    for item in aws.dynamodb.scan(TableName=IDEMPOTENCY_TABLE)["Items"]:
        aws.dynamodb.delete_item(TableName=IDEMPOTENCY_TABLE, Key={"id": item["id"]})
