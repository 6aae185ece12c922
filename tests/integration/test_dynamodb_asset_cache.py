"""Asset flags in the journal's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError

from rebalance_executor.adapters.dynamodb.asset_cache import DynamoAssetCache
from rebalance_executor.domain.errors import JournalUnavailable
from rebalance_executor.domain.market import Asset
from rebalance_simulation.clock import SimulatedClock
from tests.support.aws import TABLE, Tampered, dynamodb, execution_table, once
from tests.support.builders import NOW

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TTL = timedelta(hours=12)


def asset(symbol: str, *, tradable: bool = True, fractionable: bool = False) -> Asset:
    return Asset(symbol, "active", tradable=tradable, fractionable=fractionable)


@pytest.fixture(scope="module")
def account() -> Iterator[DynamoDBClient]:
    with dynamodb() as made:
        yield made


@pytest.fixture
def client(account: DynamoDBClient) -> Iterator[DynamoDBClient]:
    with execution_table(account):
        yield account


@pytest.fixture
def tampered(client: DynamoDBClient) -> Tampered:
    return Tampered(client)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def cache(tampered: Tampered, clock: SimulatedClock) -> DynamoAssetCache:
    return DynamoAssetCache(cast("DynamoDBClient", tampered), TABLE, clock, ttl=TTL)


def test_given_flags_were_put_when_got_then_only_the_known_ones_come_back(cache: DynamoAssetCache) -> None:
    known = {"AAPL": asset("AAPL", fractionable=True), "BRK.B": asset("BRK.B", tradable=False)}
    cache.put(known.values(), now=NOW)

    assert cache.get(["AAPL", "BRK.B", "NONE"], now=NOW) == known


def test_given_flags_that_grew_too_old_when_got_then_they_are_unknown_though_the_row_is_still_there(
    cache: DynamoAssetCache, client: DynamoDBClient
) -> None:
    cache.put([asset("AAPL")], now=NOW)

    assert set(cache.get(["AAPL"], now=NOW + TTL - timedelta(seconds=1))) == {"AAPL"}
    assert cache.get(["AAPL"], now=NOW + TTL) == {}
    assert client.scan(TableName=TABLE)["Count"] == 1


def test_given_flags_when_put_then_the_row_expires_by_the_tables_time_to_live(
    cache: DynamoAssetCache, client: DynamoDBClient
) -> None:
    cache.put([asset("AAPL")], now=NOW)

    (row,) = client.scan(TableName=TABLE)["Items"]
    assert (row["pk"], row["sk"]) == ({"S": "ASSET#AAPL"}, {"S": "ASSET"})
    assert row["expires_at"] == {"N": str(int((NOW + TTL).timestamp()))}


def test_given_flags_changed_when_put_again_then_the_new_ones_count(cache: DynamoAssetCache) -> None:
    cache.put([asset("AAPL")], now=NOW)
    cache.put([asset("AAPL"), asset("AAPL", fractionable=True)], now=NOW)

    assert cache.get(["AAPL"], now=NOW)["AAPL"].fractionable


def test_given_more_symbols_than_a_request_takes_when_put_and_got_then_none_is_lost(
    cache: DynamoAssetCache, tampered: Tampered
) -> None:
    flags = {f"SYM{n}": asset(f"SYM{n}") for n in range(230)}

    cache.put(flags.values(), now=NOW)
    found = cache.get([*flags, *flags], now=NOW)

    assert found == flags
    assert tampered.count("batch_write_item") == 10
    assert tampered.count("batch_get_item") == 3


def test_given_a_row_without_a_flag_when_got_then_the_symbol_is_unknown(
    cache: DynamoAssetCache, client: DynamoDBClient
) -> None:
    cache.put([asset("AAPL")], now=NOW)
    key: Any = {"pk": {"S": "ASSET#AAPL"}, "sk": {"S": "ASSET"}}
    client.update_item(TableName=TABLE, Key=key, UpdateExpression="REMOVE tradable")

    assert cache.get(["AAPL"], now=NOW) == {}


class Partial:
    """A client that takes or gives one row of each batch."""

    def __init__(self, *, ever_more: bool = True) -> None:
        self.taken: list[Any] = []
        self._ever_more = ever_more

    def batch_write_item(self, RequestItems: Mapping[str, list[Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        first, *rest = RequestItems[TABLE]
        if self._ever_more:
            self.taken.append(first)
            return {"UnprocessedItems": {TABLE: rest} if rest else {}}
        return {"UnprocessedItems": RequestItems}

    def batch_get_item(self, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        first, *rest = RequestItems[TABLE]["Keys"]
        if not self._ever_more:
            return {"Responses": {}, "UnprocessedKeys": RequestItems}
        row = next(put["PutRequest"]["Item"] for put in self.taken if put["PutRequest"]["Item"]["pk"] == first["pk"])
        return {"Responses": {TABLE: [row]}, "UnprocessedKeys": {TABLE: {"Keys": rest}} if rest else {}}


def test_given_a_table_that_takes_and_gives_a_part_when_asked_then_the_rest_is_asked_for_again(
    clock: SimulatedClock,
) -> None:
    cache = DynamoAssetCache(cast("DynamoDBClient", Partial()), TABLE, clock, ttl=TTL)
    flags = {symbol: asset(symbol) for symbol in ("AAPL", "MSFT", "SPY")}

    cache.put(flags.values(), now=NOW)

    assert cache.get(list(flags), now=NOW) == flags
    assert len(clock.slept) == 4  # twice after a part of the writes, twice after a part of the reads


def test_given_a_table_that_takes_nothing_when_put_then_it_says_so_after_bounded_tries(clock: SimulatedClock) -> None:
    cache = DynamoAssetCache(cast("DynamoDBClient", Partial(ever_more=False)), TABLE, clock)

    with pytest.raises(JournalUnavailable):
        cache.put([asset("AAPL")], now=NOW)

    assert len(clock.slept) == 4


def test_given_a_table_that_gives_nothing_when_got_then_the_symbols_are_unknown(clock: SimulatedClock) -> None:
    cache = DynamoAssetCache(cast("DynamoDBClient", Partial(ever_more=False)), TABLE, clock)

    assert cache.get(["AAPL"], now=NOW) == {}
    assert len(clock.slept) == 4


def test_given_the_table_does_not_answer_when_asked_then_it_is_unavailable(
    cache: DynamoAssetCache, tampered: Tampered
) -> None:
    tampered.before = once(ReadTimeoutError(endpoint_url="http://table"), "batch_get_item")

    with pytest.raises(JournalUnavailable):
        cache.get(["AAPL"], now=NOW)


def test_given_no_symbols_when_asked_then_the_table_is_not(cache: DynamoAssetCache, tampered: Tampered) -> None:
    assert cache.get([], now=NOW) == {}
    cache.put([], now=NOW)

    assert tampered.calls == []
