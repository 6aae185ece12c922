"""Seeding of the simulated broker: the first plan sets its prices, positions and cash; later plans find what is there.

A later plan only adds prices of symbols that the broker does not know, so that the plans of several days can be
rehearsed one after the other. A new world is created on request only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from rebalance_executor.domain.plan import RebalancePlan
from rebalance_sandbox.errors import SandboxError
from rebalance_sandbox.paper_broker import PaperBrokerClient
from rebalance_sandbox.paper_world import PaperWorld, SeedQuote, world_for

_TOLERANCE = Decimal("0.01")
"""Relative difference between the value of a holding in a plan and at the broker that prices alone explain."""
_ONE_DOLLAR = Decimal(1)


@dataclass(frozen=True, slots=True)
class Difference:
    """A holding whose value in a plan is not that at the broker, in dollars."""

    symbol: str
    planned: Decimal
    held: Decimal


@dataclass(frozen=True, slots=True)
class Seeding:
    """Outcome of ``seed_plans``."""

    world: PaperWorld | None = None
    """The world that was created, if one was."""
    differences: tuple[Difference, ...] = ()
    """Holdings of the new plans that are not those of the existing world."""


def seed_plans(
    plans: Sequence[RebalancePlan],
    data_dir: Path,
    broker: PaperBrokerClient,
    *,
    new_world: bool = False,
    is_run: bool = True,
) -> Seeding:
    """Create the world of these plans if there is none, or compare them with the world that exists.

    Args:
        plans: valid plans.
        data_dir: directory that records which plans were seeded.
        broker: the simulated broker of that directory.
        new_world: replace an existing world: its prices stay, its positions and its cash are set.
        is_run: the plans are executed next. Their holdings are compared until then only.

    Raises:
        SandboxError: the record of seeded plans cannot be read.
    """
    record = data_dir / "broker" / "seeded_plans.json"
    seeded = _read(record)
    new = [plan for plan in plans if plan.plan_id not in seeded]
    if not (plans if new_world else new):
        return Seeding()
    known = broker.quotes({item.symbol for plan in plans for item in plan.items})
    world = world_for(plans if new_world else new, known)
    differences: tuple[Difference, ...] = ()
    if new_world or not seeded:
        world = _without_others(world, broker)
        broker.set_world(world)
        outcome = Seeding(world)
    else:
        broker.add_quotes(world.new_quotes)
        quotes = known | dict(world.new_quotes)
        differences = tuple(_differences(world, quotes, broker.positions()))
        outcome = Seeding(differences=differences)
    if is_run or outcome.world is not None:
        record.write_text(json.dumps([*seeded, *(plan.plan_id for plan in new)]))
    return outcome


def _without_others(world: PaperWorld, broker: PaperBrokerClient) -> PaperWorld:
    """Return the world with a position of zero for each other symbol that is held."""
    others = broker.positions().keys() - world.positions.keys()
    quotes = broker.quotes(others) if others else {}
    prices = {symbol: quotes[symbol].mid if symbol in quotes else _ONE_DOLLAR for symbol in others}
    sold = dict.fromkeys(others, Decimal(0))
    return replace(world, positions=sold | dict(world.positions), prices=prices | dict(world.prices))


def _read(record: Path) -> list[str]:
    try:
        seeded: list[str] = json.loads(record.read_text()) if record.exists() else []
    except ValueError:
        raise SandboxError(f"{record} is not JSON.", "Delete the local data", ("local", "reset")) from None
    return seeded


def _differences(
    world: PaperWorld, quotes: Mapping[str, SeedQuote], positions: Mapping[str, Decimal]
) -> list[Difference]:
    """Return the holdings that differ by more than prices explain, the largest difference first."""
    found = []
    for symbol, shares in world.positions.items():
        price = quotes[symbol].mid
        one = Difference(symbol, shares * price, positions.get(symbol, Decimal(0)) * price)
        if abs(one.planned - one.held) > max(_ONE_DOLLAR, _TOLERANCE * max(one.planned, one.held)):
            found.append(one)
    return sorted(found, key=lambda one: -abs(one.planned - one.held))
