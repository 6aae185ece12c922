"""Progress of a run, read from the handler's log lines.

``RunProgress`` is the state after each line. ``show_progress`` displays it during the run: as a ``grid`` on a terminal,
and line by line (``LineReporter``) elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from rebalance_cli.views.styles import OUTCOMES
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import Action, RebalancePlan
from rebalance_executor.execution.events import LogEvent


class Stage(NamedTuple):
    """State of one item, with its mark and its style."""

    name: str
    mark: str
    style: str
    is_settled: bool = False


_EVENTS = {event.value: event for event in LogEvent}
_MARKS = {
    Outcome.FILLED: "✓",
    Outcome.PARTIALLY_FILLED: "◐",
    Outcome.UNFILLED: "◐",
    Outcome.REJECTED: "✗",
    Outcome.DENIED: "✗",
    Outcome.SKIPPED: "-",
    Outcome.UNRESOLVED: "!",
}
WAITING = Stage("waiting", "·", "dim")
ORDER_STAGES = {
    LogEvent.ORDER_INTENDED: Stage("intended", "○", "cyan"),
    LogEvent.ORDER_SUBMITTED: Stage("submitted", "●", "blue"),
    LogEvent.ORDER_FOUND: Stage("submitted", "●", "blue"),
    LogEvent.ORDER_RESENT: Stage("sent again", "●", "yellow"),
    LogEvent.ORDER_OUTCOME_UNKNOWN: Stage("unknown", "?", "yellow"),
    LogEvent.ORDER_CANCEL_REQUESTED: Stage("canceling", "◌", "yellow"),
    LogEvent.ORDER_REJECTED: Stage("rejected", "✗", "red"),
}
"""Stage of an item after an event of its open order. Other events of orders do not change the stage."""
ITEM_STAGES = {
    _EVENTS[f"item.{outcome.value.lower()}"]: Stage(OUTCOMES[outcome][0], _MARKS[outcome], OUTCOMES[outcome][1], True)
    for outcome in Outcome
}
"""Final stage of an item: one for each outcome."""
_STAGES = ORDER_STAGES | ITEM_STAGES
MILESTONES = {
    LogEvent.PLAN_DUPLICATE: "already executed: returned the stored result",
    LogEvent.PLAN_STARTED: "sized; quantities frozen and journalled",
    LogEvent.PLAN_RESUMED: "resumed where an earlier run stopped",
    LogEvent.PLAN_EARLIER_RESUMED: "finishing the account's unfinished plan first",
    LogEvent.PLAN_BLOCKED: "the account's unfinished plan needs an operator",
    LogEvent.GATE_WAITING: "sells done; waiting until the account shows the proceeds",
    LogEvent.GATE_PASSED: "budget for the buys is known",
    LogEvent.RUN_YIELDING: "stopping safely: canceling open orders",
    LogEvent.BROKER_RATE_LIMITED: "the broker limits the request rate (429)",
    LogEvent.PLAN_REDELIVERY_REQUESTED: "not finished: the next delivery continues the plan",
    LogEvent.PLAN_FINISHED: "finished; result stored",
    LogEvent.PLAN_UNRESOLVED: "finished, but an operator must check the orders; result stored",
    LogEvent.PLAN_INVALID: "invalid",
    LogEvent.PLAN_DENIED: "denied",
    LogEvent.PLAN_FAILED: "stopped by an error",
    LogEvent.RESULT_PUBLISH_FAILED: "the result could not be published",
}
"""Text for each event that concerns the plan as a whole and is displayed."""


@dataclass(slots=True)
class RunProgress:
    """Stage of each item, and what the run as a whole does."""

    stages: dict[tuple[str, str], Stage]
    """By plan ID and symbol; sells before buys within each plan."""
    sides: dict[tuple[str, str], Action]
    now: str = "starting the function"
    broker_requests: int = 0
    worked: set[str] = field(default_factory=set)
    """IDs of the plans that this invocation started or resumed."""
    repeated: set[str] = field(default_factory=set)
    """IDs of the plans whose stored result was returned without any work."""
    first_at: datetime | None = None
    last_at: datetime | None = None

    @classmethod
    def of(cls, plans: Iterable[RebalancePlan]) -> RunProgress:
        """Return the progress before the first log line."""
        actions = {(p.plan_id, item.symbol): item.action for p in plans for item in p.trades}
        ordered = dict(sorted(actions.items(), key=lambda pair: (pair[0][0], pair[1] is Action.BUY)))
        return cls(stages=dict.fromkeys(ordered, WAITING), sides=ordered)

    @property
    def settled(self) -> int:
        """Number of items with an outcome."""
        return sum(stage.is_settled for stage in self.stages.values())

    @property
    def seconds(self) -> float:
        """Seconds between the first and the last log line."""
        if self.first_at is None or self.last_at is None:
            return 0.0
        return (self.last_at - self.first_at).total_seconds()

    def read(self, record: dict[str, Any]) -> LogEvent | None:
        """Update the progress with one log line, and return its event; None if the line is not a log event."""
        event = _EVENTS.get(str(record.get("message")))
        if event is None:
            return None
        self._read_time(record)
        item = (str(record.get("plan_id")), str(record.get("symbol")))
        if event in _STAGES and item in self.stages:
            self.stages[item] = _STAGES[event]
        if event in MILESTONES:
            self.now = MILESTONES[event]
        if event in (LogEvent.PLAN_STARTED, LogEvent.PLAN_RESUMED):
            self.worked.add(item[0])
        if event is LogEvent.PLAN_DUPLICATE and item[0] not in self.worked:
            self.repeated.add(item[0])
        if event is LogEvent.BROKER_REQUESTS:
            self.broker_requests += int(record.get("total", 0))
        return event

    def _read_time(self, record: dict[str, Any]) -> None:
        try:
            at = datetime.fromisoformat(str(record.get("timestamp")))
        except ValueError:
            return
        self.first_at = self.first_at or at
        self.last_at = at


def grid(progress: RunProgress) -> RenderableType:
    """Return the stage of each item, sells above buys, and one line about the run."""
    parts: list[RenderableType] = [""]
    for action in (Action.SELL, Action.BUY):
        cells = [
            Text.assemble((f"{stage.mark} ", stage.style), (f"{symbol:<6}", "bold"), (stage.name, stage.style))
            for (plan_id, symbol), stage in progress.stages.items()
            if progress.sides[plan_id, symbol] is action
        ]
        if cells:
            parts += [Text(action.value, style="bold"), Columns(cells, width=18, padding=(0, 1))]
    summary = f"{progress.settled} of {len(progress.stages)} settled · {progress.seconds:.1f} s · {progress.now}"
    return Group(*parts, Text(summary, "dim"))


@contextmanager
def show_progress(progress: RunProgress, console: Console) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Display the progress until the end of the block; a grid disappears then.

    Yields:
        A function to call with each decoded log line.
    """
    if console.is_terminal:
        with Live(grid(progress), console=console, transient=True) as live:

            def draw(record: dict[str, Any]) -> None:
                progress.read(record)
                live.update(grid(progress))

            yield draw
        return
    reporter = LineReporter(console, progress)

    def report(record: dict[str, Any]) -> None:
        event = progress.read(record)
        if event is not None:
            reporter.report(event, record)

    yield report
    reporter.flush()


class LineReporter:
    """Progress line by line, for output that is not a terminal.

    Consecutive events that lead to the same stage share one line.
    """

    def __init__(self, console: Console, progress: RunProgress) -> None:
        self._console = console
        self._progress = progress
        self._stage = WAITING
        self._symbols: list[str] = []
        self._at = 0.0
        self._is_first = True

    def report(self, event: LogEvent, record: dict[str, Any]) -> None:
        """Print a milestone, or collect a symbol until the stage changes."""
        stage = _STAGES.get(event)
        if stage is not None:
            if stage != self._stage:
                self.flush()
            self._stage, self._at = stage, self._progress.seconds
            self._symbols.append(str(record.get("symbol")))
        elif event in MILESTONES:
            self.flush()
            self._print(self._progress.seconds, Text(MILESTONES[event]))

    def flush(self) -> None:
        """Print the symbols collected so far."""
        if not self._symbols:
            return
        symbols = Counter(self._symbols)
        text = Text.assemble((f"{len(symbols):>3} {self._stage.name:<11}", self._stage.style), " ".join(symbols))
        self._print(self._at, text)
        self._symbols = []

    def _print(self, seconds: float, text: Text) -> None:
        if self._is_first:
            self._console.print()
            self._is_first = False
        line = Text.assemble((f"{seconds:7.2f} s  ", "dim"), text)
        line.truncate(self._console.width, overflow="ellipsis")
        self._console.print(line)
