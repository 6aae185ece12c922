"""The binding of a broker account to one account name, as operators read and move it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.adapters.dynamodb.table import from_attributes
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.journal import PlanPhase
from rebalance_executor.domain.risk_state import AccountBinding
from rebalance_executor.execution.ports import Lease
from rebalance_simulation.clock import SimulatedClock
from tests.support.aws import TABLE
from tests.support.builders import NOW
from tests.support.journalled import ACCOUNT, result, state

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Tables:
    """Journal and risk store in one table."""

    def __init__(self, client: DynamoDBClient) -> None:
        self._client = client
        self.journal = DynamoJournal(client, TABLE, SimulatedClock())
        self.risks = DynamoRiskStore(client, TABLE, SimulatedClock())

    def acquire(self) -> Lease:
        return self.journal.acquire(ACCOUNT, "run", now=NOW, expires_at=NOW + timedelta(minutes=10))

    def finish_plan(self) -> None:
        finished = replace(state(), phase=PlanPhase.FINISHED)
        self.journal.finish(self.acquire(), finished, parents=[], result=result())

    def items(self, pk: str) -> list[dict[str, Any]]:
        found = self._client.query(
            TableName=TABLE, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": pk}}
        )
        return [from_attributes(item) for item in found["Items"]]


@pytest.fixture
def table(client: DynamoDBClient) -> Tables:
    return Tables(client)


MOVED = AccountBinding("PA1", "other", NOW + timedelta(hours=1), by="ada", reason="renamed")


def test_binding_moves_to_another_name_with_operator_reason_and_history(table: Tables) -> None:
    table.risks.bind_account(ACCOUNT, "PA1", NOW)
    assert table.risks.binding("PA1") == AccountBinding("PA1", ACCOUNT, NOW)

    table.risks.move_binding(MOVED, ACCOUNT)
    assert table.risks.binding("PA1") == MOVED
    assert table.risks.bind_account(ACCOUNT, "PA1", NOW).account == "other"

    back = replace(MOVED, account=ACCOUNT, bound_at=NOW + timedelta(hours=2), by="grace", reason="a mistake")
    table.risks.move_binding(back, "other")
    history = table.items("BROKER#PA1")
    assert [(item["sk"][:8], item.get("by"), item["account"]) for item in history] == [
        ("BINDING", "grace", ACCOUNT),
        ("BINDING#", "ada", "other"),
        ("BINDING#", "grace", ACCOUNT),
    ]


def test_binding_is_not_moved_while_a_run_or_an_unfinished_plan_uses_it(table: Tables) -> None:
    table.risks.bind_account(ACCOUNT, "PA1", NOW)
    lease = table.acquire()
    with pytest.raises(InvalidInput):  # a run
        table.risks.move_binding(replace(MOVED, bound_at=NOW), ACCOUNT)

    table.journal.write(lease, state())
    table.journal.release(lease)
    with pytest.raises(InvalidInput):  # an unfinished plan
        table.risks.move_binding(MOVED, ACCOUNT)
    assert table.risks.binding("PA1") == AccountBinding("PA1", ACCOUNT, NOW)

    table.finish_plan()
    table.risks.move_binding(MOVED, ACCOUNT)


@pytest.mark.parametrize("former", [None, "third"])
def test_binding_that_is_not_the_former_one_is_not_moved(table: Tables, former: str | None) -> None:
    table.risks.bind_account(ACCOUNT, "PA1", NOW)

    with pytest.raises(InvalidInput):
        table.risks.move_binding(MOVED, former)

    assert table.risks.binding("PA1") == AccountBinding("PA1", ACCOUNT, NOW)


def test_broker_account_that_no_run_used_is_bound_by_an_operator(table: Tables) -> None:
    table.risks.move_binding(MOVED, None)

    assert table.risks.bind_account(ACCOUNT, "PA1", NOW).account == "other"
