"""The paper broker's page in a real browser: it shows what lives, and its buttons make trouble."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
import requests
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from paper_broker.operator_buttons import Lever
from paper_broker.server import PaperBroker
from tests.support.browser import browser, console, overflow, prefer, resize

WORLD = {
    "seed": 1,
    "account": {"cash": "10000"},
    "clock": {"sessions": "always_open"},
    "quotes": {"ABC": {"bid": "9.99", "ask": "10.01"}, "LONGNAME.B": {"bid": "123456.78", "ask": "123456.99"}},
    "positions": [{"symbol": "ABC", "qty": "1234.567891"}],
}
LEVER = Lever(
    "Kill switch",
    [sys.executable, "-c", "import json, sys; print(json.dumps({'on': sys.argv[-1] == 'on', 'text': sys.argv[-1]}))"],
)
ORDER = {"symbol": "ABC", "qty": "10", "side": "buy", "type": "limit", "limit_price": "9.50", "time_in_force": "day"}
KEYS = {"APCA-API-KEY-ID": "any", "APCA-API-SECRET-KEY": "pair"}


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    with browser() as opened:
        yield opened


@pytest.fixture
def broker() -> Iterator[PaperBroker]:
    with PaperBroker(WORLD, levers=[LEVER]) as running:
        yield running


@pytest.fixture
def page(driver: Chrome, broker: PaperBroker) -> Iterator[Chrome]:
    resize(driver, 1400)
    prefer(driver, "light")
    driver.get(f"{broker.url}/")
    until(driver, lambda: text(driver, "pulse") == "live")
    yield driver
    driver.get("about:blank")


def until(driver: Chrome, holds: Callable[[], bool]) -> None:
    WebDriverWait(driver, 20, poll_frequency=0.1).until(lambda _: holds())


def text(driver: Chrome, name: str) -> str:
    return driver.find_element(By.ID, name).text


def press(driver: Chrome, title: str) -> None:
    driver.find_element(By.XPATH, f"//button[normalize-space()='{title}']").click()


def pressed(driver: Chrome, title: str) -> str | None:
    return driver.find_element(By.XPATH, f"//button[normalize-space()='{title}']").get_attribute("aria-pressed")


def submit(broker: PaperBroker, **fields: str) -> requests.Response:
    return requests.post(f"{broker.url}/v2/orders", json=ORDER | fields, headers=KEYS, timeout=10)


def test_an_order_is_seen_as_it_comes_and_as_it_fills(page: Chrome, broker: PaperBroker) -> None:
    submit(broker)
    until(page, lambda: "new" in text(page, "orders"))
    assert text(page, "orders-count") == "1 open, 0 done"

    broker.change({"quotes": {"ABC": {"bid": "9.40", "ask": "9.45"}}})
    until(page, lambda: "filled" in text(page, "orders"))
    assert "9.45" in text(page, "orders")
    assert "1,244.567891" in text(page, "positions")
    assert text(page, "orders-count") == "0 open, 1 done"
    assert "POST /v2/orders" in text(page, "requests")
    assert console(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_it_fits_without_a_complaint(page: Chrome, broker: PaperBroker, width: int, scheme: str) -> None:
    submit(broker, client_order_id="rb1-4c33a04348294fd4b2bf-BRK.B-12")
    resize(page, width)
    prefer(page, scheme)
    until(page, lambda: "ABC" in text(page, "orders"))

    assert overflow(page) <= 0
    cut = "return [...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth).length"
    assert page.execute_script(cut) == 0, "a status that is out of sight is not seen"
    assert console(page) == []


@pytest.mark.parametrize(("title", "answer"), [("Down", 503), ("Reject", 403), ("Halt", 200)])
def test_a_button_makes_its_trouble_and_ends_it(page: Chrome, broker: PaperBroker, title: str, answer: int) -> None:
    press(page, title)
    until(page, lambda: pressed(page, title) == "true")
    assert text(page, "told").startswith(f"{title}: ")
    assert submit(broker).status_code == answer

    press(page, title)
    until(page, lambda: pressed(page, title) == "false")
    assert text(page, "told") == f"{title} is over."
    assert submit(broker).status_code == 200


def test_all_well_again_ends_every_trouble(page: Chrome, broker: PaperBroker) -> None:
    for title in ("Slow", "Down", "Halt"):
        press(page, title)
        until(page, lambda title=title: pressed(page, title) == "true")  # type: ignore[misc]
    press(page, "All well again")
    until(page, lambda: [pressed(page, title) for title in ("Slow", "Down", "Halt")] == ["false"] * 3)
    assert submit(broker).status_code == 200


def test_the_lever_is_pulled(page: Chrome) -> None:
    until(page, lambda: "Kill switch" in page.page_source)
    assert pressed(page, "Kill switch") == "false"
    assert text(page, "pulled") == ""
    press(page, "Kill switch")
    until(page, lambda: pressed(page, "Kill switch") == "true")
    assert text(page, "told") == text(page, "pulled") == "Kill switch: on"


def test_what_is_shown_is_text_and_never_markup(page: Chrome, broker: PaperBroker) -> None:
    name = "<img src=x onerror=alert(1)>"
    asked = {"client_order_id": name}
    requests.get(f"{broker.url}/v2/orders:by_client_order_id", params=asked, headers=KEYS, timeout=5)
    until(page, lambda: name in text(page, "requests"))
    assert page.find_elements(By.TAG_NAME, "img") == []
    assert console(page) == []


def test_a_broker_that_is_gone_is_said_to_be_gone(driver: Chrome) -> None:
    with PaperBroker(WORLD) as broker:
        driver.get(f"{broker.url}/")
        until(driver, lambda: text(driver, "pulse") == "live")
    until(driver, lambda: text(driver, "pulse").startswith("no answer since"))
    driver.get("about:blank")
