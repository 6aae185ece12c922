"""One plan of sells and buys, interrupted at every single call. It always has the same end."""

from __future__ import annotations

from collections import Counter

import pytest
from typer.testing import CliRunner

from rebalance_simulation import sweep
from rebalance_simulation.__main__ import app
from rebalance_simulation.faults import Fault, Situation
from rebalance_simulation.statistics import RunStats, play_sweep
from rebalance_simulation.sweep import Story, Sweep

SECONDS_PER_FIRST = 3
"""Second interruptions tried for each first one; ``--sweep`` tries them all."""


def interrupt_everywhere(kind: Sweep, story: Story) -> RunStats:
    stats = RunStats()
    for first in sweep.firsts(kind, story):
        stats.merge(play_sweep(Sweep.SINGLES, story, first))
    return stats


@pytest.mark.parametrize("kind", [Sweep.SINGLES, Sweep.INTERRUPTIONS, Sweep.YIELDS])
@pytest.mark.parametrize("story", [Story.AT_ONCE, Story.RESTS])
def test_every_order_is_filled_once_after_an_interruption_at_any_call(kind: Sweep, story: Story) -> None:
    stats = interrupt_everywhere(kind, story)

    assert stats.failures == []
    assert stats.histories >= len(sweep.undisturbed(story).call_names)
    assert stats.outcomes == {"FILLED": 6 * stats.histories}


def test_every_order_is_filled_once_after_a_wrong_answer_to_any_call() -> None:
    stats = interrupt_everywhere(Sweep.ANSWERS, Story.RESTS)

    assert stats.failures == []
    assert stats.outcomes == {"FILLED": 6 * stats.histories}
    assert stats.event_counts.keys() >= {
        Fault.LOST_ANSWER,
        Fault.THROTTLED,
        Fault.REPEATED,
        Fault.LATE,
        Fault.HIDDEN,
    }


def test_every_order_is_filled_once_after_a_kill_at_any_call_of_a_ladder() -> None:
    scripts = list(sweep.firsts(Sweep.SINGLES, Story.LADDER))[::3]
    for script in scripts:
        sweep.check(Story.LADDER, script)

    assert len(scripts) >= 80


@pytest.mark.parametrize("kind", [Sweep.SINGLES, Sweep.INTERRUPTIONS])
def test_every_order_is_filled_once_after_an_interruption_between_slices(kind: Sweep) -> None:
    """Calls of a run that waits for the next slice, of the yield after it, and of the run that sends the last one."""
    scripts = list(sweep.firsts(kind, Story.SLICES))[::3]
    worlds = [sweep.check(Story.SLICES, script) for script in scripts]

    assert len(worlds) >= 60
    counts = sum((world.event_counts for world in worlds), Counter[str]())
    assert counts[Situation.SLICE] > 5 * len(worlds)
    assert counts[Situation.SLICE_OF_A_LATER_RUN] >= len(worlds)


def test_every_order_is_filled_once_after_two_interruptions_between_slices() -> None:
    for kind in (Sweep.PAIRS, Sweep.YIELDS):
        for first in list(sweep.firsts(kind, Story.SLICES))[::20]:
            calls = sweep.check(Story.SLICES, first).faults.calls
            seconds = list(sweep.second_interruptions(kind, first, calls))
            for script in seconds[:: max(1, len(seconds) // SECONDS_PER_FIRST)]:
                sweep.check(Story.SLICES, script)


@pytest.mark.parametrize("kind", [Sweep.SINGLES, Sweep.INTERRUPTIONS, Sweep.ANSWERS])
def test_every_order_is_filled_once_after_an_interruption_before_an_auction(kind: Sweep) -> None:
    """Calls of the run that sends the orders, and of the run that comes back after the close."""
    stats = interrupt_everywhere(kind, Story.CLOSE)

    assert stats.failures == []
    assert stats.outcomes == {"FILLED": 6 * stats.histories}


@pytest.mark.parametrize("kind", [Sweep.PAIRS, Sweep.YIELDS])
def test_every_order_is_filled_once_after_two_interruptions(kind: Sweep) -> None:
    tried = 0
    for first in list(sweep.firsts(kind, Story.RESTS))[::10]:
        calls = sweep.check(Story.RESTS, first).faults.calls
        seconds = list(sweep.second_interruptions(kind, first, calls))
        for script in seconds[:: max(1, len(seconds) // SECONDS_PER_FIRST)]:
            sweep.check(Story.RESTS, script)
            tried += 1

    assert tried >= 20


def test_stories_make_every_kind_of_call() -> None:
    calls = {name for story in Story for name in sweep.undisturbed(story).call_names}

    assert calls >= {
        "idempotency.claim",
        "journal.acquire",
        "journal.load",
        "risk_store.load",
        "risk_store.kill_switch",
        "assets.get",
        "broker GET /account",
        "broker GET /positions",
        "broker GET /orders",
        "broker POST /orders",
        "broker DELETE /orders/{id}",
        "journal.write_batch",
        "journal.write",
        "journal.finish",
        "publisher.publish",
        "idempotency.complete",
    }


def test_command_runs_a_story_with_a_script() -> None:
    result = CliRunner().invoke(app, ["--story", "rests", "--script", "12:KILL_BEFORE,30:DEADLINE"])

    assert result.exit_code == 0
    assert "! killed before the effect" in result.output
    assert "every invariant held" in result.output
