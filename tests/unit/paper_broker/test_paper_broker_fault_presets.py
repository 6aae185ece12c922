"""Fault presets: each can be turned on and off, and leaves the faults and rules of a scenario unchanged."""

from __future__ import annotations

import pytest

from paper_broker.app import App
from paper_broker.errors import BrokerError
from paper_broker.fault_presets import FAULT_PRESETS

SCENARIO_FAULT = {"kind": "drop", "path": "^/v2/positions$"}
SCENARIO_RULE = {"symbol": "ABC", "behaviour": "never"}
SCENARIO_AUCTION = {"symbol": "ABC", "fill_fraction": 0.5}
ORDER = {"symbol": "ABC", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


def make_app() -> App:
    return App(
        {
            "account": {"cash": "1000"},
            "clock": {"mode": "virtual", "now": "2026-01-26T15:00:00Z", "sessions": "always_open"},
            "quotes": {"ABC": {"bid": "10", "ask": "10.02"}, "XYZ": {"bid": "10", "ask": "10.02"}},
            "faults": [SCENARIO_FAULT],
            "fills": [SCENARIO_RULE],
            "auctions": [SCENARIO_AUCTION],
        }
    )


def next_fault(app: App) -> str | None:
    fault = app.faults.next("GET", "/v2/account", {})
    return None if fault is None else fault.kind


def status_of_an_order(app: App) -> str:
    try:
        order = app.exchange.submit_order({**ORDER, "symbol": "XYZ"})
    except BrokerError as error:
        return str(error.http_status)
    return str(app.exchange.get_order(order["id"])["status"])


@pytest.mark.parametrize(
    ("name", "fault", "order"),
    [
        ("slow", "latency", "filled"),
        ("down", "status", "filled"),
        ("keys", "status", "filled"),
        ("reject", None, "403"),
        ("auctions", None, "filled"),
        ("halt", None, "new"),
    ],
)
def test_fault_preset_applies_until_it_is_turned_off(name: str, fault: str | None, order: str) -> None:
    app, preset = make_app(), FAULT_PRESETS[name]
    before = app.dump()
    assert not preset.is_on(app)

    for _ in range(2):  # idempotent
        preset.set(app, on=True)
    assert preset.is_on(app)
    assert [next_fault(app), next_fault(app)] == [fault] * 2
    assert status_of_an_order(app) == order

    preset.set(app, on=False)
    assert not preset.is_on(app)
    assert next_fault(app) is None
    after = app.dump()
    assert after["faults"] == before["faults"]
    assert after["exchange"]["fills"] == before["exchange"]["fills"] == [SCENARIO_RULE]
    assert after["exchange"]["auctions"] == before["exchange"]["auctions"] == [SCENARIO_AUCTION]


def test_fault_presets_are_independent_of_each_other() -> None:
    app = make_app()
    for preset in FAULT_PRESETS.values():
        preset.set(app, on=True)
    FAULT_PRESETS["slow"].set(app, on=False)
    assert [preset.is_on(app) for preset in FAULT_PRESETS.values()] == [False, True, True, True, True, True]


def test_resting_order_executes_after_a_halt() -> None:
    app = make_app()
    FAULT_PRESETS["halt"].set(app, on=True)
    order = app.exchange.submit_order({**ORDER, "symbol": "XYZ"})
    assert app.exchange.get_order(order["id"])["status"] == "new"

    FAULT_PRESETS["halt"].set(app, on=False)
    assert app.exchange.get_order(order["id"])["status"] == "filled"


def test_fault_preset_survives_a_restart() -> None:
    app = make_app()
    for preset in FAULT_PRESETS.values():
        preset.set(app, on=True)
    restarted = App.load(app.dump())
    assert all(preset.is_on(restarted) for preset in FAULT_PRESETS.values())
