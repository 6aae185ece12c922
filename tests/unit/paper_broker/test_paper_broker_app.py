"""The running broker without sockets: its clock, its limits, its scenarios, its state."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from paper_broker.app import RateLimiter, Venue, VenueClock
from paper_broker.errors import BrokerError
from paper_broker.formats import parse_instant, plain, timestamp
from paper_broker.scenario import default_world
from paper_broker.store import StateFile

NOON = datetime(2026, 1, 26, 17, tzinfo=UTC)


def test_a_real_clock_follows_the_time_and_can_be_put_forward() -> None:
    clock = VenueClock(lambda: NOON)
    clock.set({"advance_seconds": 90})

    assert clock() == NOON + timedelta(seconds=90)


def test_a_virtual_clock_stands_still_until_it_is_moved() -> None:
    clock = VenueClock(lambda: NOON)
    clock.set({"mode": "virtual", "now": "2026-01-26T15:00:00Z"})
    assert clock() == datetime(2026, 1, 26, 15, tzinfo=UTC)

    clock.set({"advance_seconds": 1.5})

    assert clock() == datetime(2026, 1, 26, 15, 0, 1, 500000, tzinfo=UTC)


def test_a_virtual_clock_can_be_let_go() -> None:
    clock = VenueClock(lambda: NOON)
    clock.set({"now": "2026-01-26T15:00:00Z"})

    clock.set({"mode": "real"})

    assert clock() == NOON


@pytest.mark.parametrize(
    "settings", [{"mode": "lunar"}, {"now": "2026-01-26T14:59:59Z"}, {"now": "tomorrow"}, {"advance_seconds": -1}]
)
def test_a_clock_refuses_to_go_back_or_astray(settings: dict[str, Any]) -> None:
    clock = VenueClock(lambda: NOON)
    clock.set({"now": "2026-01-26T15:00:00Z"})

    with pytest.raises(ValueError, match=r"lunar|forward|timestamp"):
        clock.set(settings)


def test_requests_are_limited_in_windows_of_a_minute_and_apart_for_trading_and_data() -> None:
    limiter = RateLimiter()
    limiter.set({"trading": 2})

    taken = [limiter.take("trading", NOON) for _ in range(3)]

    assert [(a.remaining, a.exceeded) for a in taken] == [(1, False), (0, False), (0, True)]
    assert taken[0].reset == int(NOON.timestamp()) + 60
    assert limiter.take("data", NOON).remaining == 199
    assert limiter.take("trading", NOON + timedelta(seconds=60)).remaining == 1


def test_the_default_world_has_sixty_assets_that_can_be_bought() -> None:
    venue = Venue(real_time=lambda: NOON)
    world = default_world()

    quotes = venue.exchange.latest_quotes(world["quotes"])["quotes"]

    assert len(venue.exchange.assets()) == len(quotes) >= 60
    assert {asset["fractionable"] for asset in venue.exchange.assets()} == {True, False}
    assert {asset["exchange"] for asset in venue.exchange.assets()} == {"NASDAQ", "NYSE", "ARCA"}
    assert {"AAPL", "MSFT", "SPY", "QQQ", "TQQQ", "BIL"} <= quotes.keys()
    assert all(0 < quote["bp"] < quote["ap"] for quote in quotes.values())
    assert venue.exchange.account()["cash"] == "100000"


def test_a_world_is_changed_and_its_orders_stay() -> None:
    venue = Venue({"account": {"cash": "100"}, "quotes": {"ABC": {"bid": "10", "ask": "10.02"}}}, lambda: NOON)
    order = venue.exchange.submit_order(
        {"symbol": "ABC", "qty": "1", "side": "buy", "type": "limit", "limit_price": "9", "time_in_force": "day"}
    )

    venue.merge({
        "account": {"cash": "500"},
        "positions": [{"symbol": "XYZ", "qty": "3", "avg_entry_price": "7"}],
        "quotes": {"XYZ": {"bid": "8", "ask": "8.01"}},
    })  # fmt: skip

    assert venue.exchange.account()["cash"] == "500"
    assert [p["symbol"] for p in venue.exchange.positions()] == ["XYZ"]
    assert venue.exchange.get_order(order["id"])["status"] == "new"
    venue.merge({"positions": [{"symbol": "XYZ", "qty": "0"}]})
    assert venue.exchange.positions() == []


@pytest.mark.parametrize(
    "scenario",
    [
        {"money": 1},
        {"clock": {"tempo": 2}},
        {"clock": {"sessions": "sometimes"}},
        {"account": {"wealth": 1}},
        {"assets": [{"symbol": "A", "colour": "red"}]},
        {"quotes": {"A": {"middle": 1}}},
        {"quotes": {"A": {"bid": 1, "t": "soon"}}},
        {"positions": [{"symbol": "A", "qty": "-1"}]},
        {"rate_limit": {"news": 1}},
        {"default_fill": {"behaviour": "luck"}},
        {"drift": {"speed": 1}},
    ],
)
def test_a_scenario_that_makes_no_sense_is_refused(scenario: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Venue(scenario)


def test_a_refused_scenario_leaves_the_old_world() -> None:
    venue = Venue({"account": {"cash": "100"}}, lambda: NOON)

    with pytest.raises(ValueError, match="money"):
        venue.begin({"money": 1})

    assert venue.exchange.account()["cash"] == "100"


def test_time_that_passes_lets_happen_what_is_due() -> None:
    venue = Venue(
        {"clock": {"now": "2026-01-26T15:00:00Z"}, "account": {"cash": "99"}, "quotes": {"ABC": {"ask": "9"}}}
    )
    venue.exchange.submit_order({"symbol": "ABC", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"})

    venue.merge({"clock": {"advance_seconds": 1}})

    (order,) = venue.dump()["exchange"]["orders"]
    assert (order["status"], venue.clock()) == ("filled", datetime(2026, 1, 26, 15, 0, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "clock", [{"mode": "real", "advance_seconds": -1}, {"now": "2030-01-01", "sessions": "sometimes"}]
)
def test_a_clock_that_is_refused_goes_on_as_before(clock: dict[str, Any]) -> None:
    venue = Venue({"clock": {"now": "2026-01-26T15:00:00Z"}})

    with pytest.raises(ValueError, match=r"forward|sometimes"):
        venue.merge({"clock": clock})

    assert venue.clock() == datetime(2026, 1, 26, 15, tzinfo=UTC)


def test_a_change_that_is_refused_changes_nothing() -> None:
    venue = Venue({"account": {"cash": "100"}, "quotes": {"ABC": {"bid": "10", "ask": "11"}}}, lambda: NOON)
    before = venue.dump()

    with pytest.raises(ValueError, match="long only"):
        venue.merge({
            "faults": [{"kind": "drop"}],
            "rate_limit": {"trading": 1},
            "clock": {"advance_seconds": 60},
            "quotes": {"ABC": {"bid": "9"}},
            "account": {"cash": "1"},
            "positions": [{"symbol": "ABC", "qty": "-1"}],
        })  # fmt: skip

    assert venue.dump() == before


def test_a_scenario_may_name_the_only_keys() -> None:
    venue = Venue({"account": {"api_key": "right", "secret_key": "pair"}}, lambda: NOON)
    venue.authorize("right", "pair")

    for key, secret in (("right", "wrong"), ("wrong", "pair"), ("", ""), ("right", "")):
        with pytest.raises(BrokerError, match="401"):
            venue.authorize(key, secret)


def test_without_named_keys_any_pair_will_do_but_not_none() -> None:
    venue = Venue({}, lambda: NOON)
    venue.authorize("any", "pair")

    with pytest.raises(BrokerError, match="401"):
        venue.authorize("", "pair")


def test_a_venue_goes_on_where_it_was_dumped(tmp_path: Path) -> None:
    venue = Venue({
        "clock": {"mode": "virtual", "now": "2026-01-26T15:00:00Z"},
        "faults": [{"kind": "drop"}],
        "rate_limit": {"trading": 7},
    })  # fmt: skip
    file = StateFile(tmp_path / "new" / "state.json")
    assert file.read() is None

    file.write(venue.json_pieces())

    assert Venue.load(file.read() or {}).dump() == venue.dump()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_a_state_that_cannot_be_read_is_refused_with_what_to_do(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)

    with pytest.raises(ValueError, match="Move it away"):
        StateFile(path).read()


@pytest.mark.parametrize("missing", ["clock", "faults", "exchange"])
def test_a_state_that_lacks_something_is_refused(missing: str) -> None:
    state = Venue({}, lambda: NOON).dump()
    del state[missing]

    with pytest.raises(ValueError, match=f"cannot be read: KeyError '{missing}'"):
        Venue.load(state)


def test_the_state_is_a_copy() -> None:
    venue = Venue({"quotes": {"ABC": {"bid": "10", "ask": "11"}}}, lambda: NOON)
    before = venue.dump()

    before["exchange"]["quotes"].clear()

    assert list(venue.dump()["exchange"]["quotes"]) == ["ABC"]


def test_the_log_keeps_the_newest_thousand_requests() -> None:
    venue = Venue({}, lambda: NOON)
    for n in range(1001):
        venue.count("trading", "GET /v2/account", {"n": n})

    assert (len(venue.log), venue.log[0], venue.requests) == (1000, {"n": 1}, {"GET /v2/account": 1001})


def test_a_state_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 99"):
        Venue.load({"format": 99})


@pytest.mark.parametrize(
    ("value", "text"), [("0", "0"), ("-0.00", "0"), ("1E+2", "100"), ("10.20", "10.2"), ("1E-9", "0.000000001")]
)
def test_decimals_travel_without_exponents_and_trailing_zeros(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-26T15:00:00.123456789Z", "2026-01-26T15:00:00.123456789Z"),
        ("2026-01-26T10:00:00-05:00", "2026-01-26T15:00:00.000000000Z"),
        ("2026-01-26T15:00:00 00:00", "2026-01-26T15:00:00.000000000Z"),
        ("2026-01-26", "2026-01-26T00:00:00.000000000Z"),
    ],
)
def test_timestamps_keep_their_nanoseconds(text: str, instant: str) -> None:
    assert timestamp(parse_instant(text)) == instant
