"""The simulated broker's page in a real browser: live data, fault buttons, operator buttons."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
import requests
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from paper_broker.operator_buttons import OperatorButton
from paper_broker.server import PaperBroker
from tests.support.browser import browser, console, overflow, prefer, resize

WORLD = {
    "seed": 1,
    "account": {"cash": "10000"},
    "clock": {"sessions": "always_open"},
    "quotes": {"ABC": {"bid": "9.99", "ask": "10.01"}, "LONGNAME.B": {"bid": "123456.78", "ask": "123456.99"}},
    "positions": [{"symbol": "ABC", "qty": "1234.567891"}],
}
BUTTON = OperatorButton(
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
    with PaperBroker(WORLD, operator_buttons=[BUTTON]) as running:
        yield running


@pytest.fixture
def page(driver: Chrome, broker: PaperBroker) -> Iterator[Chrome]:
    resize(driver, 1400)
    prefer(driver, "light")
    driver.get(f"{broker.url}/")
    until(driver, lambda: text(driver, "connection") == "live")
    yield driver
    driver.get("about:blank")


def until(driver: Chrome, condition: Callable[[], bool]) -> None:
    WebDriverWait(driver, 20, poll_frequency=0.1).until(lambda _: condition())


def text(driver: Chrome, name: str) -> str:
    return driver.find_element(By.ID, name).text


def press(driver: Chrome, title: str) -> None:
    driver.find_element(By.XPATH, f"//button[normalize-space()='{title}']").click()


def pressed(driver: Chrome, title: str) -> str | None:
    return driver.find_element(By.XPATH, f"//button[normalize-space()='{title}']").get_attribute("aria-pressed")


def submit(broker: PaperBroker, **fields: str) -> requests.Response:
    return requests.post(f"{broker.url}/v2/orders", json=ORDER | fields, headers=KEYS, timeout=10)


def test_page_shows_an_order_when_it_is_new_and_when_it_fills(page: Chrome, broker: PaperBroker) -> None:
    submit(broker)
    until(page, lambda: "new" in text(page, "orders"))
    assert text(page, "orders-count") == "1 open, 0 closed"

    broker.change({"quotes": {"ABC": {"bid": "9.40", "ask": "9.45"}}})
    until(page, lambda: "filled" in text(page, "orders"))
    assert "9.45" in text(page, "orders")
    assert "1,244.567891" in text(page, "positions")
    assert text(page, "orders-count") == "0 open, 1 closed"
    assert "POST /v2/orders" in text(page, "requests")
    assert console(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_page_fits_the_viewport_without_console_messages(
    page: Chrome, broker: PaperBroker, width: int, scheme: str
) -> None:
    submit(broker, client_order_id="rb1-4c33a04348294fd4b2bf-BRK.B-12")
    resize(page, width)
    prefer(page, scheme)
    until(page, lambda: "ABC" in text(page, "orders"))

    assert overflow(page) <= 0
    clipped = (
        "return [...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth).length"
    )
    assert page.execute_script(clipped) == 0, "a table is clipped"
    assert console(page) == []


@pytest.mark.parametrize(("title", "status"), [("Down", 503), ("Reject", 403), ("Halt", 200)])
def test_button_turns_a_fault_preset_on_and_off(page: Chrome, broker: PaperBroker, title: str, status: int) -> None:
    press(page, title)
    until(page, lambda: pressed(page, title) == "true")
    assert text(page, "message").startswith(f"{title}: ")
    assert submit(broker).status_code == status

    press(page, title)
    until(page, lambda: pressed(page, title) == "false")
    assert text(page, "message") == f"{title}: off."
    assert submit(broker).status_code == 200


def test_clear_faults_turns_all_fault_presets_off(page: Chrome, broker: PaperBroker) -> None:
    for title in ("Slow", "Down", "Halt"):
        press(page, title)
        until(page, lambda title=title: pressed(page, title) == "true")  # type: ignore[misc]
    press(page, "Clear faults")
    until(page, lambda: [pressed(page, title) for title in ("Slow", "Down", "Halt")] == ["false"] * 3)
    assert submit(broker).status_code == 200


def test_operator_button_can_be_pressed(page: Chrome) -> None:
    until(page, lambda: "Kill switch" in page.page_source)
    assert pressed(page, "Kill switch") == "false"
    assert text(page, "active-buttons") == ""
    press(page, "Kill switch")
    until(page, lambda: pressed(page, "Kill switch") == "true")
    assert text(page, "message") == text(page, "active-buttons") == "Kill switch: on"


def test_values_are_shown_as_text_and_not_as_markup(page: Chrome, broker: PaperBroker) -> None:
    name = "<img src=x onerror=alert(1)>"
    query = {"client_order_id": name}
    requests.get(f"{broker.url}/v2/orders:by_client_order_id", params=query, headers=KEYS, timeout=5)
    until(page, lambda: name in text(page, "requests"))
    assert page.find_elements(By.TAG_NAME, "img") == []
    assert console(page) == []


def test_page_shows_a_lost_connection(driver: Chrome) -> None:
    with PaperBroker(WORLD) as broker:
        driver.get(f"{broker.url}/")
        until(driver, lambda: text(driver, "connection") == "live")
    until(driver, lambda: text(driver, "connection").startswith("no response since"))
    driver.get("about:blank")
