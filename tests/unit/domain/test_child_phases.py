"""The phases of a child order: how each follows from the fields, and which may follow which."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from rebalance_executor.domain.orders import ChildOrder, ChildPhase, ChildState
from rebalance_executor.domain.phases import NEXT_PHASES
from tests.support.builders import NOW, a_child, an_order, later

STATES_PAGE = Path(__file__).parents[3] / "docs" / "order-states.md"
TICK = timedelta(seconds=1)
FINAL = (
    ChildPhase.FILLED,
    ChildPhase.CANCELED,
    ChildPhase.EXPIRED,
    ChildPhase.REJECTED,
    ChildPhase.REPLACED,
    ChildPhase.NOT_SENT,
)


def documented() -> dict[str, set[str]]:
    """Return phase → next phases, as the table in ``docs/order-states.md`` shows them."""
    names = {phase.value for phase in ChildPhase}
    table = {}
    for line in STATES_PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 5 and cells[1].strip("`") in names:
            table[cells[1].strip("`")] = set(re.findall(r"`([A-Z_]+)`", cells[3])) & names
    return table


def test_the_documented_table_is_the_code() -> None:
    assert documented() == {phase.value: {after.value for after in NEXT_PHASES[phase]} for phase in ChildPhase}


def test_exactly_the_final_phases_have_no_next_phase() -> None:
    assert {phase for phase, after in NEXT_PHASES.items() if not after} == set(FINAL)


@pytest.mark.parametrize(
    ("child", "phase"),
    [
        (a_child(ChildState.INTENDED), ChildPhase.INTENDED),
        (a_child(ChildState.UNKNOWN), ChildPhase.UNKNOWN),
        (a_child(ChildState.UNKNOWN, error_code="40310000"), ChildPhase.RESEND_REJECTED),
        (a_child(), ChildPhase.WORKING),
        (a_child(error_code="40310000"), ChildPhase.WORKING),
        (a_child(cancel_requested_at=NOW), ChildPhase.PENDING_CANCEL),
        (a_child(closed_since=NOW), ChildPhase.CLOSED_UNCONFIRMED),
        (a_child(cancel_requested_at=NOW, closed_since=NOW), ChildPhase.CLOSED_UNCONFIRMED),
        *((a_child(ChildState[phase.name]), phase) for phase in FINAL),
        (a_child(ChildState.CANCELED, cancel_requested_at=NOW), ChildPhase.CANCELED),
    ],
)
def test_phase_follows_from_the_fields(child: ChildOrder, phase: ChildPhase) -> None:
    assert child.phase is phase


@pytest.mark.parametrize(
    "before",
    [
        a_child(ChildState.INTENDED),
        a_child(ChildState.UNKNOWN),
        a_child(ChildState.UNKNOWN, error_code="40310000"),
        a_child(),
        a_child(cancel_requested_at=NOW),
        a_child(closed_since=NOW),
        *(
            a_child(closed_since=NOW, reported_at=NOW, status=status)
            for status in ("canceled", "expired", "rejected", "replaced")
        ),
    ],
    ids=lambda child: f"{child.phase.lower()}-{child.status}",
)
@pytest.mark.parametrize("status", ["new", "partially_filled", "filled", "canceled", "expired", "rejected", "replaced"])
@pytest.mark.parametrize("price", ["10", None])
def test_every_report_leads_to_a_phase_that_may_follow(before: ChildOrder, status: str, price: str | None) -> None:
    filled = {"filled": "10", "partially_filled": "4"}.get(status, "0")
    after = before.with_report(an_order(status, filled=filled, price=price), later(1), TICK)
    assert after.phase is before.phase or after.phase in NEXT_PHASES[before.phase]


def test_an_outdated_live_report_leads_back_to_working() -> None:
    incomplete = a_child().with_report(an_order("filled", filled="10", price=None), later(1), TICK)
    assert incomplete.phase is ChildPhase.CLOSED_UNCONFIRMED
    assert incomplete.with_report(an_order("new"), later(2), TICK).phase is ChildPhase.WORKING
