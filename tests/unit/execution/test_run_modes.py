"""The mode of a run: what leads to each mode, and that no mode is left for an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import cast

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.controls import Denial
from rebalance_executor.domain.decisions import Concluding, RunMode, Working, Yielding
from rebalance_executor.execution.ports import Ports
from rebalance_executor.execution.run import Run
from tests.support.builders import NOW, later
from tests.support.fake_ports import FakePorts
from tests.support.runs import a_run

STATES_PAGE = Path(__file__).parents[3] / "docs" / "order-states.md"
DENIAL = Denial(Code.HALTED, "the account is halted")
RANK = {Working: 0, Concluding: 1, Yielding: 2}


def documented() -> list[str]:
    """Return the modes in the table of ``docs/order-states.md``."""
    rows = [line.split("|")[1].strip(" `") for line in STATES_PAGE.read_text().splitlines() if line.startswith("| `")]
    return [name for name in rows if name in {mode.__name__ for mode in RANK}]


def test_the_documented_modes_are_those_of_the_code() -> None:
    assert documented() == [mode.__name__ for mode in RANK]
    assert set(RANK) == set(RunMode.__args__)


def test_a_new_run_works() -> None:
    assert a_run().mode_at(NOW) == Working()


@pytest.mark.parametrize(
    ("run", "seconds", "code"),
    [
        (lambda: a_run(denial=DENIAL), 0, Code.HALTED),
        (lambda: a_run(closes_at=later(60)), 60, Code.MARKET_CLOSED),
        (lambda: a_run(minutes=1), 60, Code.TIME_LIMIT),
        (lambda: a_run(denial=DENIAL, closes_at=later(60), minutes=1), 60, Code.HALTED),
        (lambda: a_run(closes_at=later(60), minutes=1), 60, Code.MARKET_CLOSED),
    ],
    ids=["control", "close", "time limit", "a control before the close", "the close before the time limit"],
)
def test_a_run_concludes_with_the_code_of_its_reason(run: Callable[[], Run], seconds: float, code: Code) -> None:
    mode = run().mode_at(later(seconds))
    assert isinstance(mode, Concluding)
    assert mode.code is code


def test_close_and_time_limit_count_from_their_moment_on() -> None:
    assert a_run(closes_at=later(60), minutes=1).mode_at(later(59.9)) == Working()


def test_a_run_yields_at_the_time_to_stop() -> None:
    run = a_run(seconds=600, denial=DENIAL)
    assert isinstance(run.mode_at(later(569.9)), Concluding)
    assert run.mode_at(later(570)) == Yielding("stopped safely before the deadline", later(590))


@pytest.mark.parametrize(("at", "give_up_at"), [(100, 120), (580, 590)], ids=["early", "during the margin"])
def test_an_early_yield_has_the_margin_of_the_deadline_and_never_more(at: float, give_up_at: float) -> None:
    run = a_run(seconds=600)
    run.yield_early("the circuit is open", later(at))
    assert run.mode_at(later(at)) == Yielding("the circuit is open", later(give_up_at))
    assert run.deadline.stop_at == later(570)


def test_a_stop_request_yields_once() -> None:
    run, requests = a_run(), [True, True]
    ports = FakePorts().ports
    asked = cast("Ports", type("P", (), {"stop_requested": requests.pop, "clock": ports.clock})())
    run.check_stop_requested(asked)
    run.check_stop_requested(asked)
    assert run.mode_at(NOW) == Yielding("stopped safely on request", later(20))
    assert requests == [True]


def test_no_order_of_events_leads_back_to_an_earlier_mode() -> None:
    """Yielding wins, and every reason stays."""

    def deny(run: Run) -> None:
        run.conclude(DENIAL, FakePorts().ports.log)

    def stop(run: Run) -> None:
        run.yield_early("stopped safely on request", NOW)

    events: tuple[Callable[[Run], None], ...] = (deny, stop, lambda _: None)
    for steps in product(events, repeat=3):
        run, rank = a_run(closes_at=later(200), minutes=5), 0
        for seconds, step in zip((100, 250, 580), steps, strict=True):
            step(run)
            after = RANK[type(run.mode_at(later(seconds)))]
            assert after >= rank
            rank = after
        assert rank == RANK[Yielding]
