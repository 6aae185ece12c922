"""What a history is about: drawn as a whole, or somebody's own plans in a market of their own."""

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

_OF_DRAWN = {Trait.EARLY, Trait.NEAR_CLOSE, Trait.TIGHT_LIMITS, Trait.OVERRIDES, Trait.OTHER_CONTENT}
"""Traits of what is drawn: its hours, its configuration, its plans."""


@dataclass(frozen=True, slots=True)
class Case:
    """Somebody's own plans, to be executed under faults.

    Args:
        plans: documents as they are delivered, with ids that differ; made at ``clock.BEGIN`` or shortly before.
        scenario: the paper broker's world (``docs/paper-broker.md``), with a quote for every symbol. How orders fare
            is drawn for each history, unless it says ``default_fill`` or ``fills``.
        config: how they are executed.
    """

    plans: Sequence[Mapping[str, object]]
    scenario: Mapping[str, Any]
    config: ExecutionConfig = field(default_factory=ExecutionConfig)


Cases = Callable[[Random], Case]
"""Makes the case of one history; the same randomness must give the same case."""


class Workload(Protocol):
    """What a history is about. Each method draws from the history's randomness: they are called once, in this order."""

    def traits(self, drawn: set[Trait]) -> set[Trait]:
        """Those that can be, of these."""
        ...

    def scenario(self, traits: Collection[Trait]) -> Mapping[str, Any]:
        """The exchange's world."""
        ...

    def config(self, traits: Collection[Trait]) -> ExecutionConfig:
        """The program's configuration."""
        ...

    def messages(self, traits: Collection[Trait], begin: datetime) -> list[Message]:
        """The plans on their way in."""
        ...


class Drawn:
    """Everything is drawn."""

    def __init__(self, seed: int, chance: Random) -> None:
        self._seed = seed
        self._chance = chance

    def traits(self, drawn: set[Trait]) -> set[Trait]:
        """All of them."""
        return drawn

    def scenario(self, traits: Collection[Trait]) -> Mapping[str, Any]:
        """A market and an account."""
        return generators.scenario(self._seed, self._chance, traits)

    def config(self, traits: Collection[Trait]) -> ExecutionConfig:
        """Any style, wide or tight limits."""
        return config_generator.config(self._chance, traits)

    def messages(self, traits: Collection[Trait], begin: datetime) -> list[Message]:
        """One to three plans."""
        return generators.messages(self._chance, traits, begin)


class Given:
    """A case is given; how its orders fare and how its plans come in is drawn."""

    def __init__(self, seed: int, chance: Random, case: Case) -> None:
        self._seed = seed
        self._chance = chance
        self._case = case

    def traits(self, drawn: set[Trait]) -> set[Trait]:
        """Those that change nothing of the case."""
        return drawn - _OF_DRAWN

    def scenario(self, traits: Collection[Trait]) -> Mapping[str, Any]:
        """The case's market."""
        del traits
        fates = generators.fates(self._chance, tuple(self._case.scenario["quotes"]))
        return {"seed": self._seed, **fates, **self._case.scenario}

    def config(self, traits: Collection[Trait]) -> ExecutionConfig:
        """The case's."""
        del traits
        return self._case.config

    def messages(self, traits: Collection[Trait], begin: datetime) -> list[Message]:
        """The case's plans, each by some way in."""
        del traits, begin
        return [
            Message(str(plan["plan_id"]), dict(plan), self._chance.choice(generators.WAYS_IN))
            for plan in self._case.plans
        ]
