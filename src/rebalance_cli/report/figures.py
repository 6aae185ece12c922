"""Plots of the report, as SVG. Their colors are variables of the page, so that a plot fits the light and dark theme."""

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

from rebalance_cli.formatting import basis_points, counted, duration, fixed, price, shares
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
"""Placeholder colors that are used for nothing else, and the variables of the page that replace them."""
INK, DIM, LINE, GOOD, BAD, ACCENT, BAND = _THEME
_STYLE: Any = {
    "svg.fonttype": "none",  # keep text as text: searchable, and in the font of the page
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
"""Width in inches of 72 points; a narrow screen shows this without scaling."""
_FONT = re.compile(r"font: (?:(\w+) )?([\d.]+)px [^;\"]*")
_MAX_GAPS = 24
"""The plot of the drift shows the largest gaps only."""
_figure_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Part:
    """One step of the waterfall; a positive number is a cost."""

    name: str
    bps: Decimal


@dataclass(frozen=True, slots=True)
class Gap:
    """Distance of one symbol from its target before and after, in percentage points of the portfolio."""

    symbol: str
    before: Decimal
    after: Decimal


def waterfall(parts: Sequence[Part], total: Part) -> Markup:
    """Draw the cost of each part between arrival mid and the fills, in basis points."""
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(2.1)
        level = 0.0
        for position, part in enumerate(parts):
            height = float(part.bps)
            _bar(axes, position, level, height, part)
            axes.plot([position - 0.35, position + 1.35], [level + height] * 2, color=LINE, linewidth=0.8, zorder=1)
            level += height
        _bar(axes, len(parts), 0.0, float(total.bps), total)
        axes.axhline(0, color=DIM, linewidth=0.8)
        axes.set_xticks(range(len(parts) + 1), [*(part.name for part in parts), total.name])
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel("bps of filled dollars")
        axes.use_sticky_edges = False  # otherwise no margin is left for the label of a bar that starts at the limit
        axes.margins(y=0.28)
        bars = ", ".join(f"{part.name} {basis_points(part.bps, sign=True)}" for part in (*parts, total))
        return _svg(figure, f"Cost against the arrival prices in basis points, positive is a cost: {bars}")


def _bar(axes: Axes, position: int, start: float, height: float, part: Part) -> None:
    axes.bar(position, height, 0.7, bottom=start, color=BAD if height > 0 else GOOD, zorder=2)
    end = start + height
    is_above = start + end >= 0  # put the label on the side away from the zero line
    axes.annotate(
        basis_points(part.bps, sign=True),
        (position, max(start, end) if is_above else min(start, end)),
        xytext=(0, 3 if is_above else -3),
        textcoords="offset points",
        ha="center",
        va="bottom" if is_above else "top",
        color=INK,
        fontsize=9,
    )


def by_attempt(dollars: Sequence[Decimal]) -> Markup:
    """Draw the filled dollars by the attempt that filled them."""
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(2.1)
        heights = [float(amount) for amount in dollars]
        total = sum(heights) or 1.0
        axes.bar(range(1, len(heights) + 1), heights, 0.7, color=ACCENT)
        for attempt, height in enumerate(heights, 1):
            axes.annotate(
                f"{height / total:.0%}",
                (attempt, height),
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
        parts = ", ".join(f"attempt {number} {height / total:.0%}" for number, height in enumerate(heights, 1))
        return _svg(figure, f"Share of the filled dollars by attempt: {parts}")


def drift(gaps: Sequence[Gap]) -> Markup:
    """Draw the distance of each symbol from its target before and after; the largest distances only."""
    shown = sorted(gaps, key=lambda gap: max(abs(gap.before), abs(gap.after)), reverse=True)[:_MAX_GAPS]
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(0.55 + 0.19 * len(shown))
        for position, gap in enumerate(shown):
            row = len(shown) - position
            axes.plot([float(gap.before), float(gap.after)], [row, row], color=LINE, linewidth=1.5, zorder=1)
            axes.plot(float(gap.before), row, "o", color=DIM, markersize=4.5, markerfacecolor="none", zorder=2)
            axes.plot(float(gap.after), row, "o", color=ACCENT, markersize=4.5, zorder=3)
        axes.axvline(0, color=DIM, linewidth=0.8)
        axes.set_yticks(range(len(shown), 0, -1), [gap.symbol for gap in shown])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(0.3, len(shown) + 0.7)
        axes.set_xlabel("percentage points from target")
        moves = "; ".join(f"{gap.symbol} from {fixed(gap.before, 2)} to {fixed(gap.after, 2)}" for gap in shown)
        return _svg(figure, f"Percentage points from the target, before and after: {moves}")


def timeline(parent: ParentOrder, started_at: datetime) -> Markup | None:
    """Draw spread, limits and fills of one order over time; return None if none of its orders was priced."""
    arrival = parent.arrival
    priced = [child for child in parent.children if child.bid is not None]
    if arrival is None or not priced:
        return None
    mid = arrival.mid
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(1.6)

        def seconds(at: datetime) -> float:
            return (at - started_at).total_seconds()

        def bps(at: Decimal) -> float:
            return float((at - mid) / mid * 10_000)

        first, last = seconds(_start(parent.children[0])), max(seconds(_end(parent, c)) for c in parent.children)
        times = [0.0, *(seconds(_start(c)) for c in priced), last]
        bids = [bps(arrival.bid), *(bps(c.bid) for c in priced if c.bid is not None)]
        asks = [bps(arrival.ask), *(bps(c.ask) for c in priced if c.ask is not None)]
        axes.fill_between(times, [*bids, bids[-1]], [*asks, asks[-1]], step="post", color=BAND, linewidth=0, zorder=1)
        axes.axhline(0, color=LINE, linewidth=0.8, zorder=2)
        for child in parent.children:
            times_of_child = (_start(child), child.filled_at or _end(parent, child), _end(parent, child))
            _draw_order(axes, child, [seconds(at) for at in times_of_child], bps)
        margin = max(0.05 * (last - first), 0.5)
        axes.set_xlim(first - margin, last + margin)  # not from 0: after a long wait the orders would be too small
        axes.set_xlabel("seconds since the plan started")
        axes.set_ylabel("bps from arrival")
        axes.margins(y=0.15)
        return _svg(figure, _timeline_text(parent, last))


def _timeline_text(parent: ParentOrder, last: float) -> str:
    limits = [child.limit_price for child in parent.children if child.limit_price is not None]
    at = f" with limits from {price(min(limits))} to {price(max(limits))}" if len(set(limits)) > 1 else ""
    at = f" with the limit {price(limits[0])}" if len(set(limits)) == 1 else at
    filled = f"filled {shares(parent.filled_qty, 4)} of {shares(parent.requested, 4)} shares"
    orders = counted(len(parent.children), "order")
    return f"{parent.symbol} over time: {orders}{at}, {filled} {duration(last)} after the plan started"


def _start(child: ChildOrder) -> datetime:
    """Return when a child order was at the broker; if the broker does not say, when it was sent at the latest."""
    return child.submitted_at or child.latest_send


def _end(parent: ParentOrder, child: ChildOrder) -> datetime:
    """Return when a child order closed; if it never did, when its item was settled."""
    return child.closed_at or parent.settled_at or child.latest_send


def _draw_order(axes: Axes, child: ChildOrder, times: Sequence[float], to_bps: Callable[[Decimal], float]) -> None:
    """Draw one limit from its start to its end, with its fills at their time.

    Args:
        axes: the plot.
        child: the order.
        times: start, latest fill and end in seconds.
        to_bps: position of a price.
    """
    start, filled, end = times
    if child.limit_price is not None:
        level = to_bps(child.limit_price)
        axes.plot([start, end], [level, level], color=ACCENT, linewidth=2, solid_capstyle="butt", zorder=3)
    if child.filled_qty and child.filled_avg_price is not None:
        axes.plot(filled, to_bps(child.filled_avg_price), "o", color=GOOD, markersize=5, zorder=4)
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
    """Return the figure as an element of the page, with the page's colors and font, and with unique IDs."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = _FONT.sub(lambda m: f"font-weight: {m[1] or 'normal'}; font-size: {m[2]}px; font-family: inherit", svg)
    for color, variable in _THEME.items():
        svg = svg.replace(color, variable)
    prefix = f"f{next(_figure_numbers)}-"
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'((?:xlink:)?href="|url\()#', rf"\g<1>#{prefix}", svg)
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>',
        rf'<svg viewBox="\1" role="img" aria-label="{escape(title)}">',
        svg,
        count=1,
    )
    svg = re.sub(r"\n\s*", "\n", svg).replace("xlink:href", "href")
    return Markup(svg)  # noqa: S704 - matplotlib escapes all text
