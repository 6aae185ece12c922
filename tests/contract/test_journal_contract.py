"""The contract of every journal: the one on DynamoDB and the in-memory one of the unit tests.

The journal on DynamoDB runs on moto, ministack, the SQLite file and the simulated table, so that these behave alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast
from uuid import uuid4

import pytest

from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.domain.errors import DayChanged, Fenced, JournalContradiction, LeaseHeld
from rebalance_executor.domain.journal import PlanJournal, PlanPhase, PlanStart, RunEnd, RunRecord
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.domain.risk_state import (
    NEVER_SET,
    DailyUsage,
    KillSwitchRecord,
    Reservation,
    ReservedOrder,
    RiskState,
    StartedPlan,
    TradingState,
)
from rebalance_executor.execution.ports import Journal, Lease, RiskStore
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.dynamodb import SimulatedDynamoDB
from tests.support.aws import create_execution_table, dynamodb
from tests.support.builders import NOW, a_plan
from tests.support.journalled import ACCOUNT, PLAN_ID, child, filled_parent, parent, result, state
from tests.support.local_aws import LocalAws, local_aws
from tests.support.memory_journal import InMemoryJournal
from tests.support.sqlite_table import sqlite_client

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HELD_FOR = timedelta(minutes=10)
FINISHED = replace(state(), phase=PlanPhase.FINISHED)


class ReadableJournal(Journal, Protocol):
    """A journal that can list the runs of a plan."""

    def runs(self, account: str, plan_id: str) -> list[RunRecord]: ...


class TableJournal(DynamoJournal):
    """The journal on DynamoDB with the risk store in the same table."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        super().__init__(client, table, SimulatedClock())
        self.risk_store = DynamoRiskStore(client, table, SimulatedClock())


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("aws")) as aws:
        yield aws


@pytest.fixture(scope="module")
def moto() -> Iterator[DynamoDBClient]:
    with dynamodb() as client:
        yield client


@pytest.fixture(params=["memory", "simulated", "sqlite", "moto", "ministack"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReadableJournal]:
    if request.param == "memory":
        yield InMemoryJournal()
        return
    if request.param == "simulated":
        yield TableJournal(cast("DynamoDBClient", SimulatedDynamoDB(page_size=7)), "simulated")
        return
    if request.param == "sqlite":
        yield TableJournal(sqlite_client(tmp_path), "execution")
        return
    is_moto = request.param == "moto"
    client = request.getfixturevalue("moto") if is_moto else request.getfixturevalue("ministack").dynamodb
    name = f"journal-{uuid4().hex}"
    create_execution_table(client, name)
    yield TableJournal(client, name)
    client.delete_table(TableName=name)


@pytest.fixture
def risk_store(journal: InMemoryJournal | TableJournal) -> RiskStore:
    """Return the risk store that belongs to the journal."""
    return journal.risk_store


def acquire(journal: Journal, run_id: str, at: datetime = NOW, account: str = ACCOUNT) -> Lease:
    return journal.acquire(account, run_id, now=at, expires_at=at + HELD_FOR)


def loaded(journal: Journal, plan_id: str = PLAN_ID) -> PlanJournal:
    found = journal.load(ACCOUNT, plan_id)
    assert found is not None
    return found


# --- lease -----------------------------------------------------------------------------------------------


def test_free_lease_is_acquired(journal: ReadableJournal) -> None:
    assert acquire(journal, "run-1") == Lease(ACCOUNT, 1, "run-1", NOW + HELD_FOR)


def test_held_lease_names_its_holder_and_expiry(
    journal: ReadableJournal,
) -> None:
    acquire(journal, "run-1")

    with pytest.raises(LeaseHeld) as caught:
        acquire(journal, "run-2", NOW + HELD_FOR)

    assert caught.value.context["held_by"] == "run-1"
    assert datetime.fromisoformat(str(caught.value.context["held_until"])) == NOW + HELD_FOR


def test_expired_lease_is_taken_over_with_a_higher_epoch(
    journal: ReadableJournal,
) -> None:
    first = acquire(journal, "run-1")

    second = acquire(journal, "run-2", NOW + HELD_FOR + timedelta(microseconds=1))

    assert (second.run_id, second.epoch) == ("run-2", first.epoch + 1)


def test_released_lease_is_acquired_at_once(journal: ReadableJournal) -> None:
    first = acquire(journal, "run-1")
    journal.release(first)

    assert acquire(journal, "run-2").epoch == first.epoch + 1


def test_release_by_a_former_holder_does_nothing(
    journal: ReadableJournal,
) -> None:
    first = acquire(journal, "run-1")
    second = acquire(journal, "run-2", NOW + HELD_FOR * 2)

    journal.release(first)

    journal.write(second, state())  # not fenced
    with pytest.raises(LeaseHeld):
        acquire(journal, "run-3", NOW + HELD_FOR * 2)


def test_accounts_have_separate_leases(journal: ReadableJournal) -> None:
    acquire(journal, "run-1")

    assert acquire(journal, "run-2", account="other").epoch == 1


def test_repeated_acquire_returns_the_same_lease(journal: ReadableJournal) -> None:
    first = acquire(journal, "run-1")

    assert acquire(journal, "run-1") == first


# --- writing and reading ---------------------------------------------------------------------------------


def test_empty_journal_has_no_plan_and_no_result(journal: ReadableJournal) -> None:
    assert journal.load(ACCOUNT, PLAN_ID) is None
    assert journal.result(ACCOUNT, PLAN_ID) is None


def test_plan_with_parents_round_trips(journal: ReadableJournal) -> None:
    lease = acquire(journal, "run-1")
    parents = [parent("AAPL", children=(child("AAPL"),)), filled_parent("MSFT")]
    plan = state(buy_budget=Decimal("99.990"), buy_funds=Decimal("100.490"), account_number=None)

    journal.write(lease, plan, parents=parents)

    assert loaded(journal) == PlanJournal(plan, {"AAPL": parents[0], "MSFT": parents[1]}, None)


def test_write_keeps_other_parents(journal: ReadableJournal) -> None:
    lease = acquire(journal, "run-1")
    journal.write(lease, state(), parents=[parent("AAPL"), parent("MSFT")])

    journal.write(lease, state(phase=PlanPhase.BUYS), parents=[filled_parent("MSFT")])

    assert loaded(journal).plan.phase is PlanPhase.BUYS
    assert loaded(journal).parents == {"AAPL": parent("AAPL"), "MSFT": filled_parent("MSFT")}


def test_last_of_two_states_of_a_parent_is_written(journal: ReadableJournal) -> None:
    journal.write(acquire(journal, "run-1"), state(), parents=[parent("AAPL"), filled_parent("AAPL")])

    assert loaded(journal).parents == {"AAPL": filled_parent("AAPL")}


def test_repeated_write_changes_nothing(journal: ReadableJournal) -> None:
    lease = acquire(journal, "run-1")
    run = RunRecord(lease.epoch, lease.run_id, NOW)
    journal.write(lease, state(), parents=[parent()], run=run)
    before = loaded(journal)

    journal.write(lease, state(), parents=[parent()], run=run)

    assert loaded(journal) == before
    assert journal.runs(ACCOUNT, PLAN_ID) == [run]


def test_runs_are_listed_in_order(journal: ReadableJournal) -> None:
    first = acquire(journal, "run-1")
    yielded = RunRecord(first.epoch, "run-1", NOW, NOW + timedelta(seconds=9), RunEnd.YIELDED, "PLAN_YIELDED: stop")
    journal.write(first, state(), run=yielded)
    journal.release(first)
    second = acquire(journal, "run-2")
    resumed = RunRecord(second.epoch, "run-2", NOW + timedelta(seconds=10))
    journal.write(second, state(runs=2), run=resumed)

    assert journal.runs(ACCOUNT, PLAN_ID) == [yielded, resumed]


def test_plans_have_separate_parents(journal: ReadableJournal) -> None:
    lease = acquire(journal, "run-1")
    journal.write(lease, state(), parents=[parent("AAPL")])
    finish(journal, lease)
    journal.write(acquire(journal, "run-2"), state(plan_id="plan-10"), parents=[parent("MSFT")])

    assert set(loaded(journal).parents) == {"AAPL"}
    assert set(loaded(journal, "plan-10").parents) == {"MSFT"}


def test_500_parents_round_trip(journal: ReadableJournal) -> None:
    parents = {f"SYM{n}": parent(f"SYM{n}", qty=Decimal(n)) for n in range(500)}

    journal.write(acquire(journal, "run-1"), state(), parents=parents.values())

    assert loaded(journal).parents == parents


# --- fencing and contradictions --------------------------------------------------------------------------


def test_former_holder_is_fenced_and_changes_nothing(
    journal: ReadableJournal,
) -> None:
    paused = acquire(journal, "run-1")
    journal.write(paused, state(), parents=[parent()])
    acquire(journal, "run-2", NOW + HELD_FOR * 2)

    with pytest.raises(Fenced):
        journal.write(paused, state(phase=PlanPhase.BUYS), parents=[filled_parent()])
    with pytest.raises(Fenced):
        journal.finish(paused, FINISHED, parents=[filled_parent()], result=result())

    assert loaded(journal) == PlanJournal(state(), {"AAPL": parent()}, None)


def test_fenced_write_of_500_parents_writes_none(journal: ReadableJournal) -> None:
    paused = acquire(journal, "run-1")
    journal.write(paused, state(), parents=[parent("SYM1")])
    acquire(journal, "run-2", NOW + HELD_FOR * 2)

    with pytest.raises(Fenced):
        journal.write(paused, state(), parents=[filled_parent(f"SYM{n}") for n in range(500)])

    assert loaded(journal).parents == {"SYM1": parent("SYM1")}


def test_expired_lease_without_a_successor_can_write(journal: ReadableJournal) -> None:
    lease = acquire(journal, "run-1")

    journal.write(lease, state(started_at=NOW + HELD_FOR * 2))

    assert loaded(journal).plan.started_at == NOW + HELD_FOR * 2


def test_write_after_release_is_fenced(journal: ReadableJournal) -> None:
    lease = acquire(journal, "run-1")
    journal.release(lease)

    with pytest.raises(Fenced):
        journal.write(lease, state())

    assert journal.load(ACCOUNT, PLAN_ID) is None


@pytest.mark.parametrize("parents", [1, 200])
def test_write_with_other_content_is_a_contradiction(journal: ReadableJournal, parents: int) -> None:
    lease = acquire(journal, "run-1")
    journal.write(lease, state(), parents=[parent("SYM0")])
    changed = [filled_parent(f"SYM{n}") for n in range(parents)]

    with pytest.raises(JournalContradiction):
        journal.write(lease, state(content_hash="bb22"), parents=changed)
    with pytest.raises(JournalContradiction):
        journal.finish(lease, replace(FINISHED, content_hash="bb22"), parents=changed, result=result())

    assert loaded(journal) == PlanJournal(state(), {"SYM0": parent("SYM0")}, None)


# --- finishing -------------------------------------------------------------------------------------------


def test_finish_stores_result_and_parents_and_releases_the_lease(
    journal: ReadableJournal,
) -> None:
    lease = acquire(journal, "run-1")
    journal.write(lease, state(), parents=[parent()], run=RunRecord(lease.epoch, "run-1", NOW))

    journal.finish(lease, FINISHED, parents=[filled_parent()], result=result())

    assert loaded(journal) == PlanJournal(FINISHED, {"AAPL": filled_parent()}, result=result())
    assert journal.result(ACCOUNT, PLAN_ID) == result()
    assert acquire(journal, "run-2").epoch == lease.epoch + 1


def test_finish_completes_the_run(journal: ReadableJournal) -> None:
    lease = acquire(journal, "run-1")
    journal.write(lease, state(), run=RunRecord(lease.epoch, "run-1", NOW))

    journal.finish(lease, FINISHED, parents=(), result=result())

    ended = result().execution_timestamp
    assert journal.runs(ACCOUNT, PLAN_ID) == [RunRecord(lease.epoch, "run-1", NOW, ended, RunEnd.COMPLETED)]


def test_finish_without_a_write_stores_the_run(
    journal: ReadableJournal,
) -> None:
    lease = acquire(journal, "run-1")

    journal.finish(lease, FINISHED, parents=(), result=result(orders=()))

    assert loaded(journal) == PlanJournal(FINISHED, {}, result=result(orders=()))
    ended = result().execution_timestamp
    assert journal.runs(ACCOUNT, PLAN_ID) == [RunRecord(lease.epoch, "run-1", ended, ended, RunEnd.COMPLETED)]


def test_finish_stores_200_parents(journal: ReadableJournal) -> None:
    parents = {f"SYM{n}": filled_parent(f"SYM{n}") for n in range(200)}

    journal.finish(acquire(journal, "run-1"), FINISHED, parents=parents.values(), result=result())

    assert loaded(journal) == PlanJournal(FINISHED, parents, result=result())


def test_repeated_finish_changes_nothing(
    journal: ReadableJournal,
) -> None:
    lease = acquire(journal, "run-1")
    journal.finish(lease, FINISHED, parents=[filled_parent()], result=result())
    before = loaded(journal)

    journal.finish(lease, FINISHED, parents=[filled_parent()], result=result())

    assert loaded(journal) == before


def test_finish_by_a_later_run_releases_its_lease(
    journal: ReadableJournal,
) -> None:
    journal.finish(acquire(journal, "run-1"), FINISHED, parents=[filled_parent()], result=result())
    later = acquire(journal, "run-2")

    journal.finish(later, FINISHED, parents=[filled_parent()], result=result())

    assert acquire(journal, "run-3").epoch == later.epoch + 1


@pytest.mark.parametrize("parents", [1, 200])
def test_finish_with_another_result_is_a_contradiction(journal: ReadableJournal, parents: int) -> None:
    journal.finish(acquire(journal, "run-1"), FINISHED, parents=[filled_parent("SYM0")], result=result())
    later = acquire(journal, "run-2")
    other = result(status=ExecutionStatus.FAILURE, success=False)

    with pytest.raises(JournalContradiction):
        journal.finish(later, FINISHED, parents=[parent(f"SYM{n}") for n in range(parents)], result=other)

    assert loaded(journal) == PlanJournal(FINISHED, {"SYM0": filled_parent("SYM0")}, result=result())


def test_write_after_finish_is_a_contradiction(
    journal: ReadableJournal,
) -> None:
    journal.finish(acquire(journal, "run-1"), FINISHED, parents=(), result=result())
    later = acquire(journal, "run-2")

    with pytest.raises(JournalContradiction):
        journal.write(later, state(runs=2))

    assert loaded(journal).plan == FINISHED


# --- publishing ------------------------------------------------------------------------------------------


def finish_to_publish(journal: ReadableJournal, lease: Lease) -> None:
    """Finish the plan, whose result is to be published."""
    journal.finish(lease, FINISHED, parents=[filled_parent()], result=result(), to_publish=True)


AFTER_THE_LEASE = NOW + HELD_FOR * 2


def test_published_channels_are_recorded_and_the_lease_is_released(journal: ReadableJournal) -> None:
    lease = acquire(journal, "run-1")
    finish_to_publish(journal, lease)
    assert not loaded(journal).published
    with pytest.raises(LeaseHeld):
        acquire(journal, "run-2")

    journal.mark_published(lease, PLAN_ID, ["event"], NOW)

    assert loaded(journal) == PlanJournal(
        FINISHED, {"AAPL": filled_parent()}, result=result(), published=frozenset({"event"})
    )
    assert acquire(journal, "run-2") == Lease(ACCOUNT, 2, "run-2", NOW + HELD_FOR)


def test_lease_after_a_killed_run_names_the_plan_whose_result_is_not_published(journal: ReadableJournal) -> None:
    finish_to_publish(journal, acquire(journal, "run-1"))

    lease = acquire(journal, "run-2", AFTER_THE_LEASE)

    assert (lease.unfinished_plan_id, lease.has_result) == (PLAN_ID, True)
    with pytest.raises(Fenced):
        journal.write(lease, state(plan_id="plan-2"), start=a_start())


def test_publication_without_an_accepting_channel_releases_the_lease(journal: ReadableJournal) -> None:
    lease = acquire(journal, "run-1")
    finish_to_publish(journal, lease)

    journal.mark_published(lease, PLAN_ID, [], NOW)

    assert not loaded(journal).published
    assert acquire(journal, "run-2") == Lease(ACCOUNT, 2, "run-2", NOW + HELD_FOR)


def test_publication_by_a_former_holder_changes_nothing(journal: ReadableJournal) -> None:
    paused = acquire(journal, "run-1")
    finish_to_publish(journal, paused)
    lease = acquire(journal, "run-2", AFTER_THE_LEASE)

    journal.mark_published(paused, PLAN_ID, ["event"], NOW)

    assert not loaded(journal).published
    with pytest.raises(LeaseHeld):
        acquire(journal, "run-3", AFTER_THE_LEASE)
    journal.mark_published(lease, PLAN_ID, ["event"], NOW)
    assert loaded(journal).published == {"event"}


def test_channel_that_is_published_later_is_added(journal: ReadableJournal) -> None:
    first = acquire(journal, "run-1")
    finish_to_publish(journal, first)
    journal.mark_published(first, PLAN_ID, ["event"], NOW)

    journal.mark_published(acquire(journal, "run-2"), PLAN_ID, ["notice"], NOW)

    assert loaded(journal).published == {"event", "notice"}
    assert acquire(journal, "run-3").unfinished_plan_id is None


def test_repeated_finish_of_a_result_to_publish_keeps_the_lease(journal: ReadableJournal) -> None:
    lease = acquire(journal, "run-1")
    for _ in range(2):
        finish_to_publish(journal, lease)

    with pytest.raises(LeaseHeld):
        acquire(journal, "run-2")


def test_plan_without_a_result_is_not_marked_as_published(journal: ReadableJournal) -> None:
    lease = acquire(journal, "run-1")
    journal.mark_published(lease, "unknown", ["event"], NOW)
    journal.write(lease, state())

    journal.mark_published(lease, PLAN_ID, ["event"], NOW)

    assert not loaded(journal).published
    assert journal.load(ACCOUNT, "unknown") is None
    journal.write(lease, state())  # the lease is still ours


# --- risk store ------------------------------------------------------------------------------------------

TODAY = NOW.date()


def a_start(reservation: Reservation | None = None, document: RebalancePlan | None = None) -> PlanStart:
    return PlanStart(document or a_plan(), reservation)


def finish(journal: ReadableJournal, lease: Lease) -> None:
    """Finish the plan, which releases the lease."""
    journal.finish(lease, FINISHED, parents=[], result=result(orders=()))


def a_reservation(plan_id: str = PLAN_ID, before: DailyUsage | None = None, dollars: str = "1000.10") -> Reservation:
    """Return the reservation of a plan that buys AAPL for this amount in dollars."""
    usage = before or DailyUsage(TODAY)
    order = ReservedOrder("AAPL", Side.BUY, Decimal("7.2273576"), Decimal("1000.10"))
    plan = StartedPlan(plan_id, NOW, (order,))
    return Reservation(usage, usage.plus(Decimal(dollars), Decimal("0.05")), plan)


def test_initial_risk_state_is_empty_and_active(journal: ReadableJournal, risk_store: RiskStore) -> None:
    assert risk_store.load(ACCOUNT, TODAY) == RiskState(NEVER_SET, DailyUsage(TODAY), [])
    assert risk_store.kill_switch(ACCOUNT) == NEVER_SET


def test_reservation_round_trips(journal: ReadableJournal, risk_store: RiskStore) -> None:
    journal.write(acquire(journal, "run-1"), state(), parents=[parent()], start=a_start(a_reservation()))

    found = risk_store.load(ACCOUNT, TODAY)
    assert found.usage == DailyUsage(TODAY, 1, Decimal("1000.10"), Decimal("0.05"))
    assert list(found.plans) == [a_reservation().plan]


def test_repeated_reservation_counts_once(journal: ReadableJournal, risk_store: RiskStore) -> None:
    lease = acquire(journal, "run-1")
    for _ in range(2):
        journal.write(lease, state(), parents=[parent()], start=a_start(a_reservation()))

    assert risk_store.load(ACCOUNT, TODAY).usage.plans == 1


def test_reservation_on_a_changed_day_writes_nothing(journal: ReadableJournal, risk_store: RiskStore) -> None:
    lease = acquire(journal, "run-1")
    journal.write(lease, state(), start=a_start(a_reservation()))
    finish(journal, lease)

    with pytest.raises(DayChanged):
        journal.write(
            acquire(journal, "run-2"),
            state(plan_id="plan-2"),
            parents=[parent()],
            start=a_start(a_reservation("plan-2")),
        )

    assert journal.load(ACCOUNT, "plan-2") is None
    assert risk_store.load(ACCOUNT, TODAY).usage.plans == 1


def test_reservations_add_up_per_day_and_account(journal: ReadableJournal, risk_store: RiskStore) -> None:
    lease = acquire(journal, "run-1")
    journal.write(lease, state(), start=a_start(a_reservation()))
    finish(journal, lease)
    after = risk_store.load(ACCOUNT, TODAY).usage
    journal.write(acquire(journal, "run-2"), state(plan_id="plan-2"), start=a_start(a_reservation("plan-2", after)))

    found = risk_store.load(ACCOUNT, TODAY)
    assert (found.usage.plans, found.usage.buys, found.usage.net) == (2, Decimal("2000.20"), Decimal("2000.10"))
    assert {plan.plan_id for plan in found.plans} == {PLAN_ID, "plan-2"}
    assert risk_store.load(ACCOUNT, TODAY + timedelta(days=1)).plans == []
    assert risk_store.load("other", TODAY).plans == []


def test_fenced_reservation_changes_nothing(journal: ReadableJournal, risk_store: RiskStore) -> None:
    paused = acquire(journal, "run-1")
    acquire(journal, "run-2", NOW + HELD_FOR * 2)

    with pytest.raises(Fenced):
        journal.write(paused, state(), start=a_start(a_reservation()))

    assert risk_store.load(ACCOUNT, TODAY).usage.plans == 0


def test_reservation_with_500_parents_is_written(journal: ReadableJournal, risk_store: RiskStore) -> None:
    parents = [parent(f"SYM{n}") for n in range(500)]
    journal.write(acquire(journal, "run-1"), state(), parents=parents, start=a_start(a_reservation()))

    assert len(loaded(journal).parents) == 500
    assert risk_store.load(ACCOUNT, TODAY).usage.plans == 1


def test_kill_switch_holds_its_last_setting_per_account(risk_store: RiskStore) -> None:
    halted = KillSwitchRecord(TradingState.HALTED, "Ada", "drill", NOW)
    active = KillSwitchRecord(TradingState.ACTIVE, "Ben", "over", NOW + timedelta(seconds=1))
    risk_store.set_kill_switch(ACCOUNT, halted)
    assert risk_store.kill_switch(ACCOUNT) == halted
    risk_store.set_kill_switch(ACCOUNT, active)

    assert risk_store.kill_switch(ACCOUNT) == active == risk_store.load(ACCOUNT, TODAY).kill_switch
    assert risk_store.kill_switch("other") == NEVER_SET


# --- one unfinished plan per account ---------------------------------------------------------------------


def test_lease_names_the_plan_that_is_started_and_not_finished(journal: ReadableJournal) -> None:
    first = acquire(journal, "run-1")
    journal.write(first, state(), start=a_start())
    journal.release(first)

    second = acquire(journal, "run-2")
    assert (first.unfinished_plan_id, second.unfinished_plan_id) == (None, PLAN_ID)
    finish(journal, second)
    assert acquire(journal, "run-3").unfinished_plan_id is None


def test_second_plan_cannot_start_while_the_first_is_unfinished(journal: ReadableJournal) -> None:
    lease = acquire(journal, "run-1")
    journal.write(lease, state(), start=a_start())

    with pytest.raises(Fenced):
        journal.write(lease, state(plan_id="plan-2"), start=a_start())
    finished = state(plan_id="plan-2", phase=PlanPhase.FINISHED)
    with pytest.raises(Fenced):
        journal.finish(lease, finished, parents=[], result=result(plan_id="plan-2", orders=()))

    assert journal.load(ACCOUNT, "plan-2") is None
    journal.write(lease, state(phase=PlanPhase.BUYS))  # the first plan continues


def test_plan_of_another_account_starts_at_the_same_time(journal: ReadableJournal) -> None:
    journal.write(acquire(journal, "run-1"), state(), start=a_start())
    other = journal.acquire("other", "run-2", now=NOW, expires_at=NOW + HELD_FOR)

    journal.write(other, state(account="other", plan_id="plan-2"), start=a_start())

    assert journal.load("other", "plan-2") is not None


def test_plan_that_finishes_with_its_first_write_leaves_none_unfinished(journal: ReadableJournal) -> None:
    finish(journal, acquire(journal, "run-1"))

    assert acquire(journal, "run-2").unfinished_plan_id is None


# --- the plan itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [None, {"note": "é" * 1000}, {"random": "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(300_000))}],
    ids=["small", "not ascii", "larger than an item"],
)
def test_journal_holds_the_plan_itself_until_it_is_finished(
    journal: ReadableJournal, metadata: dict[str, str] | None
) -> None:
    plan = a_plan(metadata=metadata)
    lease = acquire(journal, "run-1")
    journal.write(lease, state(), start=a_start(document=plan))
    journal.write(lease, state(phase=PlanPhase.BUYS))

    document = loaded(journal).document
    assert document == plan
    assert document is not None
    assert document.content_hash == plan.content_hash
    finish(journal, lease)
    assert loaded(journal).document is None


# --- broker accounts -------------------------------------------------------------------------------------


def test_broker_account_belongs_to_the_name_that_used_it_first(risk_store: RiskStore) -> None:
    assert risk_store.bind_account("main", "PA1", NOW).account == "main"
    assert risk_store.bind_account("other", "PA1", NOW).account == "main"
    assert risk_store.bind_account("main", "PA1", NOW).account == "main"
    assert risk_store.bind_account("other", "PA2", NOW).account == "other"
