"""One event through the real handler, against a paper world in which its plan makes sense.

The story: read the event, make the world fit plans that were never begun, run the function while telling its
progress, and gather what a person wants to know afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rebalance_executor.cli.bench import Bench
from rebalance_executor.cli.cloud import PLAN_BUCKET, Cloud, function_environment
from rebalance_executor.cli.documents import EventFile, document_for, plan_in, read_json
from rebalance_executor.cli.exits import CliError
from rebalance_executor.cli.function import Invocation, invoke
from rebalance_executor.cli.paper import PaperBroker
from rebalance_executor.cli.progress import Narrator, Story, grid
from rebalance_executor.cli.render import Cash
from rebalance_executor.cli.world import world_for
from rebalance_executor.domain.plan import Action, RebalancePlan
from rebalance_executor.triggers import PlanPointer


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for besides the event."""

    seconds: float
    """Of the invocation."""
    keep_world: bool
    """Leave the paper broker's prices, positions and cash as they are."""
    plan_file: Path | None
    """What is uploaded where a pointer points to."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Everything to be shown of one run."""

    event_file: EventFile
    invocation: Invocation
    story: Story
    cash: Cash
    orders_before: int
    orders_after: int
    log: Path


def rehearse(bench: Bench, event_file: EventFile, options: Options, console: Console) -> Rehearsal:
    """Run one event; progress goes to ``console``."""
    cloud, broker = Cloud(bench.aws.url), PaperBroker(bench.broker.url)
    try:
        cloud.create_tables()
        event_file = _with_documents(event_file, options, cloud, console)
        _introduce(event_file, console)
        _make_world(event_file, options, cloud, broker, console)
        cash, orders = broker.cash(), broker.order_count()
        story = Story.of(event_file.plans)
        log = bench.home / "log" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{event_file.path.stem}.jsonl"
        bucket = event_file.pointers[0].bucket if event_file.pointers else PLAN_BUCKET
        environment = function_environment(os.environ, bench.aws.url, bench.broker.url, bucket)
        with _telling(story, console) as tell:
            invocation = invoke(event_file.path, environment, log, options.seconds, tell)
        return Rehearsal(event_file, invocation, story, Cash(cash, broker.cash()), orders, broker.order_count(), log)
    finally:
        cloud.close()
        broker.close()


# --- before ----------------------------------------------------------------------------------------------


def _with_documents(event_file: EventFile, options: Options, cloud: Cloud, console: Console) -> EventFile:
    """The event file with the plans its pointers point to, which are uploaded here."""
    plans = {plan.plan_id: plan for plan in event_file.plans}
    for pointer in event_file.pointers:
        path = options.plan_file or document_for(pointer, event_file.path.parent.rglob("*.json"))
        if path is None:
            raise CliError(
                f"No plan was found beside {event_file.path} to upload as s3://{pointer.bucket}/{pointer.key}.",
                "Name the file that holds it with --plan.",
            )
        plan = _upload(pointer, path, cloud)
        if plan is not None:
            plans.setdefault(plan.plan_id, plan)
        console.print(_line("Upload", f"{path} → s3://{pointer.bucket}/{pointer.key}"))
    return replace(event_file, plans=tuple(plans.values()))


def _upload(pointer: PlanPointer, path: Path, cloud: Cloud) -> RebalancePlan | None:
    plan = plan_in(read_json(path))
    cloud.put_plan(pointer.bucket, pointer.key, path.read_bytes())
    return plan


def _introduce(event_file: EventFile, console: Console) -> None:
    console.print(_line("Event", str(event_file.path)))
    for plan in event_file.plans:
        counts = {action: sum(item.action is action for item in plan.items) for action in Action}
        items = ", ".join(f"{n} {action.lower()}{'s' if n != 1 else ''}" for action, n in counts.items() if n)
        console.print(
            _line(
                "Plan",
                f"{plan.plan_id}: {items}; portfolio ${plan.total_portfolio_value:,.2f}, "
                f"made {plan.timestamp:%Y-%m-%d %H:%M} UTC, {plan.execution_urgency}",
            )
        )


def _make_world(event_file: EventFile, options: Options, cloud: Cloud, broker: PaperBroker, console: Console) -> None:
    """Make prices, positions and cash fit the plans that were never begun; a begun plan's world is left alone."""
    new = [plan for plan in event_file.plans if not cloud.knows(plan)]
    if options.keep_world or not new:
        return
    world = world_for(new, broker.quotes({item.symbol for plan in new for item in plan.items}))
    broker.make(world)
    console.print(
        _line(
            "World",
            f"made to fit the plan: {world.holdings} positions, ${world.cash:,.2f} cash, "
            f"{len(world.new_quotes)} new quotes",
        )
    )


def _line(name: str, text: str) -> Text:
    return Text.assemble((f"{name:<8}", "bold"), text)


# --- while it runs ---------------------------------------------------------------------------------------


class _telling:  # noqa: N801 - used as a context manager, like a function
    """Tells the story to the console while the function runs: a live grid on a terminal, lines elsewhere."""

    def __init__(self, story: Story, console: Console) -> None:
        self._story = story
        self._narrator = Narrator(console, story)
        self._live = Live(grid(story), console=console, transient=True) if console.is_terminal else None

    def __enter__(self) -> Callable[[dict[str, Any]], None]:
        if self._live is not None:
            self._live.start()
        return self._tell

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            self._live.stop()
        self._narrator.flush()

    def _tell(self, record: dict[str, Any]) -> None:
        event = self._story.read(record)
        if self._live is not None:
            self._live.update(grid(self._story))
        elif event is not None:
            self._narrator.tell(event, record)
