"""Fill rates and proposed ladders as tables.

Pure: the answer in, rich renderables out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rebalance_cli.calibration.answers import (
    Calibration,
    ClassAnswer,
    Interval,
    LadderAnswer,
    ProposalAnswer,
    RungAnswer,
)
from rebalance_cli.calibration.observations import LeftOut, OrderClass
from rebalance_cli.calibration.proposals import Verdict
from rebalance_cli.formatting import NONE, counted
from rebalance_cli.views.styles import money_text
from rebalance_cli.views.tables import facts, first_fitting, plain_table
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.values import format_decimal

CLASSES: Mapping[OrderClass, str] = {
    OrderClass.BELOW_ONE_SHARE: "Below one share",
    OrderClass.ONE_TICK: "One tick",
    OrderClass.FEW_TICKS: "2 to 3 ticks",
    OrderClass.MANY_TICKS: "4 ticks and more",
    OrderClass.ONE_TICK_LARGE: "One tick, larger than the display",
    OrderClass.FEW_TICKS_LARGE: "2 to 3 ticks, larger than the display",
    OrderClass.MANY_TICKS_LARGE: "4 ticks and more, larger than the display",
}
"""Title of each class."""
REASONS: Mapping[LeftOut, str] = {
    LeftOut.NEVER_SENT: "never sent",
    LeftOut.REJECTED: "rejected",
    LeftOut.UNKNOWN: "without a definite answer",
    LeftOut.OPEN: "still open",
    LeftOut.FOREIGN: "with other content at the broker",
    LeftOut.AUCTION: "for an auction",
    LeftOut.EXTENDED_HOURS: "for extended hours",
    LeftOut.NO_LIMIT: "without a limit",
    LeftOut.NO_QUOTE: "not priced from a quote",
    LeftOut.NO_TIMES: "with unusable times",
}
"""Short text of each reason."""
_SYMBOLS = 8
"""Symbols that a title names; the others are counted."""
_MINUTE = 60
_RUNG_COLUMNS = (
    "Place",
    "Orders",
    "Plans",
    "Fills",
    "At risk, s",
    "Fills per minute",
    "In a NORMAL rung",
    "Drift per minute",
)
_OPTIONAL = ("Plans", "At risk, s", "Drift per minute", "Orders", "In a NORMAL rung")
"""Columns in the order in which narrower tables leave them out."""
_LADDER_COLUMNS = ("Urgency", "", "Ladder", "Cost", "bps", "Seconds")


def calibration_view(answer: Calibration, width: int) -> Group:
    """Return what was read, each class with its rates and ladders, and the configuration with the proposals."""
    parts: list[RenderableType] = [facts(_head(answer))]
    for one in answer.classes:
        parts += ["", _title(one), "", _rungs(one, width)]
        if any(proposal.present is not None for proposal in one.proposals):
            parts += ["", _ladders(one, width)]
        parts += ["", _notes(one)]
    return Group(*parts, "", *_conclusion(answer))


def _head(answer: Calibration) -> Iterator[tuple[str, RenderableType]]:
    others = [f"{counted(plans, 'plan')} with {kind} fills" for kind, plans in answer.other_plans.items()]
    left = [f"{number} {REASONS[reason]}" for reason, number in answer.left_out.items()]
    yield "Account", answer.account
    yield "Money", money_text(answer.broker)
    yield "Plans", f"{answer.plans}, {answer.first_day} to {answer.last_day}" + _left_out(others)
    yield "Orders", f"{answer.orders:,}" + _left_out(left)
    if answer.own_costs is not None:
        yield "Forecast", f'"own_costs": {answer.own_costs.model_dump_json()} in EXECUTION_CONFIG adds the own history'
    if not answer.orders:
        yield "Classes", Text("none: no order of these plans rested at the broker", "yellow")


def _left_out(texts: list[str]) -> str:
    return f"; left out: {', '.join(texts)}" if texts else ""


def _title(one: ClassAnswer) -> Text:
    named = " ".join(one.symbols[:_SYMBOLS]) + (f" +{len(one.symbols) - _SYMBOLS}" if one.symbols[_SYMBOLS:] else "")
    spread = f"half spread {_short(one.half_spread_bps)} bps, {counted(one.ticks, 'tick')}"
    symbols = f"  {named}" if named else ""
    return Text.assemble((CLASSES[one.order_class], "bold cyan"), symbols, (f"  {spread}", "dim"))


# --- rates -----------------------------------------------------------------------------------------------


def _rungs(one: ClassAnswer, width: int) -> Table:
    omitted = (_OPTIONAL[:count] for count in range(len(_OPTIONAL) + 1))
    return first_fitting((_rungs_table(one, without) for without in omitted), width)


def _rungs_table(one: ClassAnswer, without: tuple[str, ...]) -> Table:
    table = plain_table(gap=2)
    columns = [column for column in _RUNG_COLUMNS if column not in without]
    for column in columns:
        table.add_column(column, justify="left" if column == "Place" else "right", no_wrap=True)
    for rung in one.rungs:
        row = _rung_row(rung)
        table.add_row(*(row[column] for column in columns), style="dim" if rung.missing is not None else "")
    return table


def _rung_row(rung: RungAnswer) -> dict[str, str]:
    chance = rung.fill_probability.get(Urgency.NORMAL)
    cells = (
        rung.place,
        f"{rung.orders:,}",
        str(rung.plans),
        format_decimal(round(rung.fills, 1)),
        f"{round(rung.seconds):,}",
        _range(rung.fills_per_second, _MINUTE),
        f"{chance.value:.0%} ({chance.low:.0%} to {chance.high:.0%})" if chance is not None else NONE,
        _range(rung.drift_per_second, _MINUTE),
    )
    return dict(zip(_RUNG_COLUMNS, cells, strict=True))


# --- ladders ---------------------------------------------------------------------------------------------


def _ladders(one: ClassAnswer, width: int) -> Table:
    variants = (_ladders_table(one, columns) for columns in (6, 5, 4))
    return first_fitting((*variants, _ladders_table(one, 4, wrap=True)), width)


def _ladders_table(one: ClassAnswer, columns: int, *, wrap: bool = False) -> Table:
    """Return a table with the first of its six columns, whose cells may take several lines if ``wrap`` is true."""
    table = plain_table(gap=2)
    for column in _LADDER_COLUMNS[:columns]:
        table.add_column(column, justify="right" if column in ("bps", "Seconds") else "left", no_wrap=not wrap)
    for proposal in one.proposals:
        if proposal.present is None:
            continue
        rows = [("now", "", proposal.present)]
        if proposal.best is not None:
            is_proposed = proposal.verdict is Verdict.PROPOSE
            rows.append(("propose" if is_proposed else "best other", "green" if is_proposed else "dim", proposal.best))
        for number, (word, style, ladder) in enumerate(rows):
            cells = _ladder_cells(ladder)
            table.add_row(*("" if number else proposal.urgency, word, *cells)[:columns], style=style)
    return table


def _ladder_cells(ladder: LadderAnswer) -> tuple[str, ...]:
    places = " → ".join(format_decimal(place) for place in ladder.aims)
    steps = f"{places}, {format_decimal(ladder.wait_seconds)} s" if len(ladder.aims) > 1 else places
    return (
        steps,
        _range(ladder.cost),
        _plus_minus(ladder.cost_bps),
        f"{ladder.seconds:.0f}",
    )


def _notes(one: ClassAnswer) -> Table:
    """Return per urgency why nothing is proposed, or what the proposal saves; a reason once with all urgencies."""
    texts: dict[str, list[str]] = {}
    for proposal in one.proposals:
        texts.setdefault(_note(proposal), []).append(proposal.urgency)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for text, urgencies in texts.items():
        table.add_row(" ".join(urgencies), text)
    return table


def _note(proposal: ProposalAnswer) -> str:
    if proposal.verdict is Verdict.NOT_ENOUGH_DATA:
        return f"not enough data: {proposal.reason}"
    if proposal.saving is None:
        return f"nothing to propose: {proposal.reason}"
    saves = f"saves {_range(proposal.saving)} half spreads"
    if proposal.verdict is Verdict.PROPOSE:
        return f"propose: the best of {proposal.candidates} {saves}"
    if proposal.saving.value <= 0:
        return f"keep: none of {counted(proposal.candidates, 'other ladder')} is cheaper"
    return f"keep: the best of {proposal.candidates} {saves}, which is noise"


def _conclusion(answer: Calibration) -> Iterator[RenderableType]:
    if not answer.classes:
        yield Text("Nothing is proposed, and nothing is applied.")
        return
    text = (
        "Place: 0 near touch, 1 far touch. Cost: half spreads against the arrival mid; a market order costs 1. "
        "Drift: half spreads that the mid moves against unfilled orders. Brackets: 95 % intervals."
    )
    yield Text(text, "dim")
    is_proposed = any(one.verdict is Verdict.PROPOSE for of_class in answer.classes for one in of_class.proposals)
    if answer.execution_config is not None:
        yield "Nothing is applied. The configuration below contains the proposals."
    elif is_proposed:
        yield "Nothing is applied. Every symbol has most of its orders in other classes, or a ladder of its own."
    else:
        yield "Nothing is proposed, and nothing is applied."


def _range(interval: Interval | None, times: int = 1) -> str:
    if interval is None:
        return NONE
    value, low, high = (_short(part * times) for part in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"


def _plus_minus(interval: Interval) -> str:
    return f"{_short(interval.value)} ± {_short((interval.high - interval.low) / 2)}"


def _short(value: Decimal) -> str:
    """Return a number with two decimals, fewer if it is large; what rounds to zero has no sign."""
    text = f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"
    return text.lstrip("-") if not Decimal(text.replace(",", "")) else text.replace("-", "−")
