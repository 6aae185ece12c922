"""The plots of the report, as SVG that takes its colours from the page, so that light and dark need one drawing."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rebalance_executor.domain.orders import ChildOrder, ParentOrder

mpl.use("svg")  # no display, no window

_THEME = {
    "#010101": "var(--ink)",
    "#020202": "var(--dim)",
    "#030303": "var(--line)",
    "#040404": "var(--good)",
    "#050505": "var(--bad)",
    "#060606": "var(--accent)",
    "#070707": "var(--band)",
}
"""Colours that nothing else has, and what stands for them in the page."""
INK, DIM, LINE, GOOD, BAD, ACCENT, BAND = _THEME
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "svg.hashsalt": "report",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": DIM,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": DIM,
    "ytick.color": DIM,
    "xtick.labelcolor": DIM,
    "ytick.labelcolor": DIM,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}
_WIDTH = 4.0
"""Inches of 72 points: what a narrow screen shows without shrinking."""
_FONT = re.compile(r"font: (?:(\w+) )?([\d.]+)px [^;\"]*")
_MOST_GAPS = 24
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Part:
    """One step of the waterfall."""

    name: str
    bps: Decimal
    dollars: Decimal


@dataclass(frozen=True, slots=True)
class Gap:
    """How far one symbol is from its target, in percent of the portfolio, before and after."""

    symbol: str
    before: Decimal
    after: Decimal


def signed(bps: Decimal) -> str:
    """Basis points with one decimal and their sign; what rounds to nothing has none."""
    shown = round(bps, 1)
    return f"{shown:+.1f}" if shown else "0.0"


def waterfall(parts: Sequence[Part], total: Part) -> Markup:
    """From arrival mid to the fills: what each part cost or won, in basis points."""
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(2.1)
        at = 0.0
        for place, part in enumerate(parts):
            height = float(part.bps)
            _bar(axes, place, at, height, part)
            axes.plot([place - 0.35, place + 1.35], [at + height] * 2, color=LINE, linewidth=0.8, zorder=1)
            at += height
        _bar(axes, len(parts), 0.0, float(total.bps), total)
        axes.axhline(0, color=DIM, linewidth=0.8)
        axes.set_xticks(range(len(parts) + 1), [*(part.name for part in parts), total.name])
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel("bps of filled dollars")
        axes.use_sticky_edges = False  # a bar that begins at the lowest or highest point leaves room for labels, too
        axes.margins(y=0.28)
        return _svg(figure, "Waterfall of the implementation shortfall")


def _bar(axes: Axes, place: int, begin: float, height: float, part: Part) -> None:
    axes.bar(place, height, 0.7, bottom=begin, color=BAD if height > 0 else GOOD, zorder=2)
    end = begin + height
    above = begin + end >= 0  # the label stands at the far side from the line of zero
    axes.annotate(
        signed(part.bps),
        (place, max(begin, end) if above else min(begin, end)),
        xytext=(0, 3 if above else -3),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        color=INK,
        fontsize=9,
    )


def by_attempt(dollars: Sequence[Decimal]) -> Markup:
    """Filled dollars by the attempt that filled them: how far the ladders had to climb."""
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(2.1)
        heights = [float(amount) for amount in dollars]
        whole = sum(heights) or 1.0
        axes.bar(range(1, len(heights) + 1), heights, 0.7, color=ACCENT)
        for place, height in enumerate(heights, 1):
            axes.annotate(
                f"{height / whole:.0%}",
                (place, height),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                color=INK,
                fontsize=9,
            )
        axes.set_xticks(range(1, len(heights) + 1))
        axes.set_xlim(0.4, max(len(heights), 3) + 0.6)
        axes.tick_params(axis="x", length=0)
        axes.set_xlabel("attempt")
        axes.set_ylabel("filled dollars")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.margins(y=0.2)
        return _svg(figure, "Filled dollars by attempt")


def drift(gaps: Sequence[Gap]) -> Markup:
    """How far each symbol was from its target and is now; the largest ones."""
    shown = sorted(gaps, key=lambda gap: max(abs(gap.before), abs(gap.after)), reverse=True)[:_MOST_GAPS]
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(0.55 + 0.19 * len(shown))
        for place, gap in enumerate(shown):
            row = len(shown) - place
            axes.plot([float(gap.before), float(gap.after)], [row, row], color=LINE, linewidth=1.5, zorder=1)
            axes.plot(float(gap.before), row, "o", color=DIM, markersize=4.5, markerfacecolor="none", zorder=2)
            axes.plot(float(gap.after), row, "o", color=ACCENT, markersize=4.5, zorder=3)
        axes.axvline(0, color=DIM, linewidth=0.8)
        axes.set_yticks(range(len(shown), 0, -1), [gap.symbol for gap in shown])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(0.3, len(shown) + 0.7)
        axes.set_xlabel("percentage points from target")
        return _svg(figure, "Drift before and after")


def timeline(parent: ParentOrder, started_at: datetime) -> Markup | None:
    """One order against its quotes: spread, limits and fills over time; None where nothing was priced."""
    arrival = parent.arrival
    priced = [child for child in parent.children if child.bid is not None]
    if arrival is None or not priced:
        return None
    mid = arrival.mid
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(1.6)

        def seconds(at: datetime) -> float:
            return (at - started_at).total_seconds()

        def bps(price: Decimal) -> float:
            return float((price - mid) / mid * 10_000)

        begin, last = seconds(parent.children[0].latest_send), max(seconds(_end(parent, c)) for c in parent.children)
        times = [0.0, *(seconds(c.latest_send) for c in priced), last]
        bids = [bps(arrival.bid), *(bps(c.bid) for c in priced if c.bid is not None)]
        asks = [bps(arrival.ask), *(bps(c.ask) for c in priced if c.ask is not None)]
        axes.fill_between(times, [*bids, bids[-1]], [*asks, asks[-1]], step="post", color=BAND, linewidth=0, zorder=1)
        axes.axhline(0, color=LINE, linewidth=0.8, zorder=2)
        for child in parent.children:
            _rung(axes, child, (seconds(child.latest_send), seconds(_end(parent, child))), bps)
        room = max(0.05 * (last - begin), 0.5)  # from its first order: a long wait would push the rungs to the edge
        axes.set_xlim(begin - room, last + room)
        axes.set_xlabel("seconds since the plan was begun")
        axes.set_ylabel("bps from arrival")
        axes.margins(y=0.15)
        return _svg(figure, f"Orders of {parent.symbol} against its quotes")


def _end(parent: ParentOrder, child: ChildOrder) -> datetime:
    """When an order was closed; of one that never was, when we stopped looking."""
    return child.closed_at or parent.settled_at or child.latest_send


def _rung(axes: Axes, child: ChildOrder, span: tuple[float, float], to_bps: Callable[[Decimal], float]) -> None:
    begin, end = span
    if child.limit_price is not None:
        level = to_bps(child.limit_price)
        axes.plot([begin, end], [level, level], color=ACCENT, linewidth=2, solid_capstyle="butt", zorder=3)
    if child.filled_qty and child.filled_avg_price is not None:
        axes.plot(end, to_bps(child.filled_avg_price), "o", color=GOOD, markersize=5, zorder=4)
    elif child.closed_at is not None and child.limit_price is not None:
        axes.plot(end, to_bps(child.limit_price), "x", color=DIM, markersize=4.5, zorder=4)


# --- drawing ---------------------------------------------------------------------------------------------


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.subplots()
    axes.patch.set_visible(False)
    return figure, axes


def _svg(figure: Figure, title: str) -> Markup:
    """The figure as an element of the page: its colours, its font, and ids that no other figure has."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = _FONT.sub(lambda m: f"font-weight: {m[1] or 'normal'}; font-size: {m[2]}px; font-family: inherit", svg)
    for colour, variable in _THEME.items():
        svg = svg.replace(colour, variable)
    prefix = f"f{next(_numbers)}-"
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'((?:xlink:)?href="|url\()#', rf"\g<1>#{prefix}", svg)
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>',
        rf'<svg viewBox="\1" role="img" aria-label="{escape(title)}">',
        svg,
        count=1,
    )
    svg = re.sub(r"\n\s*", "\n", svg).replace("xlink:href", "href")
    return Markup(svg)  # noqa: S704 - matplotlib escapes the texts that it draws
