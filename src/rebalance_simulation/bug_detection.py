"""How many histories it takes until a deliberate bug breaks a promise."""

from __future__ import annotations

from dataclasses import dataclass

from rebalance_simulation.bugs import switched_on
from rebalance_simulation.history import History


@dataclass(frozen=True, slots=True)
class Detection:
    """How a bug was found."""

    histories: int
    """How many it took."""
    problem: str


def detect(name: str, most: int) -> Detection | None:
    """Play histories with this bug until one of them breaks a promise, but not more than ``most``."""
    with switched_on(name):
        for seed in range(most):
            try:
                History(seed).run()
            except Exception as error:  # noqa: BLE001 - a bug may break anything
                return Detection(seed + 1, f"{type(error).__name__}: {error}")
    return None
