"""Daily bars of the simulated broker, read by Alpaca's own SDK and by plain requests."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from paper_broker.server import PaperBroker
from tests.contract.sdk import APIError, Sdk, StockBarsRequest, TimeFrame, broker_world

START, END = datetime(2025, 12, 27, tzinfo=UTC), datetime(2026, 1, 26, tzinfo=UTC)


@pytest.fixture
def broker() -> Iterator[PaperBroker]:
    world = broker_world()
    world["quotes"]["ABC"]["volume"] = 1_000_000
    world["quotes"]["OLD"] = {"bid": "5", "ask": "5.01", "volume": [3000, 0], "volume_age_days": 14}
    with PaperBroker(world) as running:
        yield running


def a_request(**fields: Any) -> StockBarsRequest:
    values: dict[str, Any] = {"timeframe": TimeFrame.Day, "start": START, "end": END, "feed": "sip"}
    return StockBarsRequest(**(values | fields))


def test_sdk_reads_the_trading_days_of_symbols_with_a_volume(data: Sdk) -> None:
    bars = data.get_stock_bars(a_request(symbol_or_symbols=["ABC", "OLD", "XYZ", "NONE"])).data

    assert set(bars) == {"ABC", "OLD"}
    assert len(bars["ABC"]) == 18  # 2026-01-01 and 2026-01-19 are holidays
    assert {bar.volume for bar in bars["ABC"]} == {1_000_000}
    assert bars["ABC"][-1].timestamp == datetime(2026, 1, 23, 5, tzinfo=UTC)
    assert [bar.volume for bar in bars["OLD"]][:3] == [3000, 0, 3000]
    assert max(bar.timestamp.date() for bar in bars["OLD"]) == date(2026, 1, 12)


def test_pages_have_as_many_bars_as_asked_for(data: Sdk) -> None:
    query = {"symbols": "OLD,ABC", "timeframe": "1Day", "start": "2025-12-27", "end": "2026-01-26", "limit": "10"}
    rows: list[tuple[str, str]] = []
    sizes: list[int] = []
    token = None
    while token is not None or not sizes:
        page = data.get("/stocks/bars", query | ({} if token is None else {"page_token": token}))
        found = [(symbol, bar["t"]) for symbol, bars in page["bars"].items() for bar in bars]
        rows, sizes, token = rows + found, [*sizes, len(found)], page["next_page_token"]

    assert sizes == [10, 10, 8]
    assert rows == sorted(set(rows))


def test_iex_has_a_part_of_the_volume(data: Sdk) -> None:
    bars = data.get_stock_bars(a_request(symbol_or_symbols=["ABC"], feed="iex")).data

    assert {bar.volume for bar in bars["ABC"]} == {20_000}


def test_sip_data_of_the_last_minutes_needs_a_subscription(data: Sdk) -> None:
    recent = a_request(symbol_or_symbols=["ABC"], end=datetime(2026, 1, 26, 14, 46, tzinfo=UTC))

    with pytest.raises(APIError, match="recent SIP data") as denied:
        data.get_stock_bars(recent)
    assert denied.value.status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"timeframe": "60Min"},
        {"timeframe": "5Sec"},
        {"limit": "10001"},
        {"limit": "none"},
        {"start": "yesterday"},
        {"feed": "tape"},
        {"adjustment": "half"},
        {"page_token": "???"},
        {"symbols": ""},
    ],
    ids=str,
)
def test_invalid_parameter_is_a_400(data: Sdk, change: dict[str, str]) -> None:
    with pytest.raises(APIError) as invalid:
        data.get("/stocks/bars", {"symbols": "ABC", "timeframe": "1Day", "start": "2026-01-05"} | change)

    assert invalid.value.status_code == 400
