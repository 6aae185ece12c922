"""Real processes that are really killed: handler, HTTP broker and DynamoDB, each in a process or thread of its own.

A gate on the way to the broker or to AWS holds one request, before its effect or after; while it is held, the
process that sent it gets SIGKILL. A new process with the same message then finishes the plan, as a queue would
have it: the message is delivered again until it is taken off. What must hold at the end is the same whenever the
process died: the exact positions and dollars, each order once, a result that is the broker's truth.

A dead run's lease lasts until its invocation would have ended, and a little longer. All processes are killed before
the first message is delivered again, so that their leases run out together.
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

DOOMED_SECONDS = 8
"""Time-out of the invocations that are killed: 6.4 s to come to their moment, and a lease that soon ends."""
PATIENCE_SECONDS = 60
"""A bound for redeliveries, far beyond the end of any lease here."""

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
"""What the plan trades: dollars by the mid of $100. Sells fill at 99.99, buys at 100.01."""
POSITIONS = {"AAA": "10", "BBB": "10", "DDD": "15", "EEE": "10", "FFF": "5"}
CASH = Decimal("1000") + 40 * Decimal("99.99") - 30 * Decimal("100.01")


def a_plan(plan_id: str) -> dict[str, Any]:
    """Three sells, one of them an exit, and three buys."""
    return plan(
        *(sell("AAA", 2000), sell("BBB", 1000), exit_of("CCC")),
        *(buy("DDD", 1500, priority=2), buy("EEE", 1000, priority=3), buy("FFF", 500, priority=4)),
        plan_id=plan_id,
        timestamp=datetime.now(UTC).isoformat(),
    )


def message(document: Mapping[str, Any]) -> dict[str, Any]:
    """The plan as a queue delivers it."""
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


def is_taken(answer: Mapping[str, Any]) -> bool:
    """Whether the queue would delete the message."""
    return answer == {"batchItemFailures": []}


# --- the stage -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stage:
    """AWS on this machine, and where processes come from."""

    aws: LocalAws
    containers: Containers
    published: set[str] = field(default_factory=set)
    """Plans whose result event was seen so far."""

    def is_published(self, plan_id: str) -> bool:
        """Whether the result of this plan is on the bus."""
        self.published.update(self.aws.published_plan_ids())
        return plan_id in self.published


@dataclass(frozen=True, slots=True)
class Account:
    """One account: its broker, and processes that work for it."""

    name: str
    broker: BrokerServer
    stage: Stage

    def container(self, *, broker: str | None = None, aws: str | None = None) -> Container:
        """A new process for this account; ``broker`` and ``aws`` are the ways there, straight ones unless given."""
        return self.stage.containers.start(
            ACCOUNT=self.name,
            ALPACA_TRADING_URL=broker or self.broker.url,
            ALPACA_DATA_URL=self.broker.url,
            AWS_ENDPOINT_URL=aws or self.stage.aws.url,
        )

    def cash(self) -> Decimal:
        """The broker's word."""
        return Decimal(self.broker.session.get(f"{self.broker.url}/v2/account", timeout=10).json()["cash"])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    variables = {
        "ALPACA_API_KEY": "test",
        "ALPACA_SECRET_KEY": "test",
        "EXECUTION_CONFIG": json.dumps(CONFIG),
    }
    with local_aws(folder) as aws, containers(folder, **(aws.environment() | variables)) as started:
        yield Stage(aws, started)


_NUMBERS = itertools.count(1)


def an_account(stage: Stage, stack: ExitStack, **scenario: Any) -> Account:
    """An account of its own, with the positions of ``HELD`` and $1,000, at a broker of its own."""
    world = {
        "account": {"cash": "1000"},
        "clock": {"mode": "real", "sessions": "always_open"},
        "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in SYMBOLS},
        "positions": [{"symbol": symbol, "qty": qty} for symbol, qty in HELD.items()],
    }
    broker = stack.enter_context(PaperBroker(world | scenario))
    session = stack.enter_context(requests.Session())
    session.trust_env = False
    session.headers.update({"APCA-API-KEY-ID": "test", "APCA-API-SECRET-KEY": "test"})
    return Account(f"account-{next(_NUMBERS)}", BrokerServer(broker.url, session), stage)


# --- the moments ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moment:
    """A request that is held, and its sender killed."""

    pattern: str
    nth: int = 1
    after: bool = False
    at_aws: bool = False
    first_rests: bool = False
    """Whether the first sell rests until it is cancelled."""
    freeze: bool = False
    """Whether the process is only frozen, and wakes up later."""


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
    "after the first submission, its answer lost": Moment(SUBMISSION, after=True),
    "in the middle of the sells": Moment(SUBMISSION, nth=2, after=True),
    "before a cancel reaches the broker": Moment(CANCEL, first_rests=True),
    "after a cancel, its answer lost": Moment(CANCEL, after=True, first_rests=True),
    "between a cancel and the order that follows": Moment(SUBMISSION, nth=4, first_rests=True),
    "at the gate between sells and buys": Moment("^GET /v2/account ", nth=2),
    "in the middle of the buys": Moment(SUBMISSION, nth=5),
    "in the middle of the buys, an answer lost": Moment(SUBMISSION, nth=5, after=True),
    "after all fills, before the result is written": Moment(RESULT, at_aws=True),
    "after the result is written": Moment(RESULT, at_aws=True, after=True),
    "after the result is published": Moment(PUBLISHED, at_aws=True, after=True),
    "before the answer": Moment(RECORDED, at_aws=True, after=True),
}

LATE = {
    "after its sender, and before the next run": Moment(SUBMISSION),
    "after the next run has sent it, too": Moment(SUBMISSION),
}
"""When a submission lands that was on its way while its sender was killed."""

FROZEN = {
    "with the answer to a submission": Moment(SUBMISSION, nth=2, after=True, freeze=True),
    "before its journal write": Moment(JOURNAL, nth=2, at_aws=True, freeze=True),
}
"""Where a process stands still until another one has finished its plan."""


@dataclass(frozen=True, slots=True)
class Grave:
    """An account whose process was killed (or frozen) at a moment, and what held it there."""

    account: Account
    document: dict[str, Any]
    container: Container
    gate: Gate
    was_reached: bool

    def redeliver(self) -> Container:
        """Deliver the message again, each time it is given back, to one new process until it is taken off."""
        container = self.account.container()
        deliver_until_taken(container, self.document)
        return container


def deliver_until_taken(container: Container, document: Mapping[str, Any]) -> int:
    """Deliver the message as long as it is given back, for a bounded time; tells how often it was."""
    until = time.monotonic() + PATIENCE_SECONDS
    for given_back in itertools.count():
        if is_taken(container.invoke(message(document))):
            return given_back
        assert time.monotonic() < until, f"{document['plan_id']} was never taken off the queue"
        time.sleep(0.2)  # between two deliveries, as a queue's visibility time-out
    raise AssertionError("unreachable")


def bring_to(moment: Moment, stage: Stage, stack: ExitStack) -> Grave:
    """Execute a plan in a new process, and kill (or freeze) it at the moment."""
    rests = {"symbol": "AAA", "nth": 1, "behaviour": "never"}
    account = an_account(stage, stack, **({"fills": [rests]} if moment.first_rests else {}))
    upstream = stage.aws.url if moment.at_aws else account.broker.url
    held = stack.enter_context(gate(upstream, moment.pattern, nth=moment.nth, after=moment.after))
    way = {"aws": held.url} if moment.at_aws else {"broker": held.url}
    container, document = account.container(**way), a_plan(f"plan-of-{account.name}")
    container.start(message(document), seconds=DOOMED_SECONDS)
    was_reached = held.is_reached()
    if was_reached:
        container.freeze() if moment.freeze else container.kill()
    return Grave(account, document, container, held, was_reached)


@pytest.fixture(scope="module")
def graves(stage: Stage) -> Iterator[Mapping[str, Grave]]:
    """One process stopped at each moment."""
    with ExitStack() as stack:
        yield {name: bring_to(moment, stage, stack) for name, moment in (MOMENTS | LATE | FROZEN).items()}


# --- what must hold ------------------------------------------------------------------------------------------


def assert_executed_once(account: Account, document: Mapping[str, Any], container: Container) -> None:
    """Exact positions and dollars; each order once; the result is the broker's truth, stays it, and is published."""
    orders = account.broker.orders()

    result = container.invoke(document)

    assert account.broker.positions() == POSITIONS
    assert account.cash() == CASH
    assert_each_order_once(orders)
    assert filled_shares(orders) == SHARES
    assert result["status"] == "success", result
    assert_result_is_the_truth(result, orders)
    assert account.broker.orders() == orders, "another delivery sent something"
    assert account.stage.is_published(result["plan_id"])


def assert_each_order_once(orders: list[dict[str, Any]]) -> None:
    """No client order id twice, nothing left open."""
    assert max(Counter(order["client_order_id"] for order in orders).values()) == 1
    assert {order["status"] for order in orders} <= {"filled", "canceled"}


def filled_shares(orders: list[dict[str, Any]]) -> dict[str, Decimal]:
    """Shares by symbol."""
    filled: dict[str, Decimal] = {}
    for order in orders:
        filled[order["symbol"]] = filled.get(order["symbol"], Decimal()) + Decimal(order["filled_qty"])
    return filled


def assert_result_is_the_truth(result: Mapping[str, Any], orders: list[dict[str, Any]]) -> None:
    """Every order of the broker stands in the result, with its fills, and no others."""
    told = {child["client_order_id"]: child for order in result["orders"] for child in order["children"]}
    assert told.keys() == {order["client_order_id"] for order in orders}
    for order in orders:
        child = told[order["client_order_id"]]
        assert child["order_id"] == order["id"]
        assert Decimal(child["filled_qty"]) == Decimal(order["filled_qty"])
        assert child["filled_avg_price"] == order["filled_avg_price"]
    assert {order["symbol"]: Decimal(order["shares"]) for order in result["orders"]} == SHARES


def reached(grave: Grave) -> Grave:
    """The grave, if its process came as far as it should."""
    assert grave.was_reached, f"the run never came to the moment: {grave.account.broker.orders()}"
    return grave


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_plan_whose_process_is_killed_is_executed_once(graves: Mapping[str, Grave], moment: str) -> None:
    """Given a process killed at the moment, when the message comes again, then the plan is executed exactly once."""
    grave = reached(graves[moment])

    container = grave.redeliver()

    assert_executed_once(grave.account, grave.document, container)


def test_a_submission_that_outlives_its_sender_is_found_and_not_repeated(graves: Mapping[str, Grave]) -> None:
    """Given an order that lands when nobody is left to read the answer, then the next run finds it."""
    grave = reached(graves["after its sender, and before the next run"])
    grave.gate.open()
    (landed,) = grave.account.broker.orders()

    container = grave.redeliver()

    assert_executed_once(grave.account, grave.document, container)
    assert landed["id"] in {order["id"] for order in grave.account.broker.orders()}


def test_a_submission_that_lands_after_its_repetition_is_refused_by_the_broker(graves: Mapping[str, Grave]) -> None:
    """Given a run that sent the order once more, when the first submission lands at last, then it trades nothing."""
    grave = reached(graves["after the next run has sent it, too"])
    container = grave.redeliver()

    grave.gate.open()

    assert_executed_once(grave.account, grave.document, container)


@pytest.mark.parametrize("moment", FROZEN)
def test_a_process_that_wakes_up_after_its_lease_sends_nothing(graves: Mapping[str, Grave], moment: str) -> None:
    """Given a process frozen under way and another that finished its plan, when it wakes up, then it only gives up."""
    grave = reached(graves[moment])
    successor = grave.redeliver()
    orders = grave.account.broker.orders()

    grave.gate.open()
    grave.container.thaw()
    answer = grave.container.response()

    assert not is_taken(answer)
    assert grave.account.broker.orders() == orders
    assert_executed_once(grave.account, grave.document, successor)


# --- races ---------------------------------------------------------------------------------------------------

ROUNDS = {"AAA": "DDD", "BBB": "EEE", "CCC": "FFF"}
"""What the plans of a race sell and buy: each plan other symbols, because a repeated order is denied."""


@pytest.fixture
def account(stage: Stage) -> Iterator[Account]:
    """An account that nobody has worked on."""
    with ExitStack() as stack:
        yield an_account(stage, stack)


def a_small_plan(plan_id: str, sold: str = "AAA", bought: str = "DDD") -> dict[str, Any]:
    """One share sold, one bought."""
    return plan(sell(sold, 100), buy(bought, 100, priority=2), plan_id=plan_id, timestamp=datetime.now(UTC).isoformat())


def warm(*some: Container) -> None:
    """Bring containers up to their first request, so that they start a race together."""
    for container in some:
        container.invoke({"health": True})


def result_or_denial(container: Container) -> dict[str, Any] | str:
    """The result of the invocation under way, or the kind of error that asks for another delivery."""
    try:
        result: dict[str, Any] = container.response()
    except Raised as error:
        return error.kind
    return result


def symbols_sent(account: Account) -> list[str]:
    """Symbols of all submissions, repeated ones included, in the order in which the broker got them."""
    log = account.broker.session.get(f"{account.broker.url}/admin/requests", timeout=10).json()["log"]
    return [r["client_order_id"].split("-")[-2] for r in log if (r["method"], r["path"]) == ("POST", "/v2/orders")]


def test_two_processes_that_race_for_one_plan_send_one_set_of_orders(account: Account) -> None:
    """Given one plan delivered to two processes at once, then one executes it and the other one does not."""
    racers = [account.container(), account.container()]
    warm(*racers)
    for sold, bought in ROUNDS.items():
        document = a_small_plan(f"race-for-{sold}", sold, bought)

        for racer in racers:
            racer.start(document)
        answers = [result_or_denial(racer) for racer in racers]

        results = [answer for answer in answers if isinstance(answer, dict)]
        assert results, answers
        assert {answer for answer in answers if isinstance(answer, str)} <= {"PlanInProgress", "LeaseHeld"}
        assert [racer.invoke(document) for racer in racers] == [results[0]] * 2
        assert symbols_sent(account)[-2:] == [sold, bought]
    assert len(symbols_sent(account)) == 2 * len(ROUNDS)


def test_where_the_front_door_has_forgotten_the_lease_keeps_the_second_process_out(account: Account) -> None:
    """Given a run under way and its claim lost, when the plan comes again, then the lease sends it away."""
    document = a_plan("claim-lost")
    with gate(account.broker.url, SUBMISSION, nth=2) as held:
        first, second = account.container(broker=held.url), account.container()
        first.start(document)
        assert held.is_reached()
        forget_claims(account.stage.aws)

        with pytest.raises(Raised) as refused:
            second.invoke(document)

        assert refused.value.kind == "LeaseHeld"
        held.open()
        first.response()
    assert_executed_once(account, document, second)


def test_two_processes_that_race_for_one_account_work_one_after_the_other(account: Account) -> None:
    """Given two plans of one account delivered at once, then both are executed, never both at a time."""
    racers = [account.container(), account.container()]
    warm(*racers)
    documents = [a_small_plan("one", "AAA", "DDD"), a_small_plan("two", "BBB", "EEE")]

    for racer, document in zip(racers, documents, strict=True):
        racer.start(message(document))
    taken = [is_taken(racer.response()) for racer in racers]
    assert any(taken)
    for racer, document in zip(racers, documents, strict=True):
        deliver_until_taken(racer, document)

    assert_in_turns(account, "AAA", "DDD", "BBB", "EEE")


def test_a_plan_waits_for_the_one_that_is_under_way_on_its_account(account: Account) -> None:
    """Given a run in the middle of its orders, when another plan comes, then it is given back, and executed later."""
    with gate(account.broker.url, SUBMISSION, nth=2) as held:
        first, second = account.container(broker=held.url), account.container()
        first.start(message(a_small_plan("one", "AAA", "DDD")))
        assert held.is_reached()

        early = second.invoke(message(a_small_plan("two", "BBB", "EEE")))

        assert not is_taken(early)
        assert symbols_sent(account) == ["AAA"]
        held.open()
        assert is_taken(first.response())
    deliver_until_taken(second, a_small_plan("two", "BBB", "EEE"))
    assert_in_turns(account, "AAA", "DDD", "BBB", "EEE")


def assert_in_turns(account: Account, *symbols: str) -> None:
    """One plan's two orders, then the other's; each order sent once, and filled."""
    sent = symbols_sent(account)
    assert sent in ([*symbols], [*symbols[2:], *symbols[:2]])
    orders = account.broker.orders()
    assert_each_order_once(orders)
    assert filled_shares(orders) == dict.fromkeys(symbols, 1)
    assert account.broker.positions() == {"AAA": "29", "BBB": "19", "CCC": "10", "DDD": "1", "EEE": "1"}
    assert account.cash() == Decimal("1000") + 2 * Decimal("99.99") - 2 * Decimal("100.01")


def forget_claims(aws: LocalAws) -> None:
    """Lose every record of the front door."""
    for item in aws.dynamodb.scan(TableName=IDEMPOTENCY_TABLE)["Items"]:
        aws.dynamodb.delete_item(TableName=IDEMPOTENCY_TABLE, Key={"id": item["id"]})
