"""The paper broker's world made to fit plans, once each: the world of a plan that was begun is left alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from rebalance_cli.exit_codes import CliError
from rebalance_cli.views.result import counted, facts
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_sandbox.paper_broker import PaperBrokerClient
from rebalance_sandbox.paper_world import world_for


def say(console: Console, name: str, text: str, style: str = "") -> None:
    """One line beside the answer."""
    console.print(facts([(name, Text(text, style))]))


def make_world(plans: Sequence[RebalancePlan], home: Path, broker: PaperBrokerClient, console: Console) -> None:
    """Make prices, positions and cash fit those of the plans that were not seen here before."""
    memory = home / "broker" / "worlds.json"
    try:
        known: list[str] = json.loads(memory.read_text()) if memory.exists() else []
    except ValueError:
        raise CliError(f"{memory} is not readable.", "Begin a new world: rebalance local reset") from None
    new = [plan for plan in plans if plan.plan_id not in known]
    if not new:
        return
    world = world_for(new, broker.quotes({item.symbol for plan in new for item in plan.items}))
    broker.make(world)
    memory.write_text(json.dumps([*known, *(plan.plan_id for plan in new)]))
    say(console, "World", f"{counted(world.holdings, 'position')}, ${world.cash:,.2f} cash, as the plan says")
    say(console, "", "prices are invented, and orders fill after a second", "dim")
