"""Workloads of a history: everything drawn, or the user's own plans in the user's own market."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Protocol

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_simulation import config_generator, generators
from rebalance_simulation.faults import Trait
from rebalance_simulation.generators import Message

_DRAWN_ONLY = {
    Trait.NEAR_OPEN,
    Trait.NEAR_CLOSE,
    Trait.TIGHT_LIMITS,
    Trait.OVERRIDES,
    Trait.OTHER_CONTENT,
    Trait.TEN_DECIMALS,
    Trait.LATE_LISTS,
    Trait.FOREIGN_ROWS,
    Trait.LATE_ACCOUNT,
    Trait.LOST_DELIVERY,
    Trait.TWO_NAMES,
    Trait.BUSY_PERSON,
    Trait.MANY_PLANS,
    Trait.HALF_CENTS,
    Trait.TARGETS,
    Trait.PATIENT,
    Trait.LARGE,
    Trait.ONE_TICK,
    Trait.SUB_SHARE,
    Trait.SLICE_SETTINGS,
    Trait.AUCTIONS,
    Trait.TOGETHER,
}
"""Traits that change hours, configuration or plans, and apply only if these are drawn."""


@dataclass(frozen=True, slots=True)
class Case:
    """The user's own plans, to be executed under faults.

    Args:
        plans: documents as they are delivered, each with its own plan ID, made at ``clock.START`` or shortly before.
        scenario: the simulated broker's scenario (``docs/paper-broker-reference.md``), with a quote for every symbol.
            How orders fill is drawn for each history, unless the scenario has ``default_fill`` or ``fills``.
        config: execution settings.
    """

    plans: Sequence[Mapping[str, object]]
    scenario: Mapping[str, Any]
    config: ExecutionConfig = field(default_factory=ExecutionConfig)


Cases = Callable[[Random], Case]
"""Function that makes the case of one history. The same random numbers must give the same case."""


class Workload(Protocol):
    """Market, configuration and plans of one history.

    Methods draw from the history's random numbers. They are called once each, in the order below.
    """

    def traits(self, drawn: set[Trait]) -> set[Trait]:
        """Return the subset of ``drawn`` that applies to this workload."""
        ...

    def scenario(self, traits: Collection[Trait]) -> Mapping[str, Any]:
        """Return the simulated broker's scenario."""
        ...

    def config(self, traits: Collection[Trait]) -> ExecutionConfig:
        """Return the execution settings."""
        ...

    def messages(self, traits: Collection[Trait], start: datetime) -> list[Message]:
        """Return the plans as messages to deliver."""
        ...


class DrawnWorkload:
    """A workload drawn entirely from the history's random numbers."""

    def __init__(self, seed: int, rng: Random) -> None:
        self._seed = seed
        self._rng = rng

    def traits(self, drawn: set[Trait]) -> set[Trait]:
        """Return all of ``drawn``."""
        return drawn

    def scenario(self, traits: Collection[Trait]) -> Mapping[str, Any]:
        """Draw a market and an account."""
        return generators.scenario(self._seed, self._rng, traits)

    def config(self, traits: Collection[Trait]) -> ExecutionConfig:
        """Draw execution settings."""
        drawn = config_generator.config(self._rng, traits)
        return drawn.model_copy(update={"submission_window": 2 + self._seed % 3}) if Trait.TOGETHER in traits else drawn

    def messages(self, traits: Collection[Trait], start: datetime) -> list[Message]:
        """Draw one to three plans."""
        return generators.messages(self._rng, traits, start)


class CaseWorkload:
    """A user's case. Only the fills of its orders and the triggers of its plans are drawn."""

    def __init__(self, seed: int, rng: Random, case: Case) -> None:
        self._seed = seed
        self._rng = rng
        self._case = case

    def traits(self, drawn: set[Trait]) -> set[Trait]:
        """Return the traits that leave the case unchanged."""
        return drawn - _DRAWN_ONLY

    def scenario(self, traits: Collection[Trait]) -> Mapping[str, Any]:
        """Return the case's market with drawn fills."""
        with_short_lateness = {*traits, Trait.UNUSUAL_SETTINGS}  # the case's tick may be short
        fills = generators.fill_behaviours(self._rng, tuple(self._case.scenario["quotes"]), with_short_lateness)
        return {"seed": self._seed, **fills, **self._case.scenario}

    def config(self, traits: Collection[Trait]) -> ExecutionConfig:
        """Return the case's execution settings."""
        del traits
        return self._case.config

    def messages(self, traits: Collection[Trait], start: datetime) -> list[Message]:
        """Return the case's plans, each with a drawn trigger."""
        del traits, start
        return [
            Message(str(plan["plan_id"]), dict(plan), self._rng.choice(generators.TRIGGERS))
            for plan in self._case.plans
        ]
