"""The kill switch as a run sees it: how old it may be, and what happens when it is tripped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import InvalidInput, JournalUnavailable
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.risk_state import NEVER_SET, PROGRAM, KillSwitchRecord, TradingState
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.kill_switch import BEFORE_SENDING, KillSwitch, set_by_operator
from rebalance_executor.execution.ports import Ports
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW
from tests.support.memory_risk_store import InMemoryRiskStore


class Desk:
    """A kill switch on a book in memory; ``fails`` breaks the way to it."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.reads = 0
        self.fails = False
        self.told: list[tuple[LogEvent, dict[str, object]]] = []
        self.book = InMemoryRiskStore(self._way)
        ports = Ports(
            brokers=cast("Any", None),
            journal=cast("Any", None),
            risk_store=self.book,
            assets=cast("Any", None),
            clock=self.clock,
            log=self,
        )
        self.switch = KillSwitch(ports, "main")

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.told.append((event, fields))

    def _way[T](self, name: str, effect: Callable[[], T], /) -> T:
        if self.fails:
            raise JournalUnavailable("the table does not answer")
        self.reads += name == "risk_store.kill_switch"
        return effect()


def test_within_a_second_it_is_read_once_and_after_it_again() -> None:
    desk = Desk()
    for _ in range(5):
        assert desk.switch.denial(BEFORE_SENDING) is None
    desk.clock.advance(timedelta(seconds=1))
    desk.switch.denial(BEFORE_SENDING)
    assert desk.reads == 1

    desk.clock.advance(timedelta(microseconds=1))
    desk.switch.denial(BEFORE_SENDING)
    assert desk.reads == 2


def test_what_was_read_with_the_book_counts_from_then() -> None:
    desk = Desk()
    desk.switch.prime(NEVER_SET, NOW)
    desk.switch.denial(BEFORE_SENDING)
    assert desk.reads == 0


def test_a_switch_that_cannot_be_read_is_an_error_and_no_permission() -> None:
    desk = Desk()
    desk.fails = True
    with pytest.raises(JournalUnavailable):
        desk.switch.denial(BEFORE_SENDING, Side.SELL)


def test_tripped_it_is_halted_for_everybody_by_the_program() -> None:
    desk = Desk()
    desk.switch.trip("10 rejects")

    (switch,) = desk.book.kill_switch_settings["main"]
    assert (switch.state, switch.by, switch.reason, switch.at) == (TradingState.HALTED, PROGRAM, "10 rejects", NOW)
    refusal = desk.switch.denial(BEFORE_SENDING)
    assert refusal is not None
    assert refusal.code is Code.HALTED
    assert desk.told == [(LogEvent.KILL_SWITCH_TRIPPED, {"reason": "10 rejects"})]


def test_a_trip_that_cannot_be_written_still_stops_this_run() -> None:
    desk = Desk()
    desk.fails = True
    desk.switch.trip("overfill")

    assert desk.told == [
        (LogEvent.KILL_SWITCH_TRIPPED, {"reason": "overfill"}),
        (LogEvent.KILL_SWITCH_TRIP_FAILED, {"reason": "the table does not answer"}),
    ]
    assert desk.switch.denial(BEFORE_SENDING) is not None


@pytest.mark.parametrize(
    ("by", "reason", "missing"),
    [("", "drill", "by"), (" ", "drill", "by"), ("Ada", "", "reason"), ("Ada", "  ", "reason")],
)
def test_setting_it_needs_a_name_and_a_reason(by: str, reason: str, missing: str) -> None:
    desk = Desk()
    with pytest.raises(InvalidInput, match="is missing") as raised:
        set_by_operator(desk.book, "main", KillSwitchRecord(TradingState.ACTIVE, by, reason, NOW))
    assert raised.value.field == missing
    assert desk.book.kill_switch_settings == {}


def test_every_setting_is_kept_with_who_when_and_why() -> None:
    desk = Desk()
    for state in (TradingState.HALTED, TradingState.REDUCING, TradingState.ACTIVE):
        set_by_operator(desk.book, "main", KillSwitchRecord(state, " Ada ", " drill ", NOW))

    assert [(s.state, s.by, s.reason, s.at) for s in desk.book.kill_switch_settings["main"]] == [
        (TradingState.HALTED, "Ada", "drill", NOW),
        (TradingState.REDUCING, "Ada", "drill", NOW),
        (TradingState.ACTIVE, "Ada", "drill", NOW),
    ]
