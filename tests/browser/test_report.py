"""The HTML report in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from rebalance_cli.costs.answers import Costs, Dimension
from rebalance_cli.costs.sums import kind_costs
from rebalance_cli.report import figures
from rebalance_cli.report.costs_page import write_costs_page
from rebalance_executor.domain.costs import order_costs
from rebalance_executor.domain.market import BrokerKind
from tests.support.browser import browser, console, contrast_below, overflow, prefer, resize
from tests.support.builders import NOW, a_child, a_parent, a_quote, later
from tests.support.cost_journals import generated
from tests.support.terminal import Terminal
from tests.support.world import a_world, buy, hold, plan, sell

PARTLY = [{"symbol": "BBB", "nth": 1, "behaviour": "parts", "parts": [{"fraction": 0.4}]}]
_TEXTS_THAT_OVERLAP = """
const overlapping = [];
for (const svg of document.querySelectorAll("figure svg")) {
  const texts = [...svg.querySelectorAll("text")].map((t) => [t.textContent.trim(), t.getBoundingClientRect()]);
  texts.forEach(([one, a], i) => texts.slice(i + 1).forEach(([other, b]) => {
    const apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
    if (!apart) overlapping.push([one, other]);
  }));
}
return overlapping;
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a plan with gains on some orders and two attempts for one."""
    folder = tmp_path_factory.mktemp("report")
    prices = {"AAA": "100", "BBB": "37.5", "CCC": "410", "DDD": "12"}
    with a_world(positions={"AAA": "50"}, prices=prices, config={"order_style": "ladder"}, fills=PARTLY) as world:
        items = [sell("AAA", "1000", current_value="5000"), buy("BBB", "900"), buy("CCC", "600"), hold("DDD")]
        world.deliver(plan(*items))
        done = Terminal(world, folder, {}).type("report", "plan-1", "--html", str(folder / "report.html"))
    assert done.exit_code == 0, done.stderr
    return folder / "report.html"


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    with browser() as opened:
        yield opened


@pytest.fixture
def opened(driver: Chrome, page: Path) -> Chrome:
    """Return the page before the first click."""
    resize(driver, 1400)
    prefer(driver, "light")
    driver.get(page.as_uri())
    return driver


def children_table(driver: Chrome) -> WebElement:
    return driver.find_element(By.XPATH, "//h2[.='Orders at the broker']/following::table[1]")


def column(table: WebElement, number: int) -> list[Any]:
    cells = table.find_elements(By.CSS_SELECTOR, f"tbody tr > td:nth-child({number})")
    return [cell.get_attribute("data-v") or cell.text for cell in cells]


@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_fits_the_screen_and_the_console_stays_empty(opened: Chrome, width: int) -> None:
    resize(opened, width)

    assert overflow(opened) == 0
    assert opened.find_element(By.TAG_NAME, "h1").text == "plan-1"
    assert console(opened) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_is_readable(opened: Chrome, scheme: str) -> None:
    prefer(opened, scheme)
    opened.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")

    assert contrast_below(opened, 4.5) == []


def test_headings_descend_without_a_gap(opened: Chrome) -> None:
    levels = [int(head.tag_name[1]) for head in opened.find_elements(By.CSS_SELECTOR, "h1, h2, h3, h4")]

    assert levels[0] == 1
    assert len(levels) > 5
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_keyboard_reaches_every_table_and_scrolls_it(opened: Chrome) -> None:
    resize(opened, 400)
    boxes = opened.find_elements(By.CSS_SELECTOR, ".scroll")
    names = [box.get_attribute("aria-label") for box in boxes]

    assert len(set(names)) == len(boxes) == len(opened.find_elements(By.TAG_NAME, "table"))
    assert {(box.get_attribute("role"), box.get_attribute("tabindex")) for box in boxes} == {("region", "0")}
    orders = opened.find_element(By.CSS_SELECTOR, "#plan-1-orders-table")
    for _ in range(100):
        orders.send_keys(Keys.ARROW_RIGHT)
    is_at_end = "const b = arguments[0]; return b.scrollLeft + b.clientWidth >= b.scrollWidth - 2"
    WebDriverWait(opened, 10).until(lambda page: page.execute_script(is_at_end, orders))


def test_text_of_a_chart_states_its_content(opened: Chrome) -> None:
    charts = [str(svg.get_attribute("aria-label")) for svg in opened.find_elements(By.CSS_SELECTOR, "figure svg")]

    assert all(re.search(r"\d", text) for text in charts)
    assert any(re.search(r"spread [+-]?\d.*total [+-]?\d", text) for text in charts)
    timeline = r"BBB over time: \d+ orders? with (the limit|limits from) .*, filled 24 of 24 shares \d"
    assert any(re.match(timeline, text) for text in charts), charts


def test_a_printed_page_shows_whole_tables_and_every_control(opened: Chrome) -> None:
    resize(opened, 1047)  # A4 in landscape without its margins
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    hidden_width = "return [...document.querySelectorAll('.scroll')].map((box) => box.scrollWidth - box.clientWidth)"

    over = opened.execute_script(hidden_width)
    names = opened.find_element(By.XPATH, "//h2[.='Controls']/following::p[1]")
    named = names.rect["height"] > 0 and "NOT_TRADABLE" in str(names.get_attribute("textContent"))
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})

    assert (set(over), named) == ({0}, True)


def test_a_click_on_a_column_head_sorts_the_orders_and_a_second_click_reverses_them(opened: Chrome) -> None:
    table = children_table(opened)
    shares = 7
    before = [float(value) for value in column(table, shares)]
    head = table.find_element(By.CSS_SELECTOR, f"th:nth-child({shares}) button")

    head.click()
    up = [float(value) for value in column(table, shares)]
    head.click()
    down = [float(value) for value in column(table, shares)]

    assert before not in (up, down), "the rows must not be sorted from the start"
    assert up == sorted(before)
    assert down == sorted(before, reverse=True)


def a_waterfall(folder: Path, total: str, **parts: str) -> str:
    """Write a page with this waterfall alone; return its address."""
    *steps, sum_of_steps = [figures.Part(name, Decimal(bps)) for name, bps in {**parts, "total": total}.items()]
    page = folder / "waterfall.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><figure>{figures.waterfall(steps, sum_of_steps)}</figure>")
    return page.as_uri()


def labels(driver: Chrome) -> dict[str, WebElement]:
    return {text.text: text for text in driver.find_elements(By.CSS_SELECTOR, "figure svg text")}


def test_no_label_of_a_waterfall_below_zero_covers_another_label(driver: Chrome, tmp_path: Path) -> None:
    driver.get(a_waterfall(tmp_path, "-0.1", delay="-0.5", spread="0.4", residual="0.02"))

    assert {"-0.5", "+0.4", "0.0", "-0.1"} <= set(labels(driver))
    assert driver.execute_script(_TEXTS_THAT_OVERLAP) == []


def test_the_label_of_a_step_back_to_zero_does_not_cover_the_zero_line(driver: Chrome, tmp_path: Path) -> None:
    driver.get(a_waterfall(tmp_path, "0", delay="0", spread="0.5", residual="-0.5"))

    up, down = labels(driver)["+0.5"].rect, labels(driver)["-0.5"].rect
    assert down["y"] == pytest.approx(up["y"], abs=2)


def test_an_order_that_was_sent_late_and_never_closed_is_drawn_over_the_whole_plot(
    driver: Chrome, tmp_path: Path
) -> None:
    sent = later(60)
    child = replace(a_child(intended_at=sent, limit="99.99"), bid=Decimal("99.99"), ask=Decimal("100.01"))
    parent = replace(a_parent(child, arrival=a_quote("99.99", "100.01")), settled_at=sent + timedelta(seconds=8))
    page = tmp_path / "timeline.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><figure>{figures.timeline(parent, NOW)}</figure>")

    driver.get(page.as_uri())

    whole = driver.find_element(By.CSS_SELECTOR, "figure svg").rect["width"]
    limit = driver.find_element(By.CSS_SELECTOR, "figure svg path[style*='--accent']").rect["width"]
    assert limit > 0.7 * whole


@pytest.mark.parametrize("width", [400, 1400])
def test_no_label_of_a_plot_covers_another_label(opened: Chrome, width: int) -> None:
    resize(opened, width)

    assert len(opened.find_elements(By.CSS_SELECTOR, "figure svg")) == 6
    assert opened.execute_script(_TEXTS_THAT_OVERLAP) == []


def test_light_and_dark_mode_have_different_colors(opened: Chrome) -> None:
    shown = {}
    for scheme in ("light", "dark"):
        prefer(opened, scheme)
        body = opened.find_element(By.TAG_NAME, "body")
        label = opened.find_element(By.CSS_SELECTOR, "figure svg text")
        shown[scheme] = (
            body.value_of_css_property("background-color"),
            body.value_of_css_property("color"),
            label.value_of_css_property("fill"),
        )

    assert all(light != dark for light, dark in zip(shown["light"], shown["dark"], strict=True))
    assert all(background not in (ink, label) for background, ink, label in shown.values())


def test_page_of_the_costs_fits_every_width_and_sorts_its_tables(driver: Chrome, tmp_path: Path) -> None:
    costs = [cost for journal in generated(3, plans=3) for cost in order_costs(journal)]
    kinds = (kind_costs(BrokerKind.PAPER, costs, Dimension),)
    answer = Costs(account="main", first_day="2026-01-01", last_day="2026-01-31", kinds=kinds, unfinished=())
    write_costs_page(tmp_path / "costs.html", answer)
    for width in (1400, 500):
        resize(driver, width)
        driver.get((tmp_path / "costs.html").as_uri())
        assert overflow(driver) == 0
    assert driver.execute_script(_TEXTS_THAT_OVERLAP) == []
    assert console(driver) == []

    table = "document.querySelectorAll('#paper table')[1]"
    driver.execute_script(f"{table}.querySelectorAll('th button')[2].click()")
    shown = driver.execute_script(f"return [...{table}.tBodies[0].rows].map(r => Number(r.cells[2].dataset.v))")
    assert shown == sorted(shown)
    assert len(shown) > 1
