"""The DynamoDB-specific parts of the journal: transactions, lost responses, conflicts, items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import boto3
import botocore
import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from benchmarks.write_units import request_units
from rebalance_executor.adapters.aws import client_config
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.table import Table, TransactionAction, to_attributes
from rebalance_executor.domain.errors import DayChanged, Fenced, JournalContradiction, JournalUnavailable
from rebalance_executor.domain.journal import PlanJournal, PlanPhase, PlanStart, RunRecord
from rebalance_executor.domain.risk_state import DailyUsage, Reservation, StartedPlan
from rebalance_executor.execution.ports import Lease
from rebalance_simulation.clock import SimulatedClock
from tests.support.aws import REGION, TABLE, Tampered, canceled, client_error, once
from tests.support.builders import NOW, a_plan
from tests.support.journalled import (
    ACCOUNT,
    PLAN_ID,
    filled_parent,
    incompressible,
    order_result,
    parent,
    result,
    state,
)
from tests.support.processes import LOOPBACK, free_port

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HELD_UNTIL = NOW + timedelta(minutes=10)
FINISHED = replace(state(), phase=PlanPhase.FINISHED)
TIMED_OUT = ReadTimeoutError(endpoint_url="http://table")


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def journal(tampered: Tampered, clock: SimulatedClock) -> DynamoJournal:
    return DynamoJournal(cast("DynamoDBClient", tampered), TABLE, clock)


@pytest.fixture
def lease(journal: DynamoJournal, tampered: Tampered) -> Lease:
    taken = journal.acquire(ACCOUNT, "run-1", now=NOW, expires_at=HELD_UNTIL)
    tampered.calls.clear()
    return taken


def transactions(tampered: Tampered) -> list[list[Mapping[str, Any]]]:
    return [request["TransactItems"] for name, request in tampered.calls if name == "transact_write_items"]


def sort_keys(actions: list[Mapping[str, Any]]) -> list[str]:
    requests = [next(iter(action.values())) for action in actions]
    return [(request.get("Item") or request.get("Key"))["sk"]["S"] for request in requests]


def scanned(client: DynamoDBClient) -> list[dict[str, Any]]:
    return client.scan(TableName=TABLE)["Items"]


# --- requests --------------------------------------------------------------------------------------------


def test_each_step_of_a_usual_plan_is_one_request(journal: DynamoJournal, tampered: Tampered) -> None:
    lease = journal.acquire(ACCOUNT, "run-1", now=NOW, expires_at=HELD_UNTIL)
    journal.load(ACCOUNT, PLAN_ID)
    symbols = [f"SYM{n}" for n in range(88)]
    journal.write(lease, state(), parents=map(parent, symbols), run=RunRecord(1, "run-1", NOW))
    journal.finish(lease, FINISHED, parents=map(filled_parent, symbols), result=result(), to_publish=True)
    journal.mark_published(lease, PLAN_ID, ["event"], NOW)

    assert [name for name, _ in tampered.calls] == [
        "update_item",
        "query",
        "transact_write_items",
        "transact_write_items",
        "transact_write_items",
    ]


class AcceptingClient:
    """A client that accepts every transaction; moto takes seconds for large ones."""

    def transact_write_items(self, **_request: Any) -> dict[str, Any]:
        return {}


def test_last_transaction_of_500_parents_contains_the_plan_item() -> None:
    tampered = Tampered(AcceptingClient())
    journal = DynamoJournal(cast("DynamoDBClient", tampered), TABLE, SimulatedClock())
    lease = Lease(ACCOUNT, 1, "run-1", HELD_UNTIL)
    parents = [parent(f"SYM{n}") for n in range(500)]

    journal.write(lease, state(), parents=parents, run=RunRecord(1, "run-1", NOW))

    sent = transactions(tampered)
    assert len(sent) == 6
    assert all(len(actions) <= 100 for actions in sent)
    assert all(sort_keys(actions)[0] == "LEASE" for actions in sent)
    assert ["Put" in actions[1] for actions in sent] == [False] * 5 + [True]
    assert all(sort_keys(actions)[1] == "PLAN" for actions in sent)
    written = [key for actions in sent for key in sort_keys(actions) if key.startswith("PARENT#")]
    assert sorted(written) == sorted(f"PARENT#{order.symbol}" for order in parents)


def test_transactions_stay_below_the_size_limit() -> None:
    tampered = Tampered(AcceptingClient())
    journal = DynamoJournal(cast("DynamoDBClient", tampered), TABLE, SimulatedClock())
    lease = Lease(ACCOUNT, 1, "run-1", HELD_UNTIL)
    parents = [parent(f"SYM{n}", message=incompressible(100_000)) for n in range(30)]

    journal.write(lease, state(), parents=parents)

    units = [request_units({"TransactItems": actions}) for actions in transactions(tampered)]
    assert len(units) > 1
    assert max(units) <= 410  # a partition accepts 1,000 per second


def test_large_result_is_stored_in_one_transaction(journal: DynamoJournal, lease: Lease, tampered: Tampered) -> None:
    large = result(tuple(order_result(f"SYM{n}", children=20) for n in range(500)))

    journal.finish(lease, FINISHED, parents=(), result=large)

    (actions,) = transactions(tampered)
    assert request_units({"TransactItems": actions}) < 500
    assert journal.result(ACCOUNT, PLAN_ID) == large


def test_load_reads_all_pages(journal: DynamoJournal, lease: Lease) -> None:
    parents = {f"SYM{n}": parent(f"SYM{n}", message=incompressible(100_000)) for n in range(20)}  # a page holds 1 MB
    journal.write(lease, state(), parents=parents.values())

    found = journal.load(ACCOUNT, PLAN_ID)

    assert found is not None
    assert found.parents == parents


def test_reads_are_consistent(journal: DynamoJournal, tampered: Tampered) -> None:
    journal.load(ACCOUNT, PLAN_ID)
    journal.result(ACCOUNT, PLAN_ID)
    journal.runs(ACCOUNT, PLAN_ID)

    assert [request["ConsistentRead"] for _, request in tampered.calls] == [True, True, True]


# --- items -----------------------------------------------------------------------------------------------


def test_journal_items_never_expire(journal: DynamoJournal, lease: Lease, client: DynamoDBClient) -> None:
    journal.write(lease, state(), parents=[parent()], run=RunRecord(1, "run-1", NOW))
    journal.finish(lease, FINISHED, parents=[filled_parent()], result=result())
    journal.mark_published(lease, PLAN_ID, ["event"], NOW)

    items = {(item["pk"]["S"], item["sk"]["S"]): item for item in scanned(client)}
    assert set(items) == {
        (f"ACCOUNT#{ACCOUNT}", "LEASE"),
        (f"PLAN#{ACCOUNT}#{PLAN_ID}", "PLAN"),
        (f"PLAN#{ACCOUNT}#{PLAN_ID}", "PARENT#AAPL"),
        (f"PLAN#{ACCOUNT}#{PLAN_ID}", "RUN#000001"),
        (f"PLAN#{ACCOUNT}#{PLAN_ID}", "RESULT#000"),
    }
    assert not any("expires_at" in item for item in items.values())


def test_result_with_a_deleted_piece_is_a_contradiction(
    journal: DynamoJournal, lease: Lease, client: DynamoDBClient
) -> None:
    large = result(metadata={"text": incompressible(600_000)})
    journal.finish(lease, FINISHED, parents=(), result=large)
    client.delete_item(TableName=TABLE, Key={"pk": {"S": f"PLAN#{ACCOUNT}#{PLAN_ID}"}, "sk": {"S": "RESULT#000"}})

    with pytest.raises(JournalContradiction):
        journal.result(ACCOUNT, PLAN_ID)
    with pytest.raises(JournalContradiction):
        journal.load(ACCOUNT, PLAN_ID)


# --- interrupted writes ----------------------------------------------------------------------------------


def fail_at(operation: str, number: int) -> Callable[[str, Mapping[str, Any]], None]:
    """Return a ``before`` hook: the call with this number, counted from 1, times out without effect."""
    calls = [0]

    def disturb(name: str, _request: Mapping[str, Any]) -> None:
        calls[0] += name == operation
        if name == operation and calls[0] == number:
            raise TIMED_OUT

    return disturb


def test_interrupted_first_write_starts_no_plan(journal: DynamoJournal, lease: Lease, tampered: Tampered) -> None:
    tampered.before = fail_at("transact_write_items", 2)

    with pytest.raises(JournalUnavailable):
        journal.write(lease, state(), parents=[parent(f"SYM{n}") for n in range(100)])

    assert tampered.count("transact_write_items") == 2
    assert journal.load(ACCOUNT, PLAN_ID) is None


def test_parents_of_an_interrupted_first_write_belong_to_no_other_content(
    journal: DynamoJournal, lease: Lease, tampered: Tampered
) -> None:
    tampered.before = fail_at("transact_write_items", 2)
    with pytest.raises(JournalUnavailable):
        journal.write(lease, state(), parents=[parent(f"FIRST{n}") for n in range(100)])

    journal.write(lease, state(content_hash="bb22"), parents=[parent("SECOND")])

    found = journal.load(ACCOUNT, PLAN_ID)
    assert found is not None
    assert set(found.parents) == {"SECOND"}


def test_interrupted_later_write_is_completed_by_the_next_run(
    journal: DynamoJournal, lease: Lease, tampered: Tampered
) -> None:
    symbols = [f"SYM{n}" for n in range(100)]
    journal.write(lease, state(), parents=map(parent, symbols))
    tampered.before = fail_at("transact_write_items", 2)
    with pytest.raises(JournalUnavailable):
        journal.write(lease, state(phase=PlanPhase.BUYS), parents=map(filled_parent, symbols))
    interrupted = journal.load(ACCOUNT, PLAN_ID)
    assert interrupted is not None
    assert interrupted.plan.phase is PlanPhase.SELLS

    later = journal.acquire(ACCOUNT, "run-2", now=HELD_UNTIL + timedelta(seconds=1), expires_at=HELD_UNTIL)
    journal.write(later, state(phase=PlanPhase.BUYS), parents=map(filled_parent, symbols))

    found = journal.load(ACCOUNT, PLAN_ID)
    assert found == PlanJournal(state(phase=PlanPhase.BUYS), {s: filled_parent(s) for s in symbols}, None)


# --- lost responses --------------------------------------------------------------------------------------


def test_write_can_be_repeated_after_a_lost_response(journal: DynamoJournal, lease: Lease, tampered: Tampered) -> None:
    tampered.after = once(TIMED_OUT, "transact_write_items")
    with pytest.raises(JournalUnavailable):
        journal.write(lease, state(), parents=[parent()])

    journal.write(lease, state(), parents=[parent()])

    assert journal.load(ACCOUNT, PLAN_ID) == PlanJournal(state(), {"AAPL": parent()}, None)


def test_result_is_stored_although_the_response_is_lost(
    journal: DynamoJournal, lease: Lease, tampered: Tampered
) -> None:
    tampered.after = once(TIMED_OUT, "transact_write_items")
    with pytest.raises(JournalUnavailable):
        journal.finish(lease, FINISHED, parents=(), result=result())

    journal.acquire(ACCOUNT, "run-2", now=NOW, expires_at=HELD_UNTIL)

    found = journal.load(ACCOUNT, PLAN_ID)
    assert found is not None
    assert found.result == result()


def takes_effect_before_its_retry(client: DynamoDBClient) -> Callable[[str, Mapping[str, Any]], None]:
    """Return a ``before`` hook: the transaction takes effect, and then the same transaction is sent again."""

    def disturb(name: str, request: Mapping[str, Any]) -> None:
        if name == "transact_write_items":
            client.transact_write_items(TransactItems=request["TransactItems"])

    return disturb


def test_finish_that_took_effect_before_its_retry_succeeds(
    journal: DynamoJournal, lease: Lease, tampered: Tampered, client: DynamoDBClient
) -> None:
    tampered.before = takes_effect_before_its_retry(client)

    journal.finish(lease, FINISHED, parents=[filled_parent()], result=result())

    assert journal.load(ACCOUNT, PLAN_ID) == PlanJournal(FINISHED, {"AAPL": filled_parent()}, result=result())


def test_acquire_after_a_lost_response_returns_the_same_lease(journal: DynamoJournal, tampered: Tampered) -> None:
    tampered.after = once(TIMED_OUT, "update_item")
    with pytest.raises(JournalUnavailable):
        journal.acquire(ACCOUNT, "run-1", now=NOW, expires_at=HELD_UNTIL)

    again = journal.acquire(ACCOUNT, "run-1", now=NOW, expires_at=HELD_UNTIL)

    assert again == Lease(ACCOUNT, 1, "run-1", HELD_UNTIL)
    journal.write(again, state())  # not fenced


def test_write_after_a_takeover_is_fenced(journal: DynamoJournal, lease: Lease, tampered: Tampered) -> None:
    def take_over(name: str, _request: Mapping[str, Any]) -> None:
        if name == "transact_write_items":
            tampered.before = lambda _name, _request: None
            journal.acquire(ACCOUNT, "run-2", now=HELD_UNTIL + timedelta(seconds=1), expires_at=HELD_UNTIL)

    tampered.before = take_over

    with pytest.raises(Fenced) as caught:
        journal.write(lease, state(), parents=[parent()])

    assert caught.value.context == {"epoch": 1}
    assert journal.load(ACCOUNT, PLAN_ID) is None


# --- conflicts and failures ------------------------------------------------------------------------------

BACKOFF = [timedelta(milliseconds=ms) for ms in (50, 100, 200, 400, 800)]


@pytest.mark.parametrize("reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_conflicting_transaction_is_retried(
    journal: DynamoJournal, lease: Lease, tampered: Tampered, clock: SimulatedClock, reason: str
) -> None:
    tampered.before = once(canceled(reason, "None"), "transact_write_items", times=2)

    journal.write(lease, state())

    assert clock.slept == BACKOFF[:2]
    assert journal.load(ACCOUNT, PLAN_ID) is not None


def test_retries_of_a_conflicting_transaction_are_limited(
    journal: DynamoJournal, lease: Lease, tampered: Tampered, clock: SimulatedClock
) -> None:
    tampered.before = once(canceled("TransactionConflict", "None"), "transact_write_items", times=99)

    with pytest.raises(JournalUnavailable, match="TransactionConflict"):
        journal.write(lease, state())

    assert tampered.count("transact_write_items") == 6
    assert clock.slept == BACKOFF


def test_conflicting_acquire_is_retried(journal: DynamoJournal, tampered: Tampered, clock: SimulatedClock) -> None:
    tampered.before = once(client_error("TransactionConflictException"), "update_item")

    assert journal.acquire(ACCOUNT, "run-1", now=NOW, expires_at=HELD_UNTIL).epoch == 1
    assert clock.slept == BACKOFF[:1]


def test_failed_condition_is_not_retried_despite_a_conflict(
    journal: DynamoJournal, lease: Lease, tampered: Tampered
) -> None:
    tampered.before = once(canceled("ConditionalCheckFailed", "TransactionConflict"), "transact_write_items")

    with pytest.raises(Fenced):
        journal.write(lease, state())

    assert tampered.count("transact_write_items") == 1


def test_invalid_transaction_is_not_retried(journal: DynamoJournal, lease: Lease, tampered: Tampered) -> None:
    tampered.before = once(canceled("ValidationError", "None"), "transact_write_items")

    with pytest.raises(JournalUnavailable, match="ValidationError"):
        journal.write(lease, state())

    assert tampered.count("transact_write_items") == 1


# --- named actions ---------------------------------------------------------------------------------------


@pytest.fixture
def one_more_action(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put one more action in front of every transaction."""
    transact = Table.transact

    def with_one_more(table: Table, actions: Sequence[TransactionAction]) -> None:
        item = to_attributes({"pk": "OTHER", "sk": "OTHER"})
        transact(table, [TransactionAction("other", {"Put": {"TableName": table.name, "Item": item}}), *actions])

    monkeypatch.setattr(Table, "transact", with_one_more)


@pytest.mark.usefixtures("one_more_action")
def test_lost_lease_is_fenced_with_one_more_action(journal: DynamoJournal, lease: Lease) -> None:
    journal.release(lease)

    with pytest.raises(Fenced):
        journal.write(lease, state(), parents=[parent()], start=PlanStart(a_plan(), reservation()))
    with pytest.raises(Fenced):
        journal.finish(lease, FINISHED, parents=(), result=result())


@pytest.mark.usefixtures("one_more_action")
def test_other_content_is_a_contradiction_with_one_more_action(journal: DynamoJournal, lease: Lease) -> None:
    journal.write(lease, state())

    with pytest.raises(JournalContradiction):
        journal.write(lease, state(content_hash="bb22"), start=PlanStart(a_plan(), reservation()))
    with pytest.raises(JournalContradiction):
        journal.finish(lease, replace(FINISHED, content_hash="bb22"), parents=(), result=result())


@pytest.mark.usefixtures("one_more_action")
def test_changed_day_is_day_changed_with_one_more_action(journal: DynamoJournal, lease: Lease) -> None:
    journal.write(lease, state(), start=PlanStart(a_plan(), reservation()))
    journal.finish(lease, FINISHED, parents=(), result=result())
    again = journal.acquire(ACCOUNT, "run-2", now=NOW, expires_at=HELD_UNTIL)

    with pytest.raises(DayChanged):
        journal.write(again, state(plan_id="plan-2"), start=PlanStart(a_plan(), reservation("plan-2")))


def reservation(plan_id: str = PLAN_ID) -> Reservation:
    """Return the reservation of the day's first plan."""
    unused = DailyUsage(NOW.date())
    return Reservation(unused, unused.plus(Decimal(1000), Decimal(0)), StartedPlan(plan_id, NOW, ()))


# --- unavailable -----------------------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[[DynamoJournal, Lease], object]] = {
    "acquire": lambda j, _: j.acquire(ACCOUNT, "run-2", now=NOW, expires_at=HELD_UNTIL),
    "release": lambda j, lease: j.release(lease),
    "load": lambda j, _: j.load(ACCOUNT, PLAN_ID),
    "result": lambda j, _: j.result(ACCOUNT, PLAN_ID),
    "write": lambda j, lease: j.write(lease, state()),
    "finish": lambda j, lease: j.finish(lease, FINISHED, parents=(), result=result()),
    "mark_published": lambda j, lease: j.mark_published(lease, PLAN_ID, ["event"], NOW),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize(
    "error",
    [
        TIMED_OUT,
        ConnectTimeoutError(endpoint_url="http://table"),
        NoCredentialsError(),
        client_error("ProvisionedThroughputExceededException"),
        client_error("InternalServerError"),
        client_error("AccessDeniedException"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_the_table_make_the_journal_unavailable(
    operation: Callable[[DynamoJournal, Lease], object], error: Exception
) -> None:
    def down(_name: str, _request: Mapping[str, Any]) -> None:
        raise error

    failing = Tampered(None)
    failing.before = down
    journal = DynamoJournal(cast("DynamoDBClient", failing), TABLE, SimulatedClock())

    with pytest.raises(JournalUnavailable) as caught:
        operation(journal, Lease(ACCOUNT, 1, "run-1", HELD_UNTIL))

    assert caught.value.context["table"] == TABLE
    assert caught.value.__cause__ is error


def test_closed_port_makes_the_journal_unavailable(clock: SimulatedClock) -> None:
    session = boto3.Session("test", "test", region_name=REGION)
    url = f"http://{LOOPBACK}:{free_port()}"
    client = session.client("dynamodb", endpoint_url=url, config=client_config(attempts=1))

    with pytest.raises(JournalUnavailable) as caught:
        DynamoJournal(client, TABLE, clock).load(ACCOUNT, PLAN_ID)

    client.close()
    assert isinstance(caught.value.__cause__, EndpointConnectionError)


def test_client_is_limited_to_five_seconds_and_three_attempts() -> None:
    client = boto3.Session("test", "test", region_name=REGION).client("dynamodb", config=client_config())
    config: Any = client.meta.config

    assert config.connect_timeout + config.read_timeout == 5
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
    assert config.tcp_keepalive is True
    client.close()


@pytest.mark.parametrize("client", ["moto"], indirect=True)
def test_aws_requests_name_the_program_and_the_sdk(client: DynamoDBClient) -> None:
    sent: list[str] = []
    client.meta.events.register(
        "before-send.dynamodb.*", lambda request, **_: sent.append(request.headers["User-Agent"].decode())
    )

    client.scan(TableName=TABLE)

    (header,) = sent
    assert header.startswith("rebalance-executor Boto3/")
    assert f"Botocore/{botocore.__version__}" in header
    assert "Python" not in header  # nothing is made again for each request
