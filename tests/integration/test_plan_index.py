"""The index of plans by day, over the table that the journal writes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from rebalance_executor.adapters.clock import SystemClock
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.plan_index import DynamoPlanIndex
from rebalance_executor.domain.errors import JournalUnavailable
from rebalance_executor.domain.journal import PlanPhase
from tests.support.aws import TABLE, Tampered, client_error, once
from tests.support.builders import NOW
from tests.support.journalled import ACCOUNT, PLAN_ID, filled_parent, result, state

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def test_index_follows_the_status_of_a_plan(client: DynamoDBClient) -> None:
    journal, index, day = (
        DynamoJournal(client, TABLE, SystemClock()),
        DynamoPlanIndex(client, TABLE, SystemClock()),
        NOW.date(),
    )
    lease = journal.acquire(ACCOUNT, "run-1", now=NOW, expires_at=NOW + timedelta(minutes=5))

    journal.write(lease, state(), parents=[filled_parent()])
    assert [(plan.account, plan.plan_id, plan.status) for plan in index.plans_of(day)] == [
        (ACCOUNT, PLAN_ID, "in_progress")
    ]

    journal.finish(lease, state(phase=PlanPhase.FINISHED), parents=[filled_parent()], result=result())
    assert [plan.status for plan in index.plans_of(day)] == [result().status.value]
    assert list(index.plans_of(day, "in_progress")) == []
    assert list(index.plans_of(day - timedelta(days=1))) == []


def test_failed_query_makes_the_journal_unavailable(client: DynamoDBClient) -> None:
    tampered = Tampered(client)
    tampered.before = once(client_error("InternalServerError"), "query")

    with pytest.raises(JournalUnavailable) as raised:
        list(DynamoPlanIndex(tampered, TABLE, SystemClock()).plans_of(NOW.date()))  # type: ignore[arg-type]

    assert raised.value.context["aws_code"] == "InternalServerError"
