"""The broker without its HTTP server: clock, rate limits, scenarios, state."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from paper_broker.app import App, BrokerClock, RateLimiter
from paper_broker.errors import BrokerError
from paper_broker.formats import format_decimal, parse_instant, timestamp
from paper_broker.scenario import default_world
from paper_broker.store import StateFile

NOON = datetime(2026, 1, 26, 17, tzinfo=UTC)


def test_real_clock_can_be_advanced() -> None:
    clock = BrokerClock(lambda: NOON)
    clock.set({"advance_seconds": 90})

    assert clock() == NOON + timedelta(seconds=90)


def test_virtual_clock_changes_only_when_it_is_set() -> None:
    clock = BrokerClock(lambda: NOON)
    clock.set({"mode": "virtual", "now": "2026-01-26T15:00:00Z"})
    assert clock() == datetime(2026, 1, 26, 15, tzinfo=UTC)

    clock.set({"advance_seconds": 1.5})

    assert clock() == datetime(2026, 1, 26, 15, 0, 1, 500000, tzinfo=UTC)


def test_virtual_clock_can_be_changed_to_real_time() -> None:
    clock = BrokerClock(lambda: NOON)
    clock.set({"now": "2026-01-26T15:00:00Z"})

    clock.set({"mode": "real"})

    assert clock() == NOON


@pytest.mark.parametrize(
    "settings", [{"mode": "lunar"}, {"now": "2026-01-26T14:59:59Z"}, {"now": "tomorrow"}, {"advance_seconds": -1}]
)
def test_clock_rejects_invalid_settings_and_steps_back(settings: dict[str, Any]) -> None:
    clock = BrokerClock(lambda: NOON)
    clock.set({"now": "2026-01-26T15:00:00Z"})

    with pytest.raises(ValueError, match=r"lunar|forward|timestamp"):
        clock.set(settings)


def test_rate_limits_apply_per_minute_and_separately_to_trading_and_data() -> None:
    limiter = RateLimiter()
    limiter.set({"trading": 2})

    allowances = [limiter.acquire("trading", NOON) for _ in range(3)]

    assert [(a.remaining, a.exceeded) for a in allowances] == [(1, False), (0, False), (0, True)]
    assert allowances[0].reset == int(NOON.timestamp()) + 60
    assert limiter.acquire("data", NOON).remaining == 199
    assert limiter.acquire("trading", NOON + timedelta(seconds=60)).remaining == 1


def test_default_scenario_has_sixty_assets_with_quotes() -> None:
    app = App(real_time=lambda: NOON)
    world = default_world()

    quotes = app.exchange.latest_quotes(world["quotes"])["quotes"]

    assert len(app.exchange.assets()) == len(quotes) >= 60
    assert {asset["fractionable"] for asset in app.exchange.assets()} == {True, False}
    assert {asset["exchange"] for asset in app.exchange.assets()} == {"NASDAQ", "NYSE", "ARCA"}
    assert {"AAPL", "MSFT", "SPY", "QQQ", "TQQQ", "BIL"} <= quotes.keys()
    assert all(0 < quote["bp"] < quote["ap"] for quote in quotes.values())
    assert app.exchange.account()["cash"] == "100000"


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
        {"lists": {"page_limit": 0}},
        {"account": {"account_lag_seconds": 1, "wealth": 1}},
        {"rate_limit": {"news": 1}},
        {"default_fill": {"behaviour": "luck"}},
        {"drift": {"speed": 1}},
    ],
)
def test_invalid_scenario_is_rejected(scenario: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        App(scenario)


def test_invalid_scenario_changes_nothing() -> None:
    app = App({"account": {"cash": "100"}}, lambda: NOON)

    with pytest.raises(ValueError, match="money"):
        app.reset({"money": 1})

    assert app.exchange.account()["cash"] == "100"


def test_advancing_the_clock_processes_due_events() -> None:
    app = App({"clock": {"now": "2026-01-26T15:00:00Z"}, "account": {"cash": "99"}, "quotes": {"ABC": {"ask": "9"}}})
    app.exchange.submit_order({"symbol": "ABC", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"})

    app.merge({"clock": {"advance_seconds": 1}})

    (order,) = app.dump()["exchange"]["orders"]
    assert (order["status"], app.clock()) == ("filled", datetime(2026, 1, 26, 15, 0, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "clock", [{"mode": "real", "advance_seconds": -1}, {"now": "2030-01-01", "sessions": "sometimes"}]
)
def test_invalid_clock_setting_changes_nothing(clock: dict[str, Any]) -> None:
    app = App({"clock": {"now": "2026-01-26T15:00:00Z"}})

    with pytest.raises(ValueError, match=r"forward|sometimes"):
        app.merge({"clock": clock})

    assert app.clock() == datetime(2026, 1, 26, 15, tzinfo=UTC)


def test_invalid_change_is_rolled_back() -> None:
    app = App({"account": {"cash": "100"}, "quotes": {"ABC": {"bid": "10", "ask": "11"}}}, lambda: NOON)
    before = app.dump()

    with pytest.raises(ValueError, match="wealth"):
        app.merge({
            "faults": [{"kind": "drop"}],
            "rate_limit": {"trading": 1},
            "clock": {"advance_seconds": 60},
            "quotes": {"ABC": {"bid": "9"}},
            "account": {"cash": "1", "wealth": "2"},
        })  # fmt: skip

    assert app.dump() == before


def test_only_the_api_keys_of_the_scenario_are_accepted() -> None:
    app = App({"account": {"api_key": "valid", "secret_key": "pair"}}, lambda: NOON)
    app.authorize("valid", "pair")

    for key, secret in (("valid", "wrong"), ("wrong", "pair"), ("", ""), ("valid", "")):
        with pytest.raises(BrokerError, match="401"):
            app.authorize(key, secret)


def test_any_pair_of_api_keys_is_accepted_by_default() -> None:
    app = App({}, lambda: NOON)
    app.authorize("any", "pair")

    with pytest.raises(BrokerError, match="401"):
        app.authorize("", "pair")


def test_state_survives_a_round_trip_through_the_state_file(tmp_path: Path) -> None:
    app = App({
        "clock": {"mode": "virtual", "now": "2026-01-26T15:00:00Z"},
        "faults": [{"kind": "drop"}],
        "rate_limit": {"trading": 7},
    })  # fmt: skip
    file = StateFile(tmp_path / "new" / "state.json")
    assert file.read() is None

    file.write(app.json_pieces())

    assert App.load(file.read() or {}).dump() == app.dump()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_unreadable_state_file_is_rejected(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)

    with pytest.raises(ValueError, match="Move it away"):
        StateFile(path).read()


@pytest.mark.parametrize("missing", ["clock", "faults", "exchange"])
def test_incomplete_state_is_rejected(missing: str) -> None:
    state = App({}, lambda: NOON).dump()
    del state[missing]

    with pytest.raises(ValueError, match=f"cannot be read: KeyError '{missing}'"):
        App.load(state)


def test_dumped_state_is_a_copy() -> None:
    app = App({"quotes": {"ABC": {"bid": "10", "ask": "11"}}}, lambda: NOON)
    before = app.dump()

    before["exchange"]["quotes"].clear()

    assert list(app.dump()["exchange"]["quotes"]) == ["ABC"]


def test_log_keeps_the_newest_thousand_requests() -> None:
    app = App({}, lambda: NOON)
    for n in range(1001):
        app.count_request("trading", "GET /v2/account", {"n": n})

    assert (len(app.log), app.log[0], app.requests) == (1000, {"n": 1}, {"GET /v2/account": 1001})


def test_state_with_another_format_is_rejected() -> None:
    with pytest.raises(ValueError, match="format 99"):
        App.load({"format": 99})


@pytest.mark.parametrize(
    ("value", "text"), [("0", "0"), ("-0.00", "0"), ("1E+2", "100"), ("10.20", "10.2"), ("1E-9", "0.000000001")]
)
def test_decimals_have_no_exponent_and_no_trailing_zeros(value: str, text: str) -> None:
    assert format_decimal(Decimal(value)) == text


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-26T15:00:00.123456789Z", "2026-01-26T15:00:00.123456789Z"),
        ("2026-01-26T10:00:00-05:00", "2026-01-26T15:00:00.000000000Z"),
        ("2026-01-26T15:00:00 00:00", "2026-01-26T15:00:00.000000000Z"),
        ("2026-01-26", "2026-01-26T00:00:00.000000000Z"),
    ],
)
def test_timestamps_keep_nanoseconds(text: str, instant: str) -> None:
    assert timestamp(parse_instant(text)) == instant
