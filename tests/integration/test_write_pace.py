"""The write units of a partition: a table that accepts 1,000 per second, and plans that need more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from rebalance_executor.adapters.dynamodb import write_units
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.table import Item
from rebalance_executor.adapters.dynamodb.write_units import WritePace, item_bytes, transaction_units
from rebalance_executor.domain.errors import JournalUnavailable
from rebalance_executor.domain.journal import PlanPhase, PlanStart, RunRecord
from rebalance_executor.domain.plan import MAX_ITEMS
from rebalance_executor.execution.ports import Lease
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.dynamodb import SimulatedDynamoDB
from tests.support.aws import TABLE, Tampered, canceled, client_error
from tests.support.builders import NOW, a_plan, an_item
from tests.support.journalled import ACCOUNT, PLAN_ID, order_result, realistic_parent, result, state

LIMIT = 1000
SECOND = timedelta(seconds=1)
REQUEST = timedelta(milliseconds=10)
HELD_UNTIL = NOW + timedelta(minutes=10)
SYMBOLS = [f"SYM{n}" for n in range(MAX_ITEMS)]


class LimitedTable:
    """A table whose partitions accept 1,000 write units per second, counted from the items that it gets."""

    def __init__(self, clock: SimulatedClock, error: Exception) -> None:
        self._clock = clock
        self._error = error
        self._used: dict[str, list[tuple[Any, int]]] = defaultdict(list)
        self.throttled = 0
        self.most = 0

    def check(self, name: str, request: Mapping[str, Any]) -> None:
        """Count the units of a transaction, or throttle it. Use it as ``Tampered.before``."""
        self._clock.advance(REQUEST)
        if name != "transact_write_items":
            return
        now, units = self._clock.world(), units_by_partition(request["TransactItems"])
        for pk, more in units.items():
            self._used[pk] = [(at, used) for at, used in self._used[pk] if at > now - SECOND]
            in_second = sum(used for _, used in self._used[pk]) + more
            if in_second > LIMIT:
                self.throttled += 1
                raise self._error
            self.most = max(self.most, in_second)
        for pk, more in units.items():
            self._used[pk].append((now, more))


def units_by_partition(actions: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    units: dict[str, int] = defaultdict(int)
    for action in actions:
        ((_, body),) = action.items()
        item = body.get("Item") or body["Key"]
        size = sum(len(name) + len(value) for name, one in item.items() for value in one.values())
        units[item["pk"]["S"]] += 2 * (size // 1024 + 1)
    return units


@pytest.fixture(
    params=[canceled("None", "ThrottlingError"), client_error("ThrottlingException")], ids=["canceled", "throttled"]
)
def limited(request: pytest.FixtureRequest, clock: SimulatedClock) -> LimitedTable:
    return LimitedTable(clock, request.param)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def journal(clock: SimulatedClock, limited: LimitedTable) -> DynamoJournal:
    client = Tampered(SimulatedDynamoDB(clock=clock, page_size=MAX_ITEMS * 2))
    client.before = limited.check
    return DynamoJournal(cast("Any", client), TABLE, clock)


def execute(journal: DynamoJournal) -> None:
    """Journal a plan of the largest size: its start, one write of all of its parents, and its end."""
    lease: Lease = journal.acquire(ACCOUNT, "run-1", now=NOW, expires_at=HELD_UNTIL)
    parents = [realistic_parent(symbol) for symbol in SYMBOLS]
    document = a_plan(*(an_item(symbol) for symbol in SYMBOLS))
    run = RunRecord(1, "run-1", NOW)
    journal.write(lease, state(), parents=parents, run=run, start=PlanStart(document))
    journal.write(lease, state(), parents=parents)
    orders = tuple(order_result(symbol, children=1) for symbol in SYMBOLS)
    journal.finish(lease, replace(state(), phase=PlanPhase.FINISHED), parents=parents, result=result(orders))


def test_largest_plan_stays_below_the_limit_of_its_partition(
    journal: DynamoJournal, limited: LimitedTable, clock: SimulatedClock
) -> None:
    execute(journal)

    assert (limited.throttled, limited.most <= LIMIT) == (0, True)
    assert limited.most > LIMIT / 2
    assert max(clock.slept) <= SECOND
    assert sum(clock.slept, timedelta()) < 4 * SECOND
    found = journal.load(ACCOUNT, PLAN_ID)
    assert found is not None
    assert found.result is not None
    assert len(found.parents) == MAX_ITEMS


def test_plan_without_pace_is_throttled(
    journal: DynamoJournal, limited: LimitedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_units, "UNITS_PER_SECOND", 1_000_000)

    with suppress(JournalUnavailable):
        execute(journal)

    assert limited.throttled > 0


@pytest.mark.parametrize("size", [1, 200, 400])
def test_smaller_plans_start_without_a_wait(journal: DynamoJournal, clock: SimulatedClock, size: int) -> None:
    lease = journal.acquire(ACCOUNT, "run-1", now=NOW, expires_at=HELD_UNTIL)

    journal.write(lease, state(), parents=[realistic_parent(symbol) for symbol in SYMBOLS[:size]])

    assert clock.slept == []


def test_transaction_above_the_pace_waits_for_an_empty_second(clock: SimulatedClock) -> None:
    pace = WritePace(clock)
    pace.wait(100)
    clock.advance(SECOND / 4)

    pace.wait(2000)
    pace.wait(1)

    assert clock.slept == [SECOND * 3 / 4, SECOND]


def test_clock_that_is_set_back_makes_no_wait_longer(clock: SimulatedClock) -> None:
    pace = WritePace(clock)
    pace.wait(900)
    clock.skew = -timedelta(hours=1)

    pace.wait(900)

    assert clock.slept == [SECOND]


@pytest.mark.parametrize(("bytes_", "units"), [(1024, 2), (1025, 4), (10 * 1024, 20)])
def test_each_started_kilobyte_of_an_item_takes_two_units(bytes_: int, units: int) -> None:
    item: Item = {"pk": "é", "n": 12, "b": b"x" * (bytes_ - 8)}

    assert item_bytes(item) == bytes_
    assert transaction_units(item) == units
