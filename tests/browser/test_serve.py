"""The page of ``rebalance serve`` in a real browser, beside plans that run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from rebalance_cli import context
from rebalance_cli.command_line import TargetOptions
from rebalance_cli.context import cli_context
from rebalance_cli.live_server import LatestState, page_server
from rebalance_cli.queries.live import LiveQuery
from rebalance_cli.report import live_page
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.risk_state import TradingState
from tests.support.browser import browser, console, contrast_below, overflow, prefer, resize
from tests.support.terminal import Terminal
from tests.support.world import HandlerWorld, a_world, buy, hold, plan, sell

GOOD = plan(sell("AAA", "1000", current_value="5000"), buy("BBB", "900"), plan_id="good-2026-01-26")
CUT = plan(buy("BBB", "4900"), buy("ZZZ", "600"), hold("DDD"), plan_id="cut-2026-01-26-with-a-long-name")
WAITING = plan(sell("AAA", "500", current_value="3000"), plan_id="waiting-2026-01-26")


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    with browser() as opened:
        yield opened


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    """Yield a world after a plan that was executed, one that was cut by cash, and one that waits."""
    with a_world(positions={"AAA": "50"}, cash="3000", config={"order_style": "ladder"}) as world:
        world.deliver(GOOD)
        world.advance(60)
        world.deliver(CUT)
        world.broker.change({"fills": [{"symbol": "AAA", "behaviour": "never"}]})
        with pytest.raises(PlanYielded):
            world.deliver(WAITING, seconds=8)
        yield world


@pytest.fixture
def page(world: HandlerWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of the page; its state is read in a thread that stands for the command's."""
    terminal = Terminal(world, tmp_path, {})
    for name, value in terminal._environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(context, "SystemClock", lambda: world.clock)
    with cli_context(TargetOptions(config_file=terminal.config), Console()) as ctx:
        query = LiveQuery(ctx, "default")
        state = LatestState(lambda: live_page.live_state(query.read(), ctx.command), fresh_seconds=0.1)
        with page_server(live_page.page_files(), state, 0) as url:
            threading.Thread(target=state.keep_reading, daemon=True).start()
            yield url


@pytest.fixture
def opened(driver: Chrome, page: str) -> Iterator[Chrome]:
    """Yield the page after its first state; leave it before its server ends."""
    resize(driver, 1400)
    prefer(driver, "light")
    driver.get(page)
    wait_for(driver, "return document.querySelectorAll('.plan').length === 3")
    yield driver
    driver.get("about:blank")


def wait_for(driver: Chrome, script: str) -> None:
    WebDriverWait(driver, 15, poll_frequency=0.1).until(lambda opened: opened.execute_script(script))


def open_all(driver: Chrome) -> None:
    driver.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_page_fits_the_screen_and_is_readable(opened: Chrome, width: int, scheme: str) -> None:
    resize(opened, width)
    prefer(opened, scheme)
    open_all(opened)

    assert overflow(opened) == 0
    assert contrast_below(opened, 4.5) == []
    assert console(opened) == []


def test_plans_that_need_attention_are_open_and_the_others_folded(opened: Chrome) -> None:
    heads = [head.text for head in opened.find_elements(By.CSS_SELECTOR, ".plan h2")]
    folded = [head.text for head in opened.find_elements(By.CSS_SELECTOR, ".plan > details:not([open]) h2")]

    assert heads == ["waiting-2026-01-26", "cut-2026-01-26-with-a-long-name", "good-2026-01-26"]
    assert folded == ["good-2026-01-26"]


def test_headings_descend_without_a_gap_and_every_table_has_a_name(opened: Chrome) -> None:
    open_all(opened)
    levels = [int(head.tag_name[1]) for head in opened.find_elements(By.CSS_SELECTOR, "h1, h2, h3, h4")]
    boxes = opened.find_elements(By.CSS_SELECTOR, ".scroll")
    names = [box.get_attribute("aria-label") for box in boxes]

    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(names) == len(set(names)) >= 5
    assert {(box.get_attribute("role"), box.get_attribute("tabindex")) for box in boxes} == {("region", "0")}


def test_keyboard_reaches_and_scrolls_a_wide_table(opened: Chrome) -> None:
    resize(opened, 400)
    seen: set[str] = set()
    for _ in range(20):
        opened.switch_to.active_element.send_keys(Keys.TAB)
        seen.add(str(opened.execute_script("return document.activeElement.id")))
    box = opened.find_element(By.CSS_SELECTOR, "[id$='-items-table']")
    box.send_keys(Keys.ARROW_RIGHT)

    assert str(box.get_attribute("id")) in seen
    wait_for(opened, "return [...document.querySelectorAll(\"[id$='-items-table']\")].some((b) => b.scrollLeft > 0)")


def test_new_state_appears_without_a_reload_and_unchanged_sections_stay(opened: Chrome, world: HandlerWorld) -> None:
    opened.execute_script("window.marker = 1; for (const s of document.querySelectorAll('.plan')) s.marker = 1")
    open_all(opened)

    world.broker.change({"fills": []})
    world.deliver(plan(buy("BBB", "20"), plan_id="later"))
    world.set_kill_switch(TradingState.HALTED, "prices look wrong")
    wait_for(opened, "return document.querySelectorAll('.plan').length === 4")
    wait_for(opened, "return document.body.textContent.includes('prices look wrong')")

    kept = opened.execute_script("return [...document.querySelectorAll('.plan')].filter((s) => s.marker).length")
    folded = opened.execute_script("return document.querySelectorAll('.plan > details[open]').length")
    assert (opened.execute_script("return window.marker"), kept) == (1, 2), "the plan that waited has changed"
    assert folded >= 1, "what the reader opened stays open"


def test_focus_and_scroll_position_survive_a_change(opened: Chrome, world: HandlerWorld) -> None:
    resize(opened, 400)
    box: Any = opened.find_element(By.CSS_SELECTOR, "#plans-table")
    opened.execute_script("arguments[0].focus(); arguments[0].scrollLeft = 40", box)

    world.broker.change({"fills": []})
    world.deliver(plan(buy("BBB", "20"), plan_id="later"))
    wait_for(opened, "return document.querySelectorAll('.plan').length === 4")

    where = "const box = document.getElementById('plans-table'); return [document.activeElement.id, box.scrollLeft]"
    assert opened.execute_script(where) == ["plans-table", 40]


def test_page_says_that_the_command_has_ended(driver: Chrome) -> None:
    state = LatestState(lambda: '<section id="head"><h1>Account x</h1></section>')
    with page_server(live_page.page_files(), state, 0) as url:
        threading.Thread(target=state.keep_reading, daemon=True).start()
        driver.get(url)
        wait_for(driver, "return document.querySelector('h1').textContent === 'Account x'")

    wait_for(driver, "return !document.getElementById('note').hidden")
    assert 'is "rebalance serve" still running?' in driver.find_element(By.ID, "note").text
    assert driver.find_element(By.TAG_NAME, "h1").text == "Account x", "the last state stays"
    driver.get("about:blank")
    console(driver)  # the failed requests are logged
