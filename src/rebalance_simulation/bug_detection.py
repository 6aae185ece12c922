"""Detection of deliberate bugs: the number of histories until a bug breaks an invariant."""

from __future__ import annotations

from dataclasses import dataclass

from rebalance_simulation.bugs import switched_on
from rebalance_simulation.history import History


@dataclass(frozen=True, slots=True)
class Detection:
    """The first history that detected a bug."""

    histories: int
    """Number of histories run, including that one."""
    problem: str
    """The broken invariant."""


def detect(name: str, limit: int) -> Detection | None:
    """Run histories with this bug until one breaks an invariant; return None if ``limit`` histories do not."""
    with switched_on(name):
        for seed in range(limit):
            try:
                History(seed).run()
            except Exception as error:  # noqa: BLE001 - a bug may break anything
                return Detection(seed + 1, f"{type(error).__name__}: {error}")
    return None
