"""Every change of a child order in simulated histories is one that the table of phases allows."""

from __future__ import annotations

from collections import Counter

import pytest

from rebalance_executor.domain.orders import ChildOrder, ChildPhase, ParentOrder
from rebalance_executor.domain.phases import NEXT_PHASES
from rebalance_simulation.history import History

SEEDS = range(750)


def test_histories_take_only_allowed_phases_and_most_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: Counter[tuple[ChildPhase, ChildPhase]] = Counter()
    with_child = ParentOrder.with_child

    def observed(parent: ParentOrder, child: ChildOrder) -> ParentOrder:
        last = parent.last_child
        if last is not None and last.attempt == child.attempt and last.phase is not child.phase:
            taken[last.phase, child.phase] += 1
        return with_child(parent, child)

    monkeypatch.setattr(ParentOrder, "with_child", observed)
    for seed in SEEDS:
        History(seed).run()

    allowed = {(phase, after) for phase, phases in NEXT_PHASES.items() for after in phases}
    assert taken.keys() <= allowed
    assert {before for before, _ in taken} == {phase for phase, after in NEXT_PHASES.items() if after}
    assert len(taken) >= 20
