"""Average volumes in the journal's table."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError

from rebalance_executor.adapters.dynamodb.asset_cache import DynamoAssetCache
from rebalance_executor.adapters.dynamodb.volume_cache import DynamoVolumeCache
from rebalance_executor.domain.errors import JournalUnavailable
from rebalance_executor.domain.market import Asset
from rebalance_executor.domain.volume import AverageVolume
from rebalance_simulation.clock import SimulatedClock
from tests.support.aws import TABLE, Tampered, once
from tests.support.builders import NOW

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TODAY = NOW.date()
KEY: Any = {"pk": {"S": "VOLUME#AAPL"}, "sk": {"S": "VOLUME"}}


def volume(symbol: str, shares: str = "51861083", volatility: str | None = "0.0119") -> AverageVolume:
    known = None if volatility is None else Decimal(volatility)
    return AverageVolume(symbol, Decimal(shares), days=20, until=date(2026, 1, 23), volatility=known)


@pytest.fixture
def cache(tampered: Tampered) -> DynamoVolumeCache:
    return DynamoVolumeCache(cast("DynamoDBClient", tampered), TABLE, SimulatedClock(NOW))


def test_averages_are_valid_on_their_trading_day_only(cache: DynamoVolumeCache) -> None:
    known = {"AAPL": volume("AAPL"), "BRK.B": volume("BRK.B", "3500000", None)}
    cache.put(known.values(), today=TODAY)

    assert cache.get(["AAPL", "BRK.B", "NONE"], today=TODAY) == known
    assert cache.get(["AAPL"], today=TODAY + timedelta(days=1)) == {}


def test_next_day_replaces_the_average(cache: DynamoVolumeCache, client: DynamoDBClient) -> None:
    cache.put([volume("AAPL")], today=TODAY - timedelta(days=1))
    cache.put([volume("AAPL", "7")], today=TODAY)

    assert cache.get(["AAPL"], today=TODAY) == {"AAPL": volume("AAPL", "7")}
    assert client.scan(TableName=TABLE)["Count"] == 1


def test_item_has_the_time_to_live_attribute(cache: DynamoVolumeCache, client: DynamoDBClient) -> None:
    cache.put([volume("AAPL")], today=TODAY)

    (item,) = client.scan(TableName=TABLE)["Items"]
    assert item == KEY | {
        "symbol": {"S": "AAPL"},
        "shares": {"S": "51861083"},
        "days": {"N": "20"},
        "volatility": {"S": "0.0119"},
        "until": {"S": "2026-01-23"},
        "today": {"S": "2026-01-26"},
        "expires_at": {"N": str(int((NOW + timedelta(hours=24)).timestamp()))},
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shares", {"S": "many"}),
        ("shares", {"S": "NaN"}),
        ("shares", {"S": "0"}),
        ("shares", {"N": "5"}),
        ("days", {"S": "20"}),
        ("until", {"S": "yesterday"}),
        ("until", {"NULL": True}),
        ("volatility", {"S": "much"}),
        ("volatility", {"S": "0"}),
        ("symbol", {"N": "1"}),
        ("expires_at", {"N": "1"}),
    ],
    ids=str,
)
def test_item_that_cannot_be_read_is_not_returned(
    cache: DynamoVolumeCache, client: DynamoDBClient, name: str, value: Any
) -> None:
    cache.put([volume("AAPL"), volume("MSFT")], today=TODAY)
    client.update_item(
        TableName=TABLE,
        Key=KEY,
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )

    assert cache.get(["AAPL", "MSFT"], today=TODAY) == {"MSFT": volume("MSFT")}


def test_asset_flags_and_volumes_of_a_symbol_are_separate(cache: DynamoVolumeCache, client: DynamoDBClient) -> None:
    flags = Asset("AAPL", "active", tradable=True, fractionable=True)
    assets = DynamoAssetCache(client, TABLE, SimulatedClock(NOW), ttl=timedelta(hours=12))
    cache.put([volume("AAPL")], today=TODAY)
    assets.put([flags], now=NOW)
    assets.drop("AAPL", now=NOW)

    assert cache.get(["AAPL"], today=TODAY) == {"AAPL": volume("AAPL")}
    assert assets.get(["AAPL"], now=NOW) == {}


def test_time_out_makes_the_cache_unavailable(cache: DynamoVolumeCache, tampered: Tampered) -> None:
    tampered.before = once(ReadTimeoutError(endpoint_url="http://table"), "batch_get_item")

    with pytest.raises(JournalUnavailable):
        cache.get(["AAPL"], today=TODAY)


def test_empty_list_of_symbols_sends_no_request(cache: DynamoVolumeCache, tampered: Tampered) -> None:
    assert cache.get([], today=TODAY) == {}
    cache.put([], today=TODAY)

    assert tampered.calls == []
