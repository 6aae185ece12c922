"""Seeding of the simulated broker: its prices, positions and cash are set to those of a plan, once per plan.

Executing a seeded plan again leaves the positions and orders of its first execution unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rebalance_executor.domain.plan import RebalancePlan
from rebalance_sandbox.errors import SandboxError
from rebalance_sandbox.paper_broker import PaperBrokerClient
from rebalance_sandbox.paper_world import PaperWorld, world_for


def seed_plans(plans: Sequence[RebalancePlan], data_dir: Path, broker: PaperBrokerClient) -> PaperWorld | None:
    """Seed the simulated broker for the plans that were not seeded before.

    Args:
        plans: valid plans.
        data_dir: directory that records which plans were seeded.
        broker: the simulated broker of that directory.

    Returns:
        What was set, or None if every plan was seeded before.

    Raises:
        SandboxError: the record of seeded plans cannot be read.
    """
    record = data_dir / "broker" / "seeded_plans.json"
    try:
        seeded: list[str] = json.loads(record.read_text()) if record.exists() else []
    except ValueError:
        raise SandboxError(f"{record} is not JSON.", "Delete the local data", ("local", "reset")) from None
    new = [plan for plan in plans if plan.plan_id not in seeded]
    if not new:
        return None
    world = world_for(new, broker.quotes({item.symbol for plan in new for item in plan.items}))
    broker.set_world(world)
    record.write_text(json.dumps([*seeded, *(plan.plan_id for plan in new)]))
    return world
