"""The front door: what it lets in, what it answers, what it refuses.

On Powertools' own DynamoDB layer, and on the store that stands for it in simulations: so they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from botocore.exceptions import EndpointConnectionError
from requests.exceptions import ReadTimeout

from rebalance_executor.domain.errors import (
    JournalContradiction,
    JournalUnavailable,
    PlanChanged,
    PlanInProgress,
    PlanYielded,
)
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.result_builder import build_result
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.idempotency import IdempotencyGate
from rebalance_simulation.idempotency_store import RecordTable, SimulatedRecords
from tests.support.aws import aws
from tests.support.builders import NOW, a_plan, a_state, an_item

CONTEXT: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
DEAD: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: -1000)
"""An invocation whose time is over: what it claimed may be taken at once."""


class Door:
    """A front door with its log; the answers of its table can be made to fail."""

    def __init__(self, persistence: BasePersistenceLayer | None = None) -> None:
        self.events: list[LogEvent] = []
        self.is_down = False
        self._remaining = timedelta()
        simulated = SimulatedRecords(RecordTable(), self._way, lambda: NOW, lambda: NOW + self._remaining)
        self._door = IdempotencyGate(persistence or simulated, self)

    def _way[T](self, _: str, effect: Callable[[], T], /) -> T:
        if self.is_down:
            raise ReadTimeout
        return effect()

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.events.append(event)

    def answer(self, plan: RebalancePlan, execute: Any, stored: Any = None, context: Any = CONTEXT) -> ExecutionResult:
        self._remaining = timedelta(milliseconds=context.get_remaining_time_in_millis())
        return self._door.run_once(plan, "default", context, execute, stored or (lambda: None))

    def fail_from_now_on(self) -> None:
        """Every further request finds no database."""
        self.is_down = True


@pytest.fixture(params=["DynamoDB", "simulated"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    if request.param == "simulated":
        yield Door()
        return
    with aws() as session:
        client = session.client("dynamodb")
        client.create_table(
            TableName="idempotency",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        door = Door(DynamoDBPersistenceLayer("idempotency", boto3_client=client))

        def perhaps(**_: object) -> None:
            if door.is_down:
                raise EndpointConnectionError(endpoint_url="http://localhost:1")

        client.meta.events.register_first("before-send.dynamodb", perhaps)
        yield door


PLAN = a_plan()
RESULT = build_result(PLAN, a_state(PLAN), {}, NOW)


def never() -> ExecutionResult:
    """What must not be executed."""
    raise AssertionError("executed again")


def test_a_new_plan_is_executed_and_its_repeat_answered_from_the_journal(door: Door) -> None:
    first = door.answer(PLAN, lambda: RESULT)
    again = door.answer(PLAN, never, lambda: RESULT)

    assert first == again == RESULT
    assert door.events == [LogEvent.PLAN_CLAIMED, LogEvent.PLAN_DUPLICATE]


def test_what_failed_is_let_in_again(door: Door) -> None:
    def yields() -> ExecutionResult:
        raise PlanYielded("the deadline was near")

    with pytest.raises(PlanYielded):
        door.answer(PLAN, yields)

    assert door.answer(PLAN, lambda: RESULT) == RESULT


def test_the_same_plan_is_not_executed_twice_at_once(door: Door) -> None:
    def meanwhile() -> ExecutionResult:
        with pytest.raises(PlanInProgress):
            door.answer(PLAN, never)
        return RESULT

    assert door.answer(PLAN, meanwhile) == RESULT


def test_a_killed_invocation_keeps_its_claim_only_until_its_own_deadline(door: Door) -> None:
    class Killed(BaseException):
        pass

    def killed() -> ExecutionResult:
        raise Killed

    with pytest.raises(Killed):
        door.answer(PLAN, killed, context=DEAD)

    assert door.answer(PLAN, lambda: RESULT) == RESULT


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_plan_id_with_other_content_is_refused(door: Door, is_finished: bool) -> None:
    changed = a_plan(an_item(amount="2000"))
    if is_finished:
        door.answer(PLAN, lambda: RESULT)
        with pytest.raises(PlanChanged, match="plan_id"):
            door.answer(changed, never)
        return

    def meanwhile() -> ExecutionResult:
        with pytest.raises(PlanChanged, match="plan_id"):
            door.answer(changed, never)
        return RESULT

    door.answer(PLAN, meanwhile)


def test_without_its_table_nothing_is_executed(door: Door) -> None:
    door.fail_from_now_on()
    with pytest.raises(JournalUnavailable):
        door.answer(PLAN, never)


def test_a_result_is_answered_even_if_the_claim_cannot_be_completed(door: Door) -> None:
    def last_answer_of_the_database() -> ExecutionResult:
        door.fail_from_now_on()
        return RESULT

    assert door.answer(PLAN, last_answer_of_the_database) == RESULT
    assert LogEvent.IDEMPOTENCY_SAVE_FAILED in door.events


def test_an_error_stays_itself_even_if_the_claim_cannot_be_given_back(door: Door) -> None:
    def yields() -> ExecutionResult:
        door.fail_from_now_on()
        raise PlanYielded("the deadline was near")

    with pytest.raises(PlanYielded):
        door.answer(PLAN, yields)


def test_a_finished_record_without_a_result_is_for_a_person_to_judge(door: Door) -> None:
    door.answer(PLAN, lambda: RESULT)
    with pytest.raises(JournalContradiction, match="look at the broker"):
        door.answer(PLAN, never, lambda: None)
