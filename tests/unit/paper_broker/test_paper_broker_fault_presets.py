"""Drills: each makes its trouble, can be ended, and leaves what a scenario arranged as it was."""

from __future__ import annotations

import pytest

from paper_broker.app import Venue
from paper_broker.errors import BrokerError
from paper_broker.fault_presets import DRILLS

OWN_FAULT = {"kind": "drop", "path": "^/v2/positions$"}
OWN_RULE = {"symbol": "ABC", "behaviour": "never"}
ORDER = {"symbol": "ABC", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


def a_venue() -> Venue:
    return Venue(
        {
            "account": {"cash": "1000"},
            "clock": {"mode": "virtual", "now": "2026-01-26T15:00:00Z", "sessions": "always_open"},
            "quotes": {"ABC": {"bid": "10", "ask": "10.02"}, "XYZ": {"bid": "10", "ask": "10.02"}},
            "faults": [OWN_FAULT],
            "fills": [OWN_RULE],
        }
    )


def met(venue: Venue) -> str | None:
    fault = venue.faults.next("GET", "/v2/account", {})
    return None if fault is None else fault.kind


def status_of_an_order(venue: Venue) -> str:
    try:
        order = venue.exchange.submit_order({**ORDER, "symbol": "XYZ"})
    except BrokerError as error:
        return str(error.http_status)
    return str(venue.exchange.get_order(order["id"])["status"])


@pytest.mark.parametrize(
    ("name", "fault", "order"),
    [("slow", "latency", "filled"), ("down", "status", "filled"), ("reject", None, "403"), ("halt", None, "new")],
)
def test_a_drill_makes_its_trouble_until_it_is_ended(name: str, fault: str | None, order: str) -> None:
    venue, drill = a_venue(), DRILLS[name]
    before = venue.dump()
    assert not drill.is_on(venue)

    for _ in range(2):  # twice is the same as once
        drill.switch(venue, on=True)
    assert drill.is_on(venue)
    assert [met(venue), met(venue)] == [fault] * 2
    assert status_of_an_order(venue) == order

    drill.switch(venue, on=False)
    assert not drill.is_on(venue)
    assert met(venue) is None
    after = venue.dump()
    assert after["faults"] == before["faults"]
    assert after["exchange"]["fills"] == before["exchange"]["fills"] == [OWN_RULE]


def test_drills_go_together_and_end_one_by_one() -> None:
    venue = a_venue()
    for drill in DRILLS.values():
        drill.switch(venue, on=True)
    DRILLS["slow"].switch(venue, on=False)
    assert [drill.is_on(venue) for drill in DRILLS.values()] == [False, True, True, True]


def test_a_halt_holds_back_what_rests_and_lets_it_go() -> None:
    venue = a_venue()
    DRILLS["halt"].switch(venue, on=True)
    order = venue.exchange.submit_order({**ORDER, "symbol": "XYZ"})
    assert venue.exchange.get_order(order["id"])["status"] == "new"

    DRILLS["halt"].switch(venue, on=False)
    assert venue.exchange.get_order(order["id"])["status"] == "filled"


def test_a_drill_outlives_a_restart() -> None:
    venue = a_venue()
    for drill in DRILLS.values():
        drill.switch(venue, on=True)
    again = Venue.load(venue.dump())
    assert all(drill.is_on(again) for drill in DRILLS.values())
