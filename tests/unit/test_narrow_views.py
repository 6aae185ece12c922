"""Tables on narrow terminals: columns are left out, and no number is cut off."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
from rich.console import Console, RenderableType

from rebalance_cli.costs.answers import Costs, Dimension
from rebalance_cli.costs.sums import cost_sum, kind_costs, order_row, rung_sums
from rebalance_cli.views.calibration import calibration_view
from rebalance_cli.views.costs import costs_view, plan_costs_view
from rebalance_executor.domain.costs import order_costs
from rebalance_executor.domain.market import BrokerKind
from tests.support.cost_journals import generated
from tests.unit.test_calibration_view import FILLING, calibration_of

WIDTHS = [40, 60, 80, 100]


def lines(view: RenderableType, width: int) -> list[str]:
    """Return the lines that a terminal of this width shows."""
    file = StringIO()
    Console(width=width, file=file).print(view)
    return file.getvalue().splitlines()


def assert_nothing_is_cut(shown: list[str], width: int) -> None:
    assert shown
    assert [line for line in shown if "…" in line] == []
    assert [line for line in shown if len(line.rstrip()) > width] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_costs_of_a_period(width: int) -> None:
    costs = [cost for journal in generated(3, plans=6, orders=5) for cost in order_costs(journal)]
    kind = kind_costs(BrokerKind.SIMULATED, costs, Dimension)
    answer = Costs(account="main", first_day="2026-01-01", last_day="2026-01-31", kinds=(kind,), unfinished=())

    shown = lines(costs_view(answer, width, None), width)

    assert_nothing_is_cut(shown, width)
    assert any(re.search(r"\d,\d{3}\.\d{2}", line) for line in shown), "the dollars are shown at every width"


@pytest.mark.parametrize("width", WIDTHS)
def test_costs_of_one_plan(width: int) -> None:
    (journal, *_) = generated(3, plans=1, orders=5)
    costs = list(order_costs(journal))

    view = plan_costs_view([order_row(cost) for cost in costs], cost_sum("plan", costs), rung_sums(costs), width)
    shown = lines(view, width)

    assert_nothing_is_cut(shown, width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("drawn", [{"plans": 2}, {"plans": 100}])
def test_calibration(width: int, drawn: dict[str, Any]) -> None:
    shown = lines(calibration_view(calibration_of(FILLING, **drawn), width), width)

    assert_nothing_is_cut(shown, width)
