"""The kill switch as a run sees it: how old it may be, and what happens when it is tripped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, cast

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import InvalidInput, JournalUnavailable
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.risk_state import NEVER_SET, PROGRAM, KillSwitchRecord, TradingState
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.kill_switch import BEFORE_SENDING, KillSwitch, set_by_operator
from rebalance_executor.execution.ports import Ports
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW
from tests.support.memory_risk_store import InMemoryRiskStore


class Fixture:
    """A kill switch on an in-memory risk store; ``fails`` makes the store unavailable."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.reads = 0
        self.fails = False
        self.logged: list[tuple[LogEvent, dict[str, object]]] = []
        self.risk_store = InMemoryRiskStore(self._way)
        ports = Ports(
            brokers=cast("Any", None),
            broker_kind=cast("Any", None),
            deployment="",
            journal=cast("Any", None),
            risk_store=self.risk_store,
            assets=cast("Any", None),
            volumes=cast("Any", None),
            clock=self.clock,
            log=self,
        )
        self.kill_switch = KillSwitch(ports, "main")

    def earlier_plan(self, plan: PlanState) -> AbstractContextManager[None]:
        raise NotImplementedError

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.logged.append((event, fields))

    def _way[T](self, name: str, effect: Callable[[], T], /) -> T:
        if self.fails:
            raise JournalUnavailable("the table does not answer")
        self.reads += name == "risk_store.kill_switch"
        return effect()


def test_kill_switch_is_read_once_per_second() -> None:
    fixture = Fixture()
    for _ in range(5):
        assert fixture.kill_switch.denial(BEFORE_SENDING) is None
    fixture.clock.advance(timedelta(seconds=1))
    fixture.kill_switch.denial(BEFORE_SENDING)
    assert fixture.reads == 1

    fixture.clock.advance(timedelta(microseconds=1))
    fixture.kill_switch.denial(BEFORE_SENDING)
    assert fixture.reads == 2


def test_primed_record_ages_from_its_own_read() -> None:
    fixture = Fixture()
    fixture.kill_switch.prime(NEVER_SET, NOW)
    fixture.kill_switch.denial(BEFORE_SENDING)
    assert fixture.reads == 0


def test_unreadable_kill_switch_raises() -> None:
    fixture = Fixture()
    fixture.fails = True
    with pytest.raises(JournalUnavailable):
        fixture.kill_switch.denial(BEFORE_SENDING, Side.SELL)


def test_trip_halts_the_account_for_every_run() -> None:
    fixture = Fixture()
    fixture.kill_switch.trip("10 rejects")

    (switch,) = fixture.risk_store.kill_switch_settings["main"]
    assert (switch.state, switch.by, switch.reason, switch.at) == (TradingState.HALTED, PROGRAM, "10 rejects", NOW)
    denial = fixture.kill_switch.denial(BEFORE_SENDING)
    assert denial is not None
    assert denial.code is Code.HALTED
    assert fixture.logged == [(LogEvent.KILL_SWITCH_TRIPPED, {"reason": "10 rejects"})]


def test_trip_that_cannot_be_stored_still_stops_this_run() -> None:
    fixture = Fixture()
    fixture.fails = True
    fixture.kill_switch.trip("overfill")

    assert fixture.logged == [
        (LogEvent.KILL_SWITCH_TRIPPED, {"reason": "overfill"}),
        (LogEvent.KILL_SWITCH_TRIP_FAILED, {"reason": "the table does not answer"}),
    ]
    assert fixture.kill_switch.denial(BEFORE_SENDING) is not None


@pytest.mark.parametrize(
    ("by", "reason", "missing"),
    [("", "drill", "by"), (" ", "drill", "by"), ("Ada", "", "reason"), ("Ada", "  ", "reason")],
)
def test_setting_it_needs_a_name_and_a_reason(by: str, reason: str, missing: str) -> None:
    fixture = Fixture()
    with pytest.raises(InvalidInput, match="is missing") as raised:
        set_by_operator(fixture.risk_store, "main", KillSwitchRecord(TradingState.ACTIVE, by, reason, NOW))
    assert raised.value.field == missing
    assert fixture.risk_store.kill_switch_settings == {}


def test_every_setting_is_kept_with_operator_time_and_reason() -> None:
    fixture = Fixture()
    for state in (TradingState.HALTED, TradingState.REDUCING, TradingState.ACTIVE):
        set_by_operator(fixture.risk_store, "main", KillSwitchRecord(state, " Ada ", " drill ", NOW))

    assert [(s.state, s.by, s.reason, s.at) for s in fixture.risk_store.kill_switch_settings["main"]] == [
        (TradingState.HALTED, "Ada", "drill", NOW),
        (TradingState.REDUCING, "Ada", "drill", NOW),
        (TradingState.ACTIVE, "Ada", "drill", NOW),
    ]
