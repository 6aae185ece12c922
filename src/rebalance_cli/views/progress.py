"""Progress of a run, read from the handler's log lines.

``RunProgress`` is the state after each line. ``show_progress`` displays it during the run: as a ``grid`` on a terminal,
and line by line (``LineReporter``) elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from rebalance_cli.formatting import dollars, duration, shares
from rebalance_cli.views.styles import OUTCOMES
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import Action, RebalancePlan
from rebalance_executor.domain.values import format_clock
from rebalance_executor.execution.events import LogEvent


class Stage(NamedTuple):
    """State of one item, with its mark and its style."""

    name: str
    mark: str
    style: str
    is_settled: bool = False


_EVENTS = {event.value: event for event in LogEvent}
_CELL_WIDTH, _SHARE_DECIMALS = 28, 4
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


class Fill(NamedTuple):
    """Filled part of one order at the broker."""

    item: tuple[str, str]
    """Plan ID and symbol."""
    action: Action
    shares: Decimal
    dollars: Decimal


@dataclass(slots=True)
class RunProgress:
    """Stage of each item, and what the run as a whole does."""

    stages: dict[tuple[str, str], Stage]
    """By plan ID and symbol; sells before buys within each plan."""
    sides: dict[tuple[str, str], Action]
    now: str = "starting"
    broker_requests: int = 0
    worked: set[str] = field(default_factory=set)
    """IDs of the plans that this invocation started or resumed."""
    repeated: set[str] = field(default_factory=set)
    """IDs of the plans whose stored result was returned without any work."""
    first_at: datetime | None = None
    last_at: datetime | None = None
    cash: Decimal | None = None
    """Cash before the run in dollars, if it is known."""
    fills: dict[str, Fill] = field(default_factory=dict)
    """Fills of this run by client order ID, as far as they are logged."""

    @classmethod
    def of(cls, plans: Iterable[RebalancePlan], cash: Decimal | None = None) -> RunProgress:
        """Return the progress before the first log line."""
        actions = {(p.plan_id, item.symbol): item.action for p in plans for item in p.trades}
        ordered = dict(sorted(actions.items(), key=lambda pair: (pair[0][0], pair[1] is Action.BUY)))
        return cls(stages=dict.fromkeys(ordered, WAITING), sides=ordered, cash=cash)

    @property
    def settled(self) -> int:
        """Number of items with an outcome."""
        return sum(stage.is_settled for stage in self.stages.values())

    def filled(self, action: Action) -> Decimal:
        """Return the dollars that sells or buys of this run have filled."""
        return sum((fill.dollars for fill in self.fills.values() if fill.action is action), Decimal(0))

    def filled_shares(self, plan_id: str, symbol: str) -> Decimal:
        """Return the shares of an item that this run has filled."""
        return sum((fill.shares for fill in self.fills.values() if fill.item == (plan_id, symbol)), Decimal(0))

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
        self._read_fill(item, record)
        if event in MILESTONES:
            self.now = MILESTONES[event]
        if event in (LogEvent.PLAN_STARTED, LogEvent.PLAN_RESUMED):
            self.worked.add(item[0])
        if event is LogEvent.PLAN_DUPLICATE and item[0] not in self.worked:
            self.repeated.add(item[0])
        if event is LogEvent.BROKER_REQUESTS:
            self.broker_requests += int(record.get("total", 0))
        return event

    def _read_fill(self, item: tuple[str, str], record: dict[str, Any]) -> None:
        """Read the filled quantity of a child order; a later line of the same order replaces it."""
        qty, price, order = (record.get(name) for name in ("filled_qty", "filled_avg_price", "client_order_id"))
        if item in self.sides and order is not None and qty is not None and price is not None:
            shares = Decimal(str(qty))
            self.fills[str(order)] = Fill(item, self.sides[item], shares, shares * Decimal(str(price)))

    def _read_time(self, record: dict[str, Any]) -> None:
        try:
            at = datetime.fromisoformat(str(record.get("timestamp")))
        except ValueError:
            return
        self.first_at = self.first_at or at
        self.last_at = at


def grid(progress: RunProgress, started_at: datetime, now: datetime) -> RenderableType:
    """Return the stage and the fills of each item, sells above buys; then cash, clock, and one line about the run.

    If every plan has its result already, only that line: no item is waiting.
    """
    parts: list[RenderableType] = [""]
    elapsed = duration(max(0.0, (now - started_at).total_seconds()))
    if progress.repeated and progress.repeated >= {plan_id for plan_id, _ in progress.stages}:
        return Group(*parts, Text(f"{elapsed} · {progress.now}", "dim"))
    for action in (Action.SELL, Action.BUY):
        cells = [
            _cell(progress, plan_id, symbol, stage)
            for (plan_id, symbol), stage in progress.stages.items()
            if progress.sides[plan_id, symbol] is action
        ]
        if cells:
            title = Text.assemble((action.value, "bold"), f"  ${dollars(progress.filled(action))} filled")
            parts += [title, Columns(cells, width=_CELL_WIDTH, padding=(0, 1))]
    if progress.cash is not None:
        cash = progress.cash + progress.filled(Action.SELL) - progress.filled(Action.BUY)
        parts.append(
            Text.assemble(("Cash", "bold"), f"  ${dollars(cash)}, from ${dollars(progress.cash)} and the fills")
        )
    summary = f"{progress.settled} of {len(progress.stages)} settled · {elapsed} · {progress.now}"
    return Group(*parts, Text(format_clock(now), "dim"), Text(summary, "dim"))


def _cell(progress: RunProgress, plan_id: str, symbol: str, stage: Stage) -> Text:
    filled = progress.filled_shares(plan_id, symbol)
    text = Text.assemble((f"{stage.mark} ", stage.style), (f"{symbol:<6}", "bold"), (stage.name, stage.style))
    return text.append(f" {shares(filled, _SHARE_DECIMALS)}") if filled else text


@contextmanager
def show_progress(progress: RunProgress, console: Console) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Display the progress until the end of the block; a grid, with a clock that runs, disappears then.

    Yields:
        A function to call with each decoded log line.
    """
    if console.is_terminal:
        started_at = datetime.now(UTC)

        def show() -> RenderableType:
            return grid(progress, started_at, datetime.now(UTC))

        with Live(
            get_renderable=show, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
        ) as live:

            def draw(record: dict[str, Any]) -> None:
                progress.read(record)
                live.refresh()

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
