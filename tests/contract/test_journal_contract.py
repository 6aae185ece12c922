"""What every journal keeps to: the one on DynamoDB, and the one in memory that stands for it in unit tests.

DynamoDB itself is there three times, so that they cannot drift apart: moto, ministack, and the simulation's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol, cast
from uuid import uuid4

import pytest

from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.domain.errors import DayChanged, Fenced, JournalContradiction, LeaseHeld
from rebalance_executor.domain.journal import PlanJournal, PlanPhase, RunEnd, RunRecord
from rebalance_executor.domain.market import Side
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
from tests.support.builders import NOW
from tests.support.journalled import ACCOUNT, PLAN_ID, child, filled_parent, parent, result, state
from tests.support.local_aws import LocalAws, local_aws
from tests.support.memory_journal import InMemoryJournal

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HELD_FOR = timedelta(minutes=10)
FINISHED = replace(state(), phase=PlanPhase.FINISHED)


class ReadableJournal(Journal, Protocol):
    """A journal that also shows the runs of a plan."""

    def runs(self, account: str, plan_id: str) -> list[RunRecord]: ...


class TableJournal(DynamoJournal):
    """The journal on DynamoDB with the control book in the same table."""

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


@pytest.fixture(params=["memory", "simulated", "moto", "ministack"])
def journal(request: pytest.FixtureRequest) -> Iterator[ReadableJournal]:
    if request.param == "memory":
        yield InMemoryJournal()
        return
    if request.param == "simulated":
        yield TableJournal(cast("DynamoDBClient", SimulatedDynamoDB(page_rows=7)), "simulated")
        return
    is_moto = request.param == "moto"
    client = request.getfixturevalue("moto") if is_moto else request.getfixturevalue("ministack").dynamodb
    name = f"journal-{uuid4().hex}"
    create_execution_table(client, name)
    yield TableJournal(client, name)
    client.delete_table(TableName=name)


@pytest.fixture
def book(journal: InMemoryJournal | TableJournal) -> RiskStore:
    """The control book that belongs to the journal."""
    return journal.risk_store


def take(journal: Journal, run_id: str, at: datetime = NOW, account: str = ACCOUNT) -> Lease:
    return journal.acquire(account, run_id, now=at, expires_at=at + HELD_FOR)


def loaded(journal: Journal, plan_id: str = PLAN_ID) -> PlanJournal:
    found = journal.load(ACCOUNT, plan_id)
    assert found is not None
    return found


# --- lease -----------------------------------------------------------------------------------------------


def test_given_nobody_holds_the_account_when_acquired_then_the_lease_is_the_runs(journal: ReadableJournal) -> None:
    assert take(journal, "run-1") == Lease(ACCOUNT, 1, "run-1", NOW + HELD_FOR)


def test_given_a_held_lease_when_another_run_asks_then_it_learns_who_holds_it_and_until_when(
    journal: ReadableJournal,
) -> None:
    take(journal, "run-1")

    with pytest.raises(LeaseHeld) as caught:
        take(journal, "run-2", NOW + HELD_FOR)

    assert caught.value.context["held_by"] == "run-1"
    assert datetime.fromisoformat(str(caught.value.context["held_until"])) == NOW + HELD_FOR


def test_given_a_lease_that_ran_out_when_another_run_asks_then_it_takes_over_with_a_higher_epoch(
    journal: ReadableJournal,
) -> None:
    first = take(journal, "run-1")

    second = take(journal, "run-2", NOW + HELD_FOR + timedelta(microseconds=1))

    assert (second.run_id, second.epoch) == ("run-2", first.epoch + 1)


def test_given_a_lease_given_back_when_another_run_asks_then_it_gets_it_at_once(journal: ReadableJournal) -> None:
    first = take(journal, "run-1")
    journal.release(first)

    assert take(journal, "run-2").epoch == first.epoch + 1


def test_given_a_taken_over_lease_when_the_former_holder_gives_it_back_then_the_new_one_keeps_it(
    journal: ReadableJournal,
) -> None:
    first = take(journal, "run-1")
    second = take(journal, "run-2", NOW + HELD_FOR * 2)

    journal.release(first)

    journal.write(second, state())  # not fenced
    with pytest.raises(LeaseHeld):
        take(journal, "run-3", NOW + HELD_FOR * 2)


def test_given_one_account_is_held_when_another_account_is_asked_for_then_it_is_free(journal: ReadableJournal) -> None:
    take(journal, "run-1")

    assert take(journal, "run-2", account="other").epoch == 1


def test_given_a_run_holds_the_lease_when_it_asks_again_then_it_gets_the_same_one(journal: ReadableJournal) -> None:
    first = take(journal, "run-1")

    assert take(journal, "run-1") == first


# --- writing and reading ---------------------------------------------------------------------------------


def test_given_nothing_was_written_when_loaded_then_there_is_no_plan_and_no_result(journal: ReadableJournal) -> None:
    assert journal.load(ACCOUNT, PLAN_ID) is None
    assert journal.result(ACCOUNT, PLAN_ID) is None


def test_given_a_plan_with_parents_when_loaded_then_everything_comes_back_exactly(journal: ReadableJournal) -> None:
    lease = take(journal, "run-1")
    parents = [parent("AAPL", children=(child("AAPL"),)), filled_parent("MSFT")]
    plan = state(buy_budget=Decimal("99.990"), account_number=None)

    journal.write(lease, plan, parents=parents)

    assert loaded(journal) == PlanJournal(plan, {"AAPL": parents[0], "MSFT": parents[1]}, None)


def test_given_a_plan_when_some_parents_are_written_again_then_the_others_stay(journal: ReadableJournal) -> None:
    lease = take(journal, "run-1")
    journal.write(lease, state(), parents=[parent("AAPL"), parent("MSFT")])

    journal.write(lease, state(phase=PlanPhase.BUYS), parents=[filled_parent("MSFT")])

    assert loaded(journal).plan.phase is PlanPhase.BUYS
    assert loaded(journal).parents == {"AAPL": parent("AAPL"), "MSFT": filled_parent("MSFT")}


def test_given_one_parent_twice_in_a_write_when_loaded_then_the_later_one_counts(journal: ReadableJournal) -> None:
    journal.write(take(journal, "run-1"), state(), parents=[parent("AAPL"), filled_parent("AAPL")])

    assert loaded(journal).parents == {"AAPL": filled_parent("AAPL")}


def test_given_a_write_when_it_is_repeated_then_nothing_changes(journal: ReadableJournal) -> None:
    lease = take(journal, "run-1")
    run = RunRecord(lease.epoch, lease.run_id, NOW)
    journal.write(lease, state(), parents=[parent()], run=run)
    before = loaded(journal)

    journal.write(lease, state(), parents=[parent()], run=run)

    assert loaded(journal) == before
    assert journal.runs(ACCOUNT, PLAN_ID) == [run]


def test_given_several_runs_when_listed_then_they_come_in_order_with_how_they_ended(journal: ReadableJournal) -> None:
    first = take(journal, "run-1")
    yielded = RunRecord(first.epoch, "run-1", NOW, NOW + timedelta(seconds=9), RunEnd.YIELDED, "PLAN_YIELDED: stop")
    journal.write(first, state(), run=yielded)
    journal.release(first)
    second = take(journal, "run-2")
    going_on = RunRecord(second.epoch, "run-2", NOW + timedelta(seconds=10))
    journal.write(second, state(runs=2), run=going_on)

    assert journal.runs(ACCOUNT, PLAN_ID) == [yielded, going_on]


def test_given_two_plans_when_loaded_then_each_has_its_own(journal: ReadableJournal) -> None:
    lease = take(journal, "run-1")
    journal.write(lease, state(), parents=[parent("AAPL")])
    journal.write(lease, state(plan_id="plan-10"), parents=[parent("MSFT")])

    assert set(loaded(journal).parents) == {"AAPL"}
    assert set(loaded(journal, "plan-10").parents) == {"MSFT"}


def test_given_500_parents_when_written_and_loaded_then_none_is_lost(journal: ReadableJournal) -> None:
    parents = {f"SYM{n}": parent(f"SYM{n}", qty=Decimal(n)) for n in range(500)}

    journal.write(take(journal, "run-1"), state(), parents=parents.values())

    assert loaded(journal).parents == parents


# --- fencing and contradictions --------------------------------------------------------------------------


def test_given_a_runner_was_taken_over_when_it_writes_then_it_is_fenced_and_nothing_changes(
    journal: ReadableJournal,
) -> None:
    paused = take(journal, "run-1")
    journal.write(paused, state(), parents=[parent()])
    take(journal, "run-2", NOW + HELD_FOR * 2)

    with pytest.raises(Fenced):
        journal.write(paused, state(phase=PlanPhase.BUYS), parents=[filled_parent()])
    with pytest.raises(Fenced):
        journal.finish(paused, FINISHED, parents=[filled_parent()], result=result())

    assert loaded(journal) == PlanJournal(state(), {"AAPL": parent()}, None)


def test_given_a_fenced_runner_when_it_writes_500_parents_then_none_is_written(journal: ReadableJournal) -> None:
    paused = take(journal, "run-1")
    journal.write(paused, state(), parents=[parent("SYM1")])
    take(journal, "run-2", NOW + HELD_FOR * 2)

    with pytest.raises(Fenced):
        journal.write(paused, state(), parents=[filled_parent(f"SYM{n}") for n in range(500)])

    assert loaded(journal).parents == {"SYM1": parent("SYM1")}


def test_given_a_lease_that_ran_out_and_nobody_took_when_written_then_it_still_counts(journal: ReadableJournal) -> None:
    lease = take(journal, "run-1")

    journal.write(lease, state(started_at=NOW + HELD_FOR * 2))

    assert loaded(journal).plan.started_at == NOW + HELD_FOR * 2


def test_given_a_runner_gave_its_lease_back_when_it_writes_then_it_is_fenced(journal: ReadableJournal) -> None:
    lease = take(journal, "run-1")
    journal.release(lease)

    with pytest.raises(Fenced):
        journal.write(lease, state())

    assert journal.load(ACCOUNT, PLAN_ID) is None


@pytest.mark.parametrize("parents", [1, 200])
def test_given_a_plan_when_written_with_other_content_then_it_is_contradicted_and_kept(
    journal: ReadableJournal, parents: int
) -> None:
    lease = take(journal, "run-1")
    journal.write(lease, state(), parents=[parent("SYM0")])
    changed = [filled_parent(f"SYM{n}") for n in range(parents)]

    with pytest.raises(JournalContradiction):
        journal.write(lease, state(content_hash="bb22"), parents=changed)
    with pytest.raises(JournalContradiction):
        journal.finish(lease, replace(FINISHED, content_hash="bb22"), parents=changed, result=result())

    assert loaded(journal) == PlanJournal(state(), {"SYM0": parent("SYM0")}, None)


# --- finishing -------------------------------------------------------------------------------------------


def test_given_a_worked_plan_when_finished_then_result_and_parents_are_stored_and_the_lease_is_free(
    journal: ReadableJournal,
) -> None:
    lease = take(journal, "run-1")
    journal.write(lease, state(), parents=[parent()], run=RunRecord(lease.epoch, "run-1", NOW))

    journal.finish(lease, FINISHED, parents=[filled_parent()], result=result())

    assert loaded(journal) == PlanJournal(FINISHED, {"AAPL": filled_parent()}, result())
    assert journal.result(ACCOUNT, PLAN_ID) == result()
    assert take(journal, "run-2").epoch == lease.epoch + 1


def test_given_a_run_when_its_plan_is_finished_then_its_record_says_completed(journal: ReadableJournal) -> None:
    lease = take(journal, "run-1")
    journal.write(lease, state(), run=RunRecord(lease.epoch, "run-1", NOW))

    journal.finish(lease, FINISHED, parents=(), result=result())

    ended = result().execution_timestamp
    assert journal.runs(ACCOUNT, PLAN_ID) == [RunRecord(lease.epoch, "run-1", NOW, ended, RunEnd.COMPLETED)]


def test_given_a_plan_that_wrote_nothing_before_when_finished_then_it_is_stored_with_its_run(
    journal: ReadableJournal,
) -> None:
    lease = take(journal, "run-1")

    journal.finish(lease, FINISHED, parents=(), result=result(orders=()))

    assert loaded(journal) == PlanJournal(FINISHED, {}, result(orders=()))
    ended = result().execution_timestamp
    assert journal.runs(ACCOUNT, PLAN_ID) == [RunRecord(lease.epoch, "run-1", ended, ended, RunEnd.COMPLETED)]


def test_given_200_parents_when_finished_then_all_of_it_is_stored(journal: ReadableJournal) -> None:
    parents = {f"SYM{n}": filled_parent(f"SYM{n}") for n in range(200)}

    journal.finish(take(journal, "run-1"), FINISHED, parents=parents.values(), result=result())

    assert loaded(journal) == PlanJournal(FINISHED, parents, result())


def test_given_a_finished_plan_when_finished_again_with_the_same_result_then_nothing_happens(
    journal: ReadableJournal,
) -> None:
    lease = take(journal, "run-1")
    journal.finish(lease, FINISHED, parents=[filled_parent()], result=result())
    before = loaded(journal)

    journal.finish(lease, FINISHED, parents=[filled_parent()], result=result())

    assert loaded(journal) == before


def test_given_a_finished_plan_when_a_later_run_finishes_it_alike_then_its_lease_is_given_back(
    journal: ReadableJournal,
) -> None:
    journal.finish(take(journal, "run-1"), FINISHED, parents=[filled_parent()], result=result())
    later = take(journal, "run-2")

    journal.finish(later, FINISHED, parents=[filled_parent()], result=result())

    assert take(journal, "run-3").epoch == later.epoch + 1


@pytest.mark.parametrize("parents", [1, 200])
def test_given_a_finished_plan_when_another_result_is_written_then_the_first_one_stays(
    journal: ReadableJournal, parents: int
) -> None:
    journal.finish(take(journal, "run-1"), FINISHED, parents=[filled_parent("SYM0")], result=result())
    later = take(journal, "run-2")
    other = result(status=ExecutionStatus.FAILURE, success=False)

    with pytest.raises(JournalContradiction):
        journal.finish(later, FINISHED, parents=[parent(f"SYM{n}") for n in range(parents)], result=other)

    assert loaded(journal) == PlanJournal(FINISHED, {"SYM0": filled_parent("SYM0")}, result())


def test_given_a_finished_plan_when_a_later_run_writes_its_state_then_it_stays_finished(
    journal: ReadableJournal,
) -> None:
    journal.finish(take(journal, "run-1"), FINISHED, parents=(), result=result())
    later = take(journal, "run-2")

    with pytest.raises(JournalContradiction):
        journal.write(later, state(runs=2))

    assert loaded(journal).plan == FINISHED


# --- reporting -------------------------------------------------------------------------------------------


def test_given_a_finished_plan_when_marked_as_reported_then_that_is_remembered_with_everything_else(
    journal: ReadableJournal,
) -> None:
    journal.finish(take(journal, "run-1"), FINISHED, parents=[filled_parent()], result=result())
    assert not loaded(journal).published

    journal.mark_published(ACCOUNT, PLAN_ID, ["event"], NOW)

    assert loaded(journal) == PlanJournal(FINISHED, {"AAPL": filled_parent()}, result(), published=frozenset({"event"}))


def test_given_an_unfinished_plan_when_marked_as_reported_then_it_is_left_alone(journal: ReadableJournal) -> None:
    journal.write(take(journal, "run-1"), state())

    journal.mark_published(ACCOUNT, PLAN_ID, ["event"], NOW)
    journal.mark_published(ACCOUNT, "unknown", ["event"], NOW)

    assert not loaded(journal).published
    assert journal.load(ACCOUNT, "unknown") is None


# --- the control book ------------------------------------------------------------------------------------

TODAY = NOW.date()


def a_reservation(plan_id: str = PLAN_ID, before: DailyUsage | None = None, dollars: str = "1000.10") -> Reservation:
    """A plan that buys AAPL for so many dollars."""
    known = before or DailyUsage(TODAY)
    order = ReservedOrder("AAPL", Side.BUY, Decimal("7.2273576"), Decimal("1000.10"))
    plan = StartedPlan(plan_id, NOW, (order,))
    return Reservation(known, known.plus(Decimal(dollars), Decimal("0.05")), plan)


def test_given_nothing_was_reserved_when_the_book_is_read_then_the_day_is_empty_and_the_account_active(
    journal: ReadableJournal, book: RiskStore
) -> None:
    assert book.load(ACCOUNT, TODAY) == RiskState(NEVER_SET, DailyUsage(TODAY), [])
    assert book.kill_switch(ACCOUNT) == NEVER_SET


def test_given_a_plan_reserved_when_the_book_is_read_then_day_and_orders_come_back_exactly(
    journal: ReadableJournal, book: RiskStore
) -> None:
    journal.write(take(journal, "run-1"), state(), parents=[parent()], reservation=a_reservation())

    found = book.load(ACCOUNT, TODAY)
    assert found.usage == DailyUsage(TODAY, 1, Decimal("1000.10"), Decimal("0.05"))
    assert list(found.plans) == [a_reservation().plan]


def test_given_a_reservation_when_its_write_is_repeated_then_it_counts_once(
    journal: ReadableJournal, book: RiskStore
) -> None:
    lease = take(journal, "run-1")
    for _ in range(2):
        journal.write(lease, state(), parents=[parent()], reservation=a_reservation())

    assert book.load(ACCOUNT, TODAY).usage.plans == 1


def test_given_the_day_changed_meanwhile_when_reserved_then_neither_day_nor_plan_is_written(
    journal: ReadableJournal, book: RiskStore
) -> None:
    lease = take(journal, "run-1")
    journal.write(lease, state(), reservation=a_reservation())

    with pytest.raises(DayChanged):
        journal.write(lease, state(plan_id="plan-2"), parents=[parent()], reservation=a_reservation("plan-2"))

    assert journal.load(ACCOUNT, "plan-2") is None
    assert book.load(ACCOUNT, TODAY).usage.plans == 1


def test_given_two_plans_when_both_reserve_then_the_day_counts_both_and_other_days_and_accounts_neither(
    journal: ReadableJournal, book: RiskStore
) -> None:
    lease = take(journal, "run-1")
    journal.write(lease, state(), reservation=a_reservation())
    after = book.load(ACCOUNT, TODAY).usage
    journal.write(lease, state(plan_id="plan-2"), reservation=a_reservation("plan-2", after))

    found = book.load(ACCOUNT, TODAY)
    assert (found.usage.plans, found.usage.buys, found.usage.net) == (2, Decimal("2000.20"), Decimal("2000.10"))
    assert {plan.plan_id for plan in found.plans} == {PLAN_ID, "plan-2"}
    assert book.load(ACCOUNT, TODAY + timedelta(days=1)).plans == []
    assert book.load("other", TODAY).plans == []


def test_given_a_fenced_runner_when_it_reserves_then_the_day_stays(journal: ReadableJournal, book: RiskStore) -> None:
    paused = take(journal, "run-1")
    take(journal, "run-2", NOW + HELD_FOR * 2)

    with pytest.raises(Fenced):
        journal.write(paused, state(), reservation=a_reservation())

    assert book.load(ACCOUNT, TODAY).usage.plans == 0


def test_given_500_parents_when_reserved_then_plan_and_day_are_written(
    journal: ReadableJournal, book: RiskStore
) -> None:
    parents = [parent(f"SYM{n}") for n in range(500)]
    journal.write(take(journal, "run-1"), state(), parents=parents, reservation=a_reservation())

    assert len(loaded(journal).parents) == 500
    assert book.load(ACCOUNT, TODAY).usage.plans == 1


def test_given_a_switch_was_set_when_read_then_the_last_setting_holds_for_its_account_only(book: RiskStore) -> None:
    halted = KillSwitchRecord(TradingState.HALTED, "Ada", "drill", NOW)
    active = KillSwitchRecord(TradingState.ACTIVE, "Ben", "over", NOW + timedelta(seconds=1))
    book.set_kill_switch(ACCOUNT, halted)
    assert book.kill_switch(ACCOUNT) == halted
    book.set_kill_switch(ACCOUNT, active)

    assert book.kill_switch(ACCOUNT) == active == book.load(ACCOUNT, TODAY).kill_switch
    assert book.kill_switch("other") == NEVER_SET
