"""The idempotency gate, on Powertools' DynamoDB layer and on the in-memory store of the simulation.

The layer works with DynamoDB and with the SQLite journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from botocore.exceptions import EndpointConnectionError
from requests.exceptions import ReadTimeout

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import (
    JournalContradiction,
    LeaseHeld,
    PlanChanged,
    PlanYielded,
)
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.result_builder import PlanEnd, build_result
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.idempotency import IdempotencyGate
from rebalance_simulation.calls import Submission
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.faults import Fault
from rebalance_simulation.idempotency_store import RecordTable, SimulatedRecords
from tests.support.aws import Tampered, aws
from tests.support.builders import NOW, a_plan, a_state, an_item
from tests.support.sqlite_table import sqlite_client

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONTEXT: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
EXPIRED: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: -1000)
"""An invocation past its deadline: its claim has expired."""


class Gate:
    """An idempotency gate with its log. Its table fails or loses an acknowledgement on request."""

    def __init__(self, persistence: BasePersistenceLayer | None = None) -> None:
        self.events: list[LogEvent] = []
        self.is_down = False
        self._loses_acknowledgement = False
        self._remaining = timedelta()
        simulated = SimulatedRecords(RecordTable(), self._call, SimulatedClock(NOW), lambda: NOW + self._remaining)
        self._gate = IdempotencyGate(persistence or simulated, self)

    def _call[T](self, _: str, effect: Callable[[Fault | None], T], order: Submission | None = None, /) -> T:
        assert order is None
        if self.is_down:
            raise ReadTimeout
        return effect(Fault.REPEATED if self.takes_acknowledgement() else None)

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.events.append(event)

    def run(
        self, plan: RebalancePlan, execute: Any, load_result: Any = None, context: Any = CONTEXT
    ) -> ExecutionResult:
        self._remaining = timedelta(milliseconds=context.get_remaining_time_in_millis())
        return self._gate.run_once(plan, "default", context, execute, load_result or (lambda: None))

    def fail_from_now_on(self) -> None:
        """Make every further request to the table fail."""
        self.is_down = True

    def lose_next_acknowledgement(self) -> None:
        """Lose the answer to the next request, after its effect; the SDK sends the request again."""
        self._loses_acknowledgement = True

    def takes_acknowledgement(self) -> bool:
        """Return whether the answer to this request is lost."""
        is_lost, self._loses_acknowledgement = self._loses_acknowledgement, False
        return is_lost


def sqlite_gate(folder: Path) -> Gate:
    """Return a gate with its records in the SQLite journal."""
    client = sqlite_client(folder)
    tampered = Tampered(client)
    gate = Gate(DynamoDBPersistenceLayer("idempotency", boto3_client=cast("DynamoDBClient", tampered)))

    def fail_if_down(_name: str, _request: Mapping[str, Any]) -> None:
        if gate.is_down:
            raise EndpointConnectionError(endpoint_url="http://localhost:1")

    def repeat_if_lost(name: str, request: Mapping[str, Any]) -> None:
        if gate.takes_acknowledgement():
            getattr(client, name)(**request)

    tampered.before, tampered.after = fail_if_down, repeat_if_lost
    return gate


@pytest.fixture(params=["DynamoDB", "sqlite", "simulated"])
def gate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gate]:
    if request.param == "simulated":
        yield Gate()
        return
    if request.param == "sqlite":
        yield sqlite_gate(tmp_path)
        return
    with aws() as session:
        client = session.client("dynamodb")
        client.create_table(
            TableName="idempotency",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        gate = Gate(DynamoDBPersistenceLayer("idempotency", boto3_client=client))

        def fail_if_down(**_: object) -> None:
            if gate.is_down:
                raise EndpointConnectionError(endpoint_url="http://localhost:1")

        def repeat_if_lost(**_: object) -> float | None:
            return 0.0 if gate.takes_acknowledgement() else None

        client.meta.events.register_first("before-send.dynamodb", fail_if_down)
        client.meta.events.register_first("needs-retry.dynamodb", repeat_if_lost)
        yield gate


PLAN = a_plan()
RESULT = build_result(PLAN, a_state(PLAN), {}, PlanEnd(NOW, ExecutionConfig().success_tolerance))


def never() -> ExecutionResult:
    """Fail if it is called."""
    raise AssertionError("executed again")


def test_repeated_plan_gets_the_stored_result(gate: Gate) -> None:
    first = gate.run(PLAN, lambda: RESULT)
    again = gate.run(PLAN, never, lambda: RESULT)

    assert first == again == RESULT
    assert gate.events == [LogEvent.PLAN_CLAIMED, LogEvent.PLAN_DUPLICATE]


def test_plan_runs_again_after_an_error(gate: Gate) -> None:
    def yields() -> ExecutionResult:
        raise PlanYielded("the deadline is near")

    with pytest.raises(PlanYielded):
        gate.run(PLAN, yields)

    assert gate.run(PLAN, lambda: RESULT) == RESULT


def lease_held() -> ExecutionResult:
    raise LeaseHeld("another run holds the account")


def test_plan_in_progress_leads_to_the_lease(gate: Gate) -> None:
    def deliver_again() -> ExecutionResult:
        with pytest.raises(LeaseHeld):
            gate.run(PLAN, lease_held)
        return RESULT

    assert gate.run(PLAN, deliver_again) == RESULT
    assert gate.events == [LogEvent.PLAN_CLAIMED, LogEvent.IDEMPOTENCY_BYPASSED]
    assert gate.run(PLAN, never, lambda: RESULT) == RESULT  # the first delivery completed its record


def test_claim_whose_acknowledgement_was_lost_does_not_stop_its_own_invocation(gate: Gate) -> None:
    """DynamoDB answers 500 after the put took effect; the SDK's repeat of the put fails its condition."""
    gate.lose_next_acknowledgement()

    assert gate.run(PLAN, lambda: RESULT) == RESULT
    assert gate.events == [LogEvent.IDEMPOTENCY_BYPASSED]


def test_claim_of_a_killed_invocation_does_not_stop_the_next_delivery(gate: Gate) -> None:
    class Killed(BaseException):
        pass

    def killed() -> ExecutionResult:
        raise Killed

    with pytest.raises(Killed):
        gate.run(PLAN, killed)

    assert gate.run(PLAN, lambda: RESULT) == RESULT


def test_claim_of_a_killed_invocation_expires_at_its_deadline(gate: Gate) -> None:
    class Killed(BaseException):
        pass

    def killed() -> ExecutionResult:
        raise Killed

    with pytest.raises(Killed):
        gate.run(PLAN, killed, context=EXPIRED)

    assert gate.run(PLAN, lambda: RESULT) == RESULT


@pytest.mark.parametrize("is_finished", [True, False])
def test_journal_decides_on_a_plan_id_with_other_content(gate: Gate, is_finished: bool) -> None:
    """A claim proves nothing: its run may have been killed before it started a plan."""
    changed = a_plan(an_item(amount="2000"))

    def refused() -> ExecutionResult:
        raise PlanChanged.for_plan("plan-1")

    def deliver_changed() -> ExecutionResult:
        with pytest.raises(PlanChanged, match="plan_id"):
            gate.run(changed, refused)
        return RESULT

    if is_finished:
        gate.run(PLAN, lambda: RESULT)
        deliver_changed()
    else:
        gate.run(PLAN, deliver_changed)


def test_plan_is_executed_without_the_table(gate: Gate) -> None:
    gate.fail_from_now_on()

    assert gate.run(PLAN, lambda: RESULT) == RESULT
    assert gate.events == [LogEvent.IDEMPOTENCY_BYPASSED]


def test_result_is_returned_although_the_record_cannot_be_saved(gate: Gate) -> None:
    def last_answer_of_the_database() -> ExecutionResult:
        gate.fail_from_now_on()
        return RESULT

    assert gate.run(PLAN, last_answer_of_the_database) == RESULT
    assert LogEvent.IDEMPOTENCY_SAVE_FAILED in gate.events


def test_error_is_raised_although_the_claim_cannot_be_released(gate: Gate) -> None:
    def yields() -> ExecutionResult:
        gate.fail_from_now_on()
        raise PlanYielded("the deadline is near")

    with pytest.raises(PlanYielded):
        gate.run(PLAN, yields)


def test_unexpected_error_is_not_executed_again_when_the_claim_cannot_be_released(gate: Gate) -> None:
    executions: list[None] = []

    def fails() -> ExecutionResult:
        executions.append(None)
        gate.fail_from_now_on()
        raise AssertionError("a defect")

    with pytest.raises(AssertionError, match="a defect"):
        gate.run(PLAN, fails)
    assert len(executions) == 1


def test_finished_record_without_a_result_is_a_contradiction(gate: Gate) -> None:
    gate.run(PLAN, lambda: RESULT)
    with pytest.raises(JournalContradiction, match="Look at the broker"):
        gate.run(PLAN, never, lambda: None)
