"""Page of ``rebalance costs``: one section per kind of broker, in the style of the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from rebalance_cli.costs.answers import Costs, KindCosts
from rebalance_cli.formatting import NONE, basis_points, counted, dollars, percent
from rebalance_cli.report import figures
from rebalance_cli.report.figures import Part
from rebalance_cli.report.page import Tile, environment
from rebalance_cli.views.costs import kind_facts, money
from rebalance_executor.adapters.notification_text import MONEY
from rebalance_executor.domain.market import ZERO


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of broker, ready for the template."""

    kind: KindCosts
    money: str
    summary: str
    tiles: tuple[Tile, ...]
    waterfall: Markup | None
    facts: tuple[tuple[str, str], ...]


def write_costs_page(path: Path, costs: Costs) -> None:
    """Write one self-contained page about the costs of a period."""
    sections = [_section(kind) for kind in costs.kinds]
    page = environment().get_template("costs.html.j2")
    path.write_text(page.render(costs=costs, sections=sections), encoding="utf-8")


def _section(kind: KindCosts) -> Section:
    total = kind.total
    summary = f"Traded ${dollars(total.dollars)} in {counted(total.orders, 'order')} of {counted(total.plans, 'plan')}."
    return Section(
        kind=kind,
        money=MONEY[kind.broker],
        summary=summary,
        tiles=tuple(_tiles(kind)),
        waterfall=_waterfall(kind),
        facts=tuple((name, str(text)) for name, text in kind_facts(kind)),
    )


def _tiles(kind: KindCosts) -> Iterator[Tile]:
    total = kind.total
    bps, forecast, share = total.cost.bps, total.forecast, total.spread.saved_share
    tone = "" if not bps else "bad" if bps > 0 else "good"
    yield Tile(f"{basis_points(bps, sign=True)} bps", f"against arrival mid, {money(total.cost.amount)}", tone)
    difference = f"{basis_points(forecast.difference.bps, sign=True)} bps" if forecast is not None else NONE
    yield Tile(difference, "realised less forecast")
    inside = f"{forecast.inside} of {forecast.orders}" if forecast is not None else NONE
    yield Tile(inside, "orders inside the 90 % interval of their forecast")
    yield Tile(percent(share) if share is not None else NONE, f"of the half-spreads saved, {money(total.spread.saved)}")
    yield Tile(f"{total.read} of {total.orders}", "orders with market data read")


def _waterfall(kind: KindCosts) -> Markup | None:
    """Draw the parts in basis points of the orders that have them, as the report of a plan does."""
    cost = kind.total.cost
    if cost.bps is None or not cost.dollars:
        return None
    total, parts = round(cost.bps, 1), kind.total.parts
    known = {"delay": parts.delay, "timing": parts.timing, "spread": parts.spread}
    drawn = [Part(name, round(amount / cost.dollars * 10_000, 1)) for name, amount in known.items()]
    drawn.append(Part("rest", total - sum((part.bps for part in drawn), ZERO)))
    return figures.waterfall(drawn, Part("total", total))
