"""A run as it happens, read from the handler's log lines.

``Story`` is the state after each line; ``telling`` shows it while it happens: as a ``grid`` on a terminal, line by line
(``LineReporter``) where there is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from rebalance_executor.domain.plan import Action, RebalancePlan
from rebalance_executor.execution.events import LogEvent

_CATALOGUE = {event.value: event for event in LogEvent}
_STAGES = {
    LogEvent.ORDER_INTENDED: "intended",
    LogEvent.ORDER_SUBMITTED: "submitted",
    LogEvent.ORDER_FOUND: "submitted",
    LogEvent.ORDER_RESENT: "sent again",
    LogEvent.ORDER_OUTCOME_UNKNOWN: "unknown",
    LogEvent.ORDER_CANCEL_REQUESTED: "cancelling",
    LogEvent.ITEM_FILLED: "filled",
    LogEvent.ITEM_PARTIALLY_FILLED: "unfinished",
    LogEvent.ITEM_UNFILLED: "unfinished",
    LogEvent.ITEM_REJECTED: "rejected",
    LogEvent.ITEM_DENIED: "denied",
    LogEvent.ITEM_SKIPPED: "skipped",
    LogEvent.ORDER_REJECTED: "rejected",
    LogEvent.ITEM_UNRESOLVED: "unresolved",
}
"""What a line about an order makes of it."""

SETTLED = frozenset({"filled", "unfinished", "denied", "skipped", "unresolved"})
_LOOK = {
    "waiting": ("·", "dim"),
    "intended": ("○", "cyan"),
    "submitted": ("●", "blue"),
    "sent again": ("●", "yellow"),
    "unknown": ("?", "yellow"),
    "cancelling": ("◌", "yellow"),
    "filled": ("✓", "green"),
    "unfinished": ("◐", "yellow"),
    "denied": ("✗", "red"),
    "skipped": ("-", "dim"),
    "rejected": ("✗", "red"),
    "unresolved": ("!", "bold red"),
}

_MILESTONES = {
    LogEvent.PLAN_DUPLICATE: "already executed: answered with the stored result",
    LogEvent.PLAN_STARTED: "sized; quantities frozen and journalled",
    LogEvent.PLAN_RESUMED: "resumed where an earlier run stopped",
    LogEvent.GATE_WAITING: "sells done; waiting until the account shows their proceeds",
    LogEvent.GATE_PASSED: "the buys' budget is known",
    LogEvent.RUN_YIELDING: "stopping safely: cancelling what rests",
    LogEvent.BROKER_RATE_LIMITED: "the broker asks for a pause (429)",
    LogEvent.PLAN_REDELIVERY_REQUESTED: "not finished: another delivery goes on with it",
    LogEvent.PLAN_FINISHED: "finished; result stored",
    LogEvent.PLAN_UNRESOLVED: "finished, and an operator must look; result stored",
    LogEvent.PLAN_INVALID: "invalid",
    LogEvent.PLAN_DENIED: "denied",
    LogEvent.PLAN_FAILED: "stopped by an error",
    LogEvent.RESULT_PUBLISH_FAILED: "the result event could not be published",
}


@dataclass(slots=True)
class RunProgress:
    """What is known so far: the stage of every order, and what the run as a whole is doing."""

    stages: dict[tuple[str, str], str]
    """By plan id and symbol, in the plans' order: sells first."""
    sides: dict[tuple[str, str], Action]
    now: str = "starting the function"
    broker_requests: int = 0
    worked: set[str] = field(default_factory=set)
    """Ids of plans that this invocation worked on."""
    repeated: set[str] = field(default_factory=set)
    """Ids of plans that were only answered with their stored result."""
    first_at: datetime | None = None
    last_at: datetime | None = None

    @classmethod
    def of(cls, plans: Iterable[RebalancePlan]) -> RunProgress:
        """The story before its first line."""
        orders = {(p.plan_id, item.symbol): item.action for p in plans for item in p.trades}
        ordered = dict(sorted(orders.items(), key=lambda order: (order[0][0], order[1] is Action.BUY)))
        return cls(stages=dict.fromkeys(ordered, "waiting"), sides=ordered)

    @property
    def settled(self) -> int:
        """Orders with an outcome."""
        return sum(stage in SETTLED for stage in self.stages.values())

    @property
    def seconds(self) -> float:
        """Seconds between the first and the last line."""
        if self.first_at is None or self.last_at is None:
            return 0.0
        return (self.last_at - self.first_at).total_seconds()

    def read(self, record: dict[str, Any]) -> LogEvent | None:
        """Take in one log line; returns its event if it is one of the catalogue."""
        event = _CATALOGUE.get(str(record.get("message")))
        if event is None:
            return None
        self._pass_time(record)
        order = (str(record.get("plan_id")), str(record.get("symbol")))
        if event in _STAGES and order in self.stages:
            self.stages[order] = _STAGES[event]
        if event in _MILESTONES:
            self.now = _MILESTONES[event]
        if event in (LogEvent.PLAN_STARTED, LogEvent.PLAN_RESUMED):
            self.worked.add(order[0])
        if event is LogEvent.PLAN_DUPLICATE and order[0] not in self.worked:
            self.repeated.add(order[0])
        if event is LogEvent.BROKER_REQUESTS:
            self.broker_requests += int(record.get("total", 0))
        return event

    def _pass_time(self, record: dict[str, Any]) -> None:
        try:
            at = datetime.fromisoformat(str(record.get("timestamp")))
        except ValueError:
            return
        self.first_at = self.first_at or at
        self.last_at = at


def grid(story: RunProgress) -> RenderableType:
    """Every order with its stage, sells above buys, and one line on the whole."""
    parts: list[RenderableType] = [""]
    for action in (Action.SELL, Action.BUY):
        cells = [
            Text.assemble(
                (f"{_LOOK[stage][0]} ", _LOOK[stage][1]), (f"{order[1]:<6}", "bold"), (stage, _LOOK[stage][1])
            )
            for order, stage in story.stages.items()
            if story.sides[order] is action
        ]
        if cells:
            parts += [Text(action.value, style="bold"), Columns(cells, width=18, padding=(0, 1))]
    parts.append(Text(f"{story.settled} of {len(story.stages)} settled · {story.seconds:.1f} s · {story.now}", "dim"))
    return Group(*parts)


@contextmanager
def show_progress(story: RunProgress, console: Console) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Gives what takes in each log line, and shows the story as it grows; the grid is gone at the end."""
    narrator = LineReporter(console, story)
    if not console.is_terminal:

        def tell(record: dict[str, Any]) -> None:
            event = story.read(record)
            if event is not None:
                narrator.report(event, record)

        yield tell
        narrator.flush()
        return
    with Live(grid(story), console=console, transient=True) as live:

        def draw(record: dict[str, Any]) -> None:
            story.read(record)
            live.update(grid(story))

        yield draw


class LineReporter:
    """Tells a story in lines, for output that is not a terminal: neighbours of one kind share a line."""

    def __init__(self, console: Console, story: RunProgress) -> None:
        self._console = console
        self._story = story
        self._stage = ""
        self._symbols: list[str] = []
        self._at = 0.0
        self._has_begun = False

    def report(self, event: LogEvent, record: dict[str, Any]) -> None:
        """Tell one event; orders are gathered until the stage changes."""
        stage = _STAGES.get(event)
        if stage is not None:
            if stage != self._stage:
                self.flush()
            self._stage, self._at = stage, self._story.seconds
            self._symbols.append(str(record.get("symbol")))
        elif event in _MILESTONES:
            self.flush()
            self._line(self._story.seconds, Text(_MILESTONES[event]))

    def flush(self) -> None:
        """Tell what was gathered."""
        if not self._symbols:
            return
        counted = Counter(self._symbols)
        text = Text.assemble((f"{len(counted):>3} {self._stage:<11}", _LOOK[self._stage][1]), " ".join(counted))
        self._line(self._at, text)
        self._symbols = []

    def _line(self, seconds: float, text: Text) -> None:
        if not self._has_begun:
            self._console.print()
            self._has_begun = True
        line = Text.assemble((f"{seconds:7.2f} s  ", "dim"), text)
        line.truncate(self._console.width, overflow="ellipsis")
        self._console.print(line)
