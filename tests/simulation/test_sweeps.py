"""One plan of three sells and three buys, interrupted at every single call. It always ends the same."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from rebalance_simulation import sweep
from rebalance_simulation.__main__ import app
from rebalance_simulation.faults import Fault
from rebalance_simulation.statistics import RunStats, play_sweep
from rebalance_simulation.sweep import Story, Sweep

AFTER_EACH_FIRST = 3
"""Of the second interruptions after a first one, so many are tried here; ``--sweep`` tries them all."""


def everywhere(kind: Sweep, story: Story) -> RunStats:
    tally = RunStats()
    for first in sweep.firsts(kind, story):
        tally.add(play_sweep(Sweep.SINGLES, story, first))
    return tally


@pytest.mark.parametrize("kind", [Sweep.SINGLES, Sweep.INTERRUPTIONS, Sweep.YIELDS])
@pytest.mark.parametrize("story", [Story.AT_ONCE, Story.RESTS])
def test_interrupted_anywhere_every_order_is_filled_once(kind: Sweep, story: Story) -> None:
    tally = everywhere(kind, story)

    assert tally.failures == []
    assert tally.histories >= len(sweep.undisturbed(story).names)
    assert tally.outcomes == {"FILLED": 6 * tally.histories}


def test_whatever_is_answered_to_any_call_every_order_is_filled_once() -> None:
    tally = everywhere(Sweep.ANSWERS, Story.RESTS)

    assert tally.failures == []
    assert tally.outcomes == {"FILLED": 6 * tally.histories}
    assert tally.happened.keys() >= {Fault.LOST_ANSWER, Fault.THROTTLED, Fault.REPEATED, Fault.LATE, Fault.HIDDEN}


def test_killed_anywhere_on_a_ladder_every_order_is_filled_once() -> None:
    scripts = list(sweep.firsts(Sweep.SINGLES, Story.LADDER))[::3]
    for script in scripts:
        sweep.check(Story.LADDER, script)

    assert len(scripts) >= 80


@pytest.mark.parametrize("kind", [Sweep.PAIRS, Sweep.YIELDS])
def test_interrupted_twice_every_order_is_filled_once(kind: Sweep) -> None:
    tried = 0
    for first in list(sweep.firsts(kind, Story.RESTS))[::10]:
        calls = sweep.check(Story.RESTS, first).faults.calls
        seconds = list(sweep.seconds(kind, first, calls))
        for script in seconds[:: max(1, len(seconds) // AFTER_EACH_FIRST)]:
            sweep.check(Story.RESTS, script)
            tried += 1

    assert tried >= 20


def test_the_stories_have_every_kind_of_step() -> None:
    calls = {name for story in Story for name in sweep.undisturbed(story).names}

    assert calls >= {
        "records.claim",
        "journal.acquire",
        "journal.load",
        "book.book",
        "book.switch",
        "assets.get",
        "broker GET /account",
        "broker GET /positions",
        "broker GET /orders",
        "broker POST /orders",
        "broker DELETE /orders/{id}",
        "journal.write_batch",
        "journal.write",
        "journal.finish",
        "reporter.publish",
        "records.complete",
    }


def test_an_interrupted_story_is_played_again_by_its_script() -> None:
    shown = CliRunner().invoke(app, ["--story", "rests", "--script", "12:KILL_BEFORE,30:DEADLINE"])

    assert shown.exit_code == 0
    assert "! killed before the effect" in shown.output
    assert "every promise held" in shown.output
