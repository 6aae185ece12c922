"""Market data of finished plans in the table: written once, beside a result that it never changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from rebalance_executor.adapters.clock import SystemClock
from rebalance_executor.adapters.dynamodb.cost_store import DynamoCostStore
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.domain.benchmarks import Benchmarks, CostsRead, FillMids, Horizon
from rebalance_executor.domain.errors import JournalContradiction, JournalUnavailable
from rebalance_executor.domain.journal import PlanPhase
from tests.support.aws import TABLE, Tampered, client_error, once
from tests.support.builders import NOW, later
from tests.support.journalled import ACCOUNT, PLAN_ID, filled_parent, result, state

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FINISHED = state(phase=PlanPhase.FINISHED)
KEY = (ACCOUNT, PLAN_ID)
MIDS = {Horizon.ONE_SECOND: Decimal("101.495"), Horizon.FIVE_MINUTES: Decimal("101.61")}
READ = Benchmarks(
    "AAPL", NOW, Decimal("101.4912345"), Decimal("102.5"), None, (FillMids(1, later(2), MIDS),), ("no previous close",)
)


@pytest.fixture
def journal(client: DynamoDBClient) -> DynamoJournal:
    return DynamoJournal(client, TABLE, SystemClock())


@pytest.fixture
def store(client: DynamoDBClient) -> DynamoCostStore:
    return DynamoCostStore(client, TABLE, SystemClock())


def finish(journal: DynamoJournal) -> None:
    lease = journal.acquire(ACCOUNT, "run-1", now=NOW, expires_at=NOW + timedelta(minutes=5))
    journal.finish(lease, FINISHED, parents=[filled_parent()], result=result())


def test_benchmarks_are_read_back_exactly_with_the_journal(journal: DynamoJournal, store: DynamoCostStore) -> None:
    finish(journal)
    before = journal.load(*KEY)
    store.put(FINISHED, READ)
    store.put(FINISHED, replace(READ, symbol="BRK.B"))
    store.end(FINISHED, CostsRead(NOW))
    after = journal.load(*KEY)

    assert before is not None
    assert before.benchmarks == {}
    assert after == replace(before, benchmarks={"AAPL": READ, "BRK.B": replace(READ, symbol="BRK.B")})
    assert journal.result(*KEY) == result()


def test_benchmarks_are_never_overwritten(journal: DynamoJournal, store: DynamoCostStore) -> None:
    finish(journal)
    store.put(FINISHED, READ)
    store.put(FINISHED, replace(READ, vwap=Decimal(1)))

    loaded = journal.load(*KEY)
    assert loaded is not None
    assert loaded.benchmarks == {"AAPL": READ}


def test_plan_that_is_not_finished_or_has_other_content_gets_none(
    journal: DynamoJournal, store: DynamoCostStore
) -> None:
    with pytest.raises(JournalContradiction):
        store.put(FINISHED, READ)
    lease = journal.acquire(ACCOUNT, "run-1", now=NOW, expires_at=NOW + timedelta(minutes=5))
    journal.write(lease, state(), parents=[filled_parent()])
    with pytest.raises(JournalContradiction):
        store.end(state(), CostsRead(NOW))
    journal.finish(lease, FINISHED, parents=[], result=result())
    with pytest.raises(JournalContradiction):
        store.put(state(phase=PlanPhase.FINISHED, content_hash="other"), READ)

    loaded = journal.load(*KEY)
    assert loaded is not None
    assert loaded.benchmarks == {}


def test_reading_that_was_given_up_is_unread_for_those_who_ask_again(
    journal: DynamoJournal, store: DynamoCostStore
) -> None:
    finish(journal)
    plans = [("other", PLAN_ID), KEY]
    assert store.unread(plans, retry=False) == plans

    store.end(FINISHED, CostsRead(NOW, "not part of the subscription"))
    assert (store.unread(plans, retry=False), store.unread(plans, retry=True)) == ([plans[0]], plans)

    store.end(FINISHED, CostsRead(NOW))
    assert store.unread(plans, retry=True) == [plans[0]]
    store.end(FINISHED, CostsRead(NOW, "late"))
    assert store.unread(plans, retry=True) == [plans[0]], "what is complete is never changed"


def test_failed_write_makes_the_journal_unavailable(journal: DynamoJournal, client: DynamoDBClient) -> None:
    finish(journal)
    tampered = Tampered(client)
    tampered.before = once(client_error("InternalServerError"), "transact_write_items")

    with pytest.raises(JournalUnavailable):
        DynamoCostStore(tampered, TABLE, SystemClock()).put(FINISHED, READ)  # type: ignore[arg-type]


def test_benchmarks_that_were_changed_by_hand_are_a_contradiction(
    journal: DynamoJournal, store: DynamoCostStore, client: DynamoDBClient
) -> None:
    finish(journal)
    store.put(FINISHED, READ)
    key = {"pk": {"S": f"PLAN#{ACCOUNT}#{PLAN_ID}"}, "sk": {"S": "COSTS#AAPL"}}
    client.put_item(TableName=TABLE, Item=key | {"benchmarks": {"S": "{}"}})

    with pytest.raises(JournalContradiction):
        journal.load(*KEY)
