"""Asset flags in the journal's table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError

from rebalance_executor.adapters.dynamodb.asset_cache import DynamoAssetCache
from rebalance_executor.domain.errors import JournalUnavailable
from rebalance_executor.domain.market import Asset
from rebalance_simulation.clock import SimulatedClock
from tests.support.aws import TABLE, Tampered, once
from tests.support.builders import NOW

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TTL = timedelta(hours=12)


def asset(symbol: str, status: str = "active", *, tradable: bool = True, fractionable: bool = True) -> Asset:
    return Asset(symbol, status, tradable=tradable, fractionable=fractionable)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def cache(tampered: Tampered, clock: SimulatedClock) -> DynamoAssetCache:
    return DynamoAssetCache(cast("DynamoDBClient", tampered), TABLE, clock, ttl=TTL)


def test_get_returns_cached_flags_only(cache: DynamoAssetCache) -> None:
    known = {"AAPL": asset("AAPL"), "BRK.B": asset("BRK.B")}
    cache.put(known.values(), now=NOW)

    assert cache.get(["AAPL", "BRK.B", "NONE"], now=NOW) == known


def test_expired_flags_are_not_returned_while_their_item_exists(
    cache: DynamoAssetCache, client: DynamoDBClient
) -> None:
    cache.put([asset("AAPL")], now=NOW)

    assert set(cache.get(["AAPL"], now=NOW + TTL - timedelta(seconds=1))) == {"AAPL"}
    assert cache.get(["AAPL"], now=NOW + TTL) == {}
    assert client.scan(TableName=TABLE)["Count"] == 1


def test_item_has_the_time_to_live_attribute(cache: DynamoAssetCache, client: DynamoDBClient) -> None:
    cache.put([asset("AAPL")], now=NOW)

    (item,) = client.scan(TableName=TABLE)["Items"]
    assert (item["pk"], item["sk"]) == ({"S": "ASSET#AAPL"}, {"S": "ASSET"})
    assert item["expires_at"] == {"N": str(int((NOW + TTL).timestamp()))}


def test_put_replaces_flags(cache: DynamoAssetCache) -> None:
    cache.put([asset("AAPL")], now=NOW)
    later = NOW + timedelta(hours=1)
    cache.put([asset("AAPL"), asset("AAPL")], now=later)

    assert set(cache.get(["AAPL"], now=NOW + TTL)) == {"AAPL"}


@pytest.mark.parametrize(
    "flags",
    [asset("AAPL", tradable=False), asset("AAPL", fractionable=False), asset("AAPL", "inactive")],
    ids=["not tradable", "not fractionable", "not active"],
)
def test_flags_that_say_no_are_not_cached(flags: Asset, cache: DynamoAssetCache, client: DynamoDBClient) -> None:
    cache.put([flags, asset("MSFT")], now=NOW)

    assert set(cache.get(["AAPL", "MSFT"], now=NOW)) == {"MSFT"}
    assert client.scan(TableName=TABLE)["Count"] == 1


def test_stored_flags_that_say_no_are_not_returned(cache: DynamoAssetCache, client: DynamoDBClient) -> None:
    cache.put([asset("AAPL")], now=NOW)
    key: Any = {"pk": {"S": "ASSET#AAPL"}, "sk": {"S": "ASSET"}}
    no: Any = {":no": {"S": "no"}}
    client.update_item(TableName=TABLE, Key=key, UpdateExpression="SET tradable = :no", ExpressionAttributeValues=no)

    assert cache.get(["AAPL"], now=NOW) == {}


def test_dropped_flags_are_not_returned_until_they_are_put_again(cache: DynamoAssetCache) -> None:
    cache.put([asset("AAPL"), asset("MSFT")], now=NOW)

    cache.drop("AAPL", now=NOW)
    assert set(cache.get(["AAPL", "MSFT"], now=NOW)) == {"MSFT"}
    cache.put([asset("AAPL")], now=NOW)
    assert set(cache.get(["AAPL", "MSFT"], now=NOW)) == {"AAPL", "MSFT"}


def test_symbols_are_split_into_batches(cache: DynamoAssetCache, tampered: Tampered) -> None:
    flags = {f"SYM{n}": asset(f"SYM{n}") for n in range(230)}

    cache.put(flags.values(), now=NOW)
    found = cache.get([*flags, *flags], now=NOW)

    assert found == flags
    assert tampered.count("batch_write_item") == 10
    assert tampered.count("batch_get_item") == 3


def test_item_without_a_flag_is_not_returned(cache: DynamoAssetCache, client: DynamoDBClient) -> None:
    cache.put([asset("AAPL")], now=NOW)
    key: Any = {"pk": {"S": "ASSET#AAPL"}, "sk": {"S": "ASSET"}}
    client.update_item(TableName=TABLE, Key=key, UpdateExpression="REMOVE tradable")

    assert cache.get(["AAPL"], now=NOW) == {}


class ThrottledClient:
    """A client that processes one item per batch, or none at all."""

    def __init__(self, *, processes_one: bool = True) -> None:
        self.written: list[Any] = []
        self._processes_one = processes_one

    def batch_write_item(self, RequestItems: Mapping[str, list[Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        first, *rest = RequestItems[TABLE]
        if self._processes_one:
            self.written.append(first)
            return {"UnprocessedItems": {TABLE: rest} if rest else {}}
        return {"UnprocessedItems": RequestItems}

    def batch_get_item(self, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        first, *rest = RequestItems[TABLE]["Keys"]
        if not self._processes_one:
            return {"Responses": {}, "UnprocessedKeys": RequestItems}
        item = next(put["PutRequest"]["Item"] for put in self.written if put["PutRequest"]["Item"]["pk"] == first["pk"])
        return {"Responses": {TABLE: [item]}, "UnprocessedKeys": {TABLE: {"Keys": rest}} if rest else {}}


def test_incomplete_batches_are_retried(
    clock: SimulatedClock,
) -> None:
    cache = DynamoAssetCache(cast("DynamoDBClient", ThrottledClient()), TABLE, clock, ttl=TTL)
    flags = {symbol: asset(symbol) for symbol in ("AAPL", "MSFT", "SPY")}

    cache.put(flags.values(), now=NOW)

    assert cache.get(list(flags), now=NOW) == flags
    assert len(clock.slept) == 4  # twice between the writes, twice between the reads


def test_put_fails_after_its_retries(clock: SimulatedClock) -> None:
    cache = DynamoAssetCache(cast("DynamoDBClient", ThrottledClient(processes_one=False)), TABLE, clock, ttl=TTL)

    with pytest.raises(JournalUnavailable):
        cache.put([asset("AAPL")], now=NOW)

    assert len(clock.slept) == 5


def test_get_returns_nothing_after_its_retries(clock: SimulatedClock) -> None:
    cache = DynamoAssetCache(cast("DynamoDBClient", ThrottledClient(processes_one=False)), TABLE, clock, ttl=TTL)

    assert cache.get(["AAPL"], now=NOW) == {}
    assert len(clock.slept) == 5


def test_time_out_makes_the_cache_unavailable(cache: DynamoAssetCache, tampered: Tampered) -> None:
    tampered.before = once(ReadTimeoutError(endpoint_url="http://table"), "batch_get_item")

    with pytest.raises(JournalUnavailable):
        cache.get(["AAPL"], now=NOW)


def test_empty_list_of_symbols_sends_no_request(cache: DynamoAssetCache, tampered: Tampered) -> None:
    assert cache.get([], now=NOW) == {}
    cache.put([], now=NOW)

    assert tampered.calls == []
