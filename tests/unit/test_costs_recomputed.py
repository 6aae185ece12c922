"""Every figure of ``rebalance costs`` and of the report, recomputed from the journal's items alone, to the cent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from rebalance_cli.costs.answers import Costs, Dimension
from rebalance_cli.costs.sums import kind_costs
from rebalance_cli.queries.plans import PlanRecord
from rebalance_cli.report import write_page
from rebalance_cli.report.costs_page import write_costs_page
from rebalance_executor.domain.costs import order_costs
from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.market import BrokerKind
from tests.support import recomputed_costs as again
from tests.support.cost_journals import generated

Order = dict[str, Any]
SEEDS = range(12)


def recomputed(journals: Iterable[PlanJournal]) -> list[Order]:
    return [order for journal in journals for order in again.orders(again.items_of(journal))]


def answer(journals: Sequence[PlanJournal]) -> dict[str, Any]:
    costs = [cost for journal in journals for cost in order_costs(journal)]
    return kind_costs(BrokerKind.SIMULATED, costs, Dimension).model_dump()


def figure(amount: Fraction | None, dollars: Fraction) -> dict[str, Any] | None:
    return None if amount is None else {"amount": again.cents(amount), "bps": again.bps(amount, dollars)}


def measured(orders: Iterable[Order], amount: Callable[[Order], Fraction | None]) -> dict[str, Any]:
    known = [(order["dollars"], one) for order in orders if (one := amount(order)) is not None]
    return {
        "orders": len(known),
        "dollars": sum((again.cents(dollars) for dollars, _ in known), Decimal()),
        "amount": sum((again.cents(one) for _, one in known), Decimal()),
        "bps": again.bps(sum((one for _, one in known), Fraction()), sum((one for one, _ in known), Fraction())),
    }


def assert_order(shown: Mapping[str, Any], order: Order) -> None:
    """Compare one row with what the journal says."""
    assert {name: str(shown[name]) for name in ("plan_id", "broker", "urgency", "day", "symbol", "style")} == {
        name: order[name] for name in ("plan_id", "broker", "urgency", "day", "symbol", "style")
    }
    dollars, cost = order["dollars"], order["cost"]
    assert (shown["shares"], shown["dollars"], shown["is_read"]) == (
        order["shares"],
        again.cents(dollars),
        order["is_read"],
    )
    assert shown["cost"] == figure(cost, dollars)
    if cost is not None:
        assert shown["parts"] == again.parts_in_cents(order["parts"])
        assert sum(shown["parts"].values()) == shown["cost"]["amount"]
    assert (shown["forecast"] is None) == (order["forecast"] is None)
    if order["forecast"] is not None:
        assert all(shown["forecast"][name] == figure(amount, dollars) for name, amount in order["forecast"].items())
        expected = order["forecast"]["expected"]
        assert shown["forecast"]["is_inside"] == (order["forecast"]["low"] <= cost <= order["forecast"]["high"])
        assert shown["forecast"]["difference"] == {
            "amount": again.cents(cost) - again.cents(expected),
            "bps": again.bps(cost - expected, dollars),
        }
    for name in ("benchmarks", "markouts"):
        assert shown[name] == {one: figure(amount, dollars) for one, amount in order[name].items()}
    assert_rungs(shown["rungs"], [order])


def assert_rungs(shown: Sequence[Mapping[str, Any]], orders: Sequence[Order]) -> None:
    """Compare the rungs with the sums of each order's cents on them."""
    places = {place for order in orders for place in order["rungs"]}
    assert len(shown) == len(places)
    for rung in shown:
        fraction = rung["spread_fraction"]
        (place,) = (one for one in places if (None if one is None else Decimal(one)) == fraction)
        fills = [order["rungs"][place] for order in orders if place in order["rungs"]]
        half_spread = sum((again.cents(one["half_spread"]) for one in fills), Decimal())
        paid = sum((again.cents(one["paid"]) for one in fills), Decimal())
        assert (rung["half_spread"], rung["paid"], rung["saved"]) == (half_spread, paid, half_spread - paid)
        exact = sum((one["half_spread"] for one in fills), Fraction())
        saved = exact - sum((one["paid"] for one in fills), Fraction())
        assert rung["saved_share"] == (Decimal(round(saved / exact * 10_000)) / 10_000 if exact else None)


def assert_sum(shown: Mapping[str, Any], orders: Sequence[Order]) -> None:
    """Compare the sums over these orders."""
    assert (shown["orders"], shown["plans"], shown["read"], shown["dollars"]) == (
        len(orders),
        len({order["plan_id"] for order in orders}),
        sum(order["is_read"] for order in orders),
        sum((again.cents(order["dollars"]) for order in orders), Decimal()),
    )
    assert shown["cost"] == measured(orders, lambda order: order["cost"])
    rounded = [again.parts_in_cents(order["parts"]) for order in orders if order["cost"] is not None]
    assert shown["parts"] == {name: sum((one[name] for one in rounded), Decimal()) for name in again.PARTS}
    assert sum(shown["parts"].values()) == shown["cost"]["amount"]
    for group, names in (("benchmarks", again.BENCHMARKS), ("markouts", again.HORIZONS)):
        sums = {name: measured(orders, lambda order, g=group, n=name: order[g].get(n)) for name in names}  # type: ignore[misc]
        assert shown[group] == {name: one for name, one in sums.items() if one["orders"]}
    assert_forecast(shown["forecast"], [order for order in orders if order["forecast"] is not None])
    half_spread = paid = Decimal()
    for order in orders:
        for rung in order["rungs"].values():
            half_spread, paid = half_spread + again.cents(rung["half_spread"]), paid + again.cents(rung["paid"])
    spread = shown["spread"]
    assert (spread["half_spread"], spread["paid"], spread["saved"]) == (half_spread, paid, half_spread - paid)


def assert_forecast(shown: Mapping[str, Any] | None, orders: Sequence[Order]) -> None:
    """Compare forecast and realised cost of the orders that have both."""
    if not orders:
        assert shown is None
        return
    assert shown is not None
    expected = measured(orders, lambda order: order["forecast"]["expected"])
    realised = measured(orders, lambda order: order["cost"])
    inside = sum(order["forecast"]["low"] <= order["cost"] <= order["forecast"]["high"] for order in orders)
    assert (shown["orders"], shown["inside"]) == (len(orders), inside)
    assert shown["inside_share"] == Decimal(round(Fraction(inside, len(orders)) * 10_000)) / 10_000
    assert shown["expected"] == {name: expected[name] for name in ("amount", "bps")}
    assert shown["realised"] == {name: realised[name] for name in ("amount", "bps")}
    assert shown["difference"]["amount"] == realised["amount"] - expected["amount"]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_row_is_what_the_journal_says(seed: int) -> None:
    journals = generated(seed)
    shown, orders = answer(journals)["orders"], recomputed(journals)

    assert len(shown) == len(orders) > 3
    for row, order in zip(shown, orders, strict=True):
        assert_order(row, order)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_sum_is_that_of_its_rows(seed: int) -> None:
    journals = generated(seed)
    shown, orders = answer(journals), recomputed(journals)

    assert_sum(shown["total"], orders)
    assert_rungs(shown["rungs"], orders)
    for name in ("symbol", "urgency", "style", "day"):
        groups = shown["groups"][Dimension(name)]
        assert {group["name"] for group in groups} == {order[name] for order in orders}
        for group in groups:
            assert_sum(group, [order for order in orders if order[name] == group["name"]])
    sizes = shown["groups"][Dimension.SIZE]
    bounds = {
        "below $1k": 0,
        "$1k to $10k": 10**3,
        "$10k to $100k": 10**4,
        "$100k to $1m": 10**5,
        "$1m and more": 10**6,
    }
    uppers = dict(zip(bounds, [*list(bounds.values())[1:], 10**18], strict=True))
    for group in sizes:
        name = group["name"]
        assert_sum(group, [order for order in orders if bounds[name] <= order["dollars"] < uppers[name]])
    assert sum(group["orders"] for group in sizes) == len(orders)


def test_best_and_worst_symbols_are_those_with_the_lowest_and_highest_cost() -> None:
    journals = generated(3, plans=6, orders=5)
    shown, orders = answer(journals), recomputed(journals)
    totals = {
        symbol: measured([o for o in orders if o["symbol"] == symbol], lambda order: order["cost"])["amount"]
        for symbol in {order["symbol"] for order in orders}
    }
    ranked = sorted(totals, key=lambda symbol: (totals[symbol], symbol))
    assert [(one["symbol"], one["amount"]) for one in shown["best"]] == [(one, totals[one]) for one in ranked[:2]]
    assert [(one["symbol"], one["amount"]) for one in shown["worst"]] == [(one, totals[one]) for one in ranked[:-3:-1]]


# --- pages -----------------------------------------------------------------------------------------------


def table_rows(html: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table after a heading: exact values where the page has them, otherwise texts."""
    found = re.search(rf"<h[23]>{re.escape(heading)}</h[23]>", html)
    assert found is not None
    table = html[found.end() :]
    body = table[table.index("<tbody>") : table.index("</tbody>")]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    cell = re.compile(r'<td[^>]*?(?:data-v="([^"]*)")?>(.*?)</td>', re.DOTALL)
    return [[value or re.sub("<[^>]+>", "", text) for value, text in cell.findall(row)] for row in rows]


def as_text(known: Mapping[str, Any] | None, name: str = "bps") -> str:
    return "–" if known is None else str(known[name])


def numbers(cells: Iterable[str]) -> list[str | Decimal]:
    return [Decimal(cell) if re.fullmatch(r"-?[\d.]+(E[-+]?\d+)?", cell) else cell for cell in cells]


def assert_order_table(rows: Sequence[Sequence[str]], orders: Sequence[Order]) -> None:
    assert len(rows) == len(orders)
    for row, order in zip(rows, orders, strict=True):
        dollars, forecast = order["dollars"], order["forecast"]
        cost = figure(order["cost"], dollars)
        expected = [as_text(figure(forecast[n], dollars) if forecast else None) for n in ("expected", "low", "high")]
        inside = (
            "–" if not forecast else "inside" if forecast["low"] <= order["cost"] <= forecast["high"] else "outside"
        )
        absent = "–" if order["is_read"] else "not read yet"
        later = [order["benchmarks"].get(name) for name in again.BENCHMARKS]
        later += [order["markouts"].get(name) for name in again.HORIZONS]
        expected_cells = [
            str(again.cents(dollars)),
            *expected,
            as_text(cost),
            as_text(cost, "amount"),
            inside,
            *(absent if one is None else as_text(figure(one, dollars)) for one in later),
        ]
        assert row[0] == order["symbol"]
        assert numbers(row[2 : 2 + len(expected_cells)]) == numbers(expected_cells)


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_report_shows_of_each_order_what_the_journal_says(seed: int, tmp_path: Path) -> None:
    (journal,) = generated(seed, plans=1, orders=6)
    write_page(tmp_path / "report.html", "plan", [PlanRecord(journal, [], None)], [])
    html, orders = (tmp_path / "report.html").read_text(encoding="utf-8"), recomputed([journal])

    assert_order_table(table_rows(html, "Forecast, realised cost and benchmarks"), orders)
    rungs = table_rows(html, "Spread captured per rung")
    assert sum(Decimal(row[3]) for row in rungs) == sum(
        again.cents(rung["half_spread"]) for order in orders for rung in order["rungs"].values()
    )
    assert sum(Decimal(row[5]) for row in rungs) == sum(
        again.cents(rung["half_spread"]) - again.cents(rung["paid"])
        for order in orders
        for rung in order["rungs"].values()
    )


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_page_of_the_costs_shows_what_the_journal_says(seed: int, tmp_path: Path) -> None:
    journals = generated(seed)
    costs = [cost for journal in journals for cost in order_costs(journal)]
    kind = kind_costs(BrokerKind.SIMULATED, costs, Dimension)
    write_costs_page(
        tmp_path / "costs.html",
        Costs(account="main", first_day="2026-01-01", last_day="2026-01-31", kinds=(kind,), unfinished=()),
    )
    html, orders = (tmp_path / "costs.html").read_text(encoding="utf-8"), recomputed(journals)

    assert "simulated, its fills say nothing about live costs" in html
    assert_order_table(table_rows(html, "Forecast, realised cost and benchmarks"), orders)
    for row in table_rows(html, "By symbol"):
        of_symbol = [order for order in orders if order["symbol"] == row[0]]
        cost = measured(of_symbol, lambda order: order["cost"])
        assert int(row[1]) == len(of_symbol)
        assert Decimal(row[2]) == sum((again.cents(order["dollars"]) for order in of_symbol), Decimal())
        if cost["orders"]:
            assert (Decimal(row[3]), Decimal(row[4])) == (cost["amount"], cost["bps"])
