"""The Alpaca adapter with the real alpaca-py on the simulated broker: responses, missing responses and rate limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from paper_broker.server import PaperBroker
from rebalance_executor.adapters.alpaca.broker import MAX_BROKERS, AlpacaBroker, AlpacaBrokers
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    CredentialsRejected,
    DuplicateClientOrderId,
    NotFound,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
)
from rebalance_executor.domain.market import Destination, Display, OrderRequest, OrderType, Side, Trade
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.settings import Settings
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW
from tests.support.world import paper_broker_on

WORLD = {
    "account": {"cash": "100000", "account_number": "PA7", "api_key": "key", "secret_key": "secret"},
    "clock": {"sessions": "always_open"},
    "assets": [{"symbol": "AAA"}, {"symbol": "BRK.B", "fractionable": False}],
    "quotes": {"AAA": {"bid": "99.99", "ask": "100.01"}, "BRK.B": {"bid": "400.1", "ask": "400.2"}},
    "positions": [{"symbol": "BRK.B", "qty": "7.2273576"}],
    "default_fill": {"behaviour": "never"},
}


@dataclass
class Bench:
    """A simulated broker, and Alpaca adapters that are connected to it."""

    server: PaperBroker
    clock: SimulatedClock
    settings: Settings
    requests: Counter[str] = field(default_factory=Counter)

    def broker(self, *, key: str = "key", **config: object) -> AlpacaBroker:
        settings = ExecutionConfig.model_validate({"read_timeout_seconds": "0.2", **config})
        broker = AlpacaBroker(
            Credentials(key, "secret", "PA7"),
            self.settings,
            settings,
            self.clock,
            lambda name: self.requests.update([name]),
        )
        broker.set_deadline(self.clock.now() + timedelta(seconds=60))
        return broker

    def fault(self, kind: str, **fields: object) -> None:
        """Inject a fault."""
        self.server.change({"faults": [{"kind": kind, **fields}]})

    @property
    def slept(self) -> timedelta:
        """The time that the adapter has waited so far."""
        return sum(self.clock.slept, timedelta())

    @property
    def orders(self) -> list[Any]:
        return list(self.server.app.exchange.list_orders(status="all", limit=500))


@pytest.fixture
def bench() -> Iterator[Bench]:
    clock = SimulatedClock(NOW)
    with paper_broker_on(clock, WORLD) as server:
        values = {
            "EXECUTION_TABLE": "t",
            "IDEMPOTENCY_TABLE": "i",
            "ALPACA_TRADING_URL": server.url + "/",
            "ALPACA_DATA_URL": server.url,
        }
        yield Bench(server, clock, Settings.model_validate(values))


def a_request(number: int = 1, **fields: Any) -> OrderRequest:
    """Return a limit order for ten shares of AAA."""
    values: dict[str, Any] = {
        "client_order_id": f"client-{number}",
        "symbol": "AAA",
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "qty": Decimal(10),
        "limit_price": Decimal("100.01"),
    }
    return OrderRequest(**(values | fields))


# --- reads -----------------------------------------------------------------------------------------------


def test_reads_return_values(bench: Bench) -> None:
    broker = bench.broker()

    assert (broker.account().account_number, broker.account().cash) == ("PA7", Decimal(100_000))
    assert broker.clock().is_open
    assert broker.positions(["BRK.B"])["BRK.B"].available == Decimal("7.2273576")
    assert not broker.asset("BRK.B").fractionable
    assert broker.quotes(["AAA", "BRK.B", "ZZZ"]).keys() == {"AAA", "BRK.B"}
    assert broker.quotes(["AAA"])["AAA"].ask == Decimal("100.01")
    assert broker.last_trades(["AAA", "BRK.B", "ZZZ"]).keys() == {"AAA", "BRK.B"}
    assert broker.last_trades(["AAA"])["AAA"] == Trade("AAA", Decimal("100.00"), broker.clock().now)
    assert broker.expected_account_number == "PA7"
    with pytest.raises(NotFound):
        broker.asset("ZZZ")


def test_list_of_assets_has_the_flags_of_active_symbols(bench: Bench) -> None:
    bench.server.change({"assets": [{"symbol": "OLD", "status": "inactive"}]})

    found = bench.broker().active_assets(["AAA", "BRK.B", "OLD", "ZZZ"])

    assert found == {symbol: bench.broker().asset(symbol) for symbol in ("AAA", "BRK.B")}
    assert bench.requests["GET /v2/assets"] == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 403},
        {"kind": "status", "status": 503, "body": "html"},
        {"kind": "drop"},
        {"kind": "oversize", "megabytes": 64, "gzip": True},
    ],
    ids=["403", "503", "drop", "oversize"],
)
def test_list_of_assets_that_fails_is_tried_once(bench: Bench, fault: dict[str, Any]) -> None:
    broker = bench.broker()
    bench.server.change({"faults": [fault]})

    with pytest.raises(BrokerUnavailable):
        broker.active_assets(["AAA"])

    assert bench.requests == {"GET /v2/assets": 1}
    assert not broker.credentials_rejected
    assert bench.slept == timedelta()


def test_daily_bars_are_those_of_all_venues_and_end_the_day_before(bench: Bench) -> None:
    bench.server.change({"quotes": {"AAA": {"volume": 50_000}, "BRK.B": {"volume": [7, "many"]}}})

    volumes = bench.broker().daily_bars(["AAA", "BRK.B", "ZZZ"], date(2026, 1, 12), date(2026, 1, 25))

    assert {volume.shares for volume in volumes["AAA"]} == {Decimal(50_000)}
    assert [volume.day for volume in volumes["AAA"]] == [date(2026, 1, day) for day in range(12, 26)]
    assert [volume.shares for volume in volumes["BRK.B"]] == [Decimal(7)] * 7
    assert volumes["ZZZ"] == []
    assert bench.requests == {"GET /v2/stocks/bars": 1}


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 500}, {"kind": "drop"}, {"kind": "hang", "seconds": 0.5}, {"kind": "redirect"}],
    ids=lambda fault: fault["kind"],
)
def test_failed_read_of_volumes_is_not_retried(bench: Bench, fault: dict[str, Any]) -> None:
    bench.fault(**fault, count=None)

    with pytest.raises(BrokerUnavailable):
        bench.broker().daily_bars(["AAA"], date(2026, 1, 12), date(2026, 1, 25))

    assert bench.requests.total() == 1
    assert bench.slept == timedelta()


def test_empty_list_of_symbols_sends_no_request(bench: Bench) -> None:
    broker = bench.broker()

    assert broker.daily_bars([], date(2026, 1, 1), date(2026, 1, 25)) == {}
    assert broker.quotes([]) == {}
    assert broker.last_trades([]) == {}
    assert list(broker.open_orders([])) == []
    assert bench.requests == Counter()


def test_requests_are_counted_by_path_without_ids(bench: Bench) -> None:
    broker = bench.broker()
    order = broker.submit(a_request())
    broker.cancel(order.id)
    broker.asset("AAA")
    broker.order_by_client_id("client-1")

    assert bench.requests == {
        "POST /v2/orders": 1,
        "DELETE /v2/orders/{id}": 1,
        "GET /v2/assets/{symbol}": 1,
        "GET /v2/orders:by_client_order_id": 1,
    }


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429},
        {"kind": "status", "status": 500, "body": "html"},
        {"kind": "status", "status": 503, "body": "empty"},
        {"kind": "status", "status": 504},
        {"kind": "drop"},
        {"kind": "drop", "when": "after"},
        {"kind": "hang", "seconds": 0.5},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
def test_failed_read_is_retried(bench: Bench, fault: dict[str, Any]) -> None:
    bench.fault(**fault)

    assert bench.broker().account().cash == Decimal(100_000)
    assert bench.requests["GET /v2/account"] == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "status", "status": 500}, BrokerUnavailable),
        ({"kind": "status", "status": 429, "body": "html"}, RateLimited),
        ({"kind": "drop"}, BrokerUnavailable),
    ],
    ids=["500", "429", "drop"],
)
def test_retries_of_a_read_are_limited(bench: Bench, fault: dict[str, Any], error: type[Exception]) -> None:
    bench.fault(**fault, count=None)
    with pytest.raises(error):
        bench.broker().account()

    assert 1 < bench.requests["GET /v2/account"] <= 4


def test_read_is_not_retried_beyond_the_deadline(bench: Bench) -> None:
    bench.fault("status", status=500, count=None)
    broker = bench.broker()
    broker.set_deadline(bench.clock.now() + timedelta(milliseconds=50))
    with pytest.raises(BrokerUnavailable):
        broker.account()

    assert bench.requests["GET /v2/account"] == 1


@pytest.mark.parametrize("ask", [lambda b: b.account(), lambda b: b.submit(a_request())], ids=["read", "submission"])
def test_wrong_keys_are_rejected_without_retries(bench: Bench, ask: Callable[[AlpacaBroker], object]) -> None:
    broker = bench.broker(key="wrong")
    with pytest.raises(CredentialsRejected) as caught:
        ask(broker)

    assert broker.credentials_rejected
    assert bench.requests.total() == 1
    assert "wrong" not in str(caught.value)


def test_no_order_is_lost_between_pages(bench: Bench) -> None:
    broker = bench.broker(rate_limit_per_minute=10_000)
    exchange = bench.server.app.exchange
    for number in range(1003):  # with the same submission time, except for a step within the second page
        if number == 700:
            bench.clock.advance(timedelta(seconds=1))
        exchange.submit_order(
            {"symbol": "AAA", "qty": "1", "side": "buy", "type": "limit", "limit_price": "90", "time_in_force": "day"}
            | {"client_order_id": f"c{number}"}
        )
        if number % 100 == 99:
            bench.clock.advance(timedelta(seconds=0.001))

    found = broker.orders(["AAA"], NOW - timedelta(minutes=10))

    assert len(found) == len({order.id for order in found}) == 1003
    assert len(broker.open_orders(["AAA"])) == 1003


# --- submissions -----------------------------------------------------------------------------------------


def test_decimals_are_sent_exactly(bench: Bench) -> None:
    bench.broker().submit(a_request(qty=Decimal("1.123456"), limit_price=Decimal("100.010")))

    assert (bench.orders[0]["qty"], bench.orders[0]["limit_price"]) == ("1.123456", "100.01")


def test_display_is_sent_as_an_instruction_to_the_router(bench: Bench) -> None:
    shown = Display(Decimal(200), Destination.NASDAQ)
    bench.broker().submit(a_request(qty=Decimal(300), limit_price=Decimal(1), display=shown))
    bench.broker().submit(a_request(client_order_id="client-2"))

    instructions = [order["advanced_instructions"] for order in bench.orders]
    assert {"algorithm": "DMA", "destination": "NASDAQ", "display_qty": "200"} in instructions
    assert None in instructions


@pytest.mark.parametrize(
    ("fault", "exists"),
    [
        ({"kind": "status", "status": 500, "when": "before"}, False),
        ({"kind": "status", "status": 500, "when": "after"}, True),
        ({"kind": "status", "status": 503, "body": "html", "when": "after"}, True),
        ({"kind": "status", "status": 504, "body": "empty", "when": "after"}, True),
        ({"kind": "drop", "when": "before"}, False),
        ({"kind": "drop", "when": "after"}, True),
        ({"kind": "hang", "when": "after", "seconds": 0.5}, True),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_submission_without_a_response_is_unknown_and_not_retried(
    bench: Bench, fault: dict[str, Any], exists: bool
) -> None:
    broker = bench.broker()
    bench.fault(**fault, method="POST")
    with pytest.raises(OutcomeUnknown):
        broker.submit(a_request())

    assert bench.requests["POST /v2/orders"] == 1
    assert (broker.order_by_client_id("client-1") is not None) is exists
    assert len(bench.orders) == int(exists)


def test_rate_limited_submission_creates_no_order(bench: Bench) -> None:
    bench.fault("status", status=429, method="POST")
    with pytest.raises(RateLimited):
        bench.broker().submit(a_request())

    assert bench.orders == []
    assert bench.requests["POST /v2/orders"] == 1


def test_reused_client_order_id_is_a_duplicate(bench: Bench) -> None:
    broker = bench.broker()
    broker.submit(a_request())
    with pytest.raises(DuplicateClientOrderId):
        broker.submit(a_request())

    assert len(bench.orders) == 1


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({"qty": Decimal(5000)}, 403, "insufficient buying power"),
        ({"limit_price": Decimal("100.001")}, 422, "sub-penny"),
        ({"symbol": "ZZZ"}, 422, "not found"),
        (
            {"symbol": "BRK.B", "side": Side.SELL, "qty": Decimal(100), "limit_price": None, "type": OrderType.MARKET},
            403,
            "",
        ),
    ],
    ids=["buying power", "sub-penny", "unknown asset", "too many shares"],
)
def test_rejected_submission_has_status_code_and_reason(
    bench: Bench, fields: dict[str, Any], status: int, reason: str
) -> None:
    with pytest.raises(OrderRejected) as caught:
        bench.broker().submit(a_request(**fields))

    assert caught.value.http_status == status
    assert reason in caught.value.reason
    assert caught.value.broker_code is not None
    assert bench.orders == []


# --- cancels ---------------------------------------------------------------------------------------------


def test_cancel_of_a_closed_or_unknown_order_is_not_an_error(bench: Bench) -> None:
    broker = bench.broker()
    order = broker.submit(a_request())
    assert broker.cancel(order.id)
    assert not broker.cancel(order.id)
    assert not broker.cancel("00000000-0000-0000-0000-000000000000")

    found = broker.order_by_client_id("client-1")
    assert found is not None
    assert found.status == "canceled"


def test_cancel_without_a_response_is_retried(bench: Bench) -> None:
    broker = bench.broker()
    order = broker.submit(a_request())
    bench.fault("drop", method="DELETE")
    broker.cancel(order.id)

    assert bench.orders[0]["status"] == "canceled"


# --- the rate limit --------------------------------------------------------------------------------------


def test_rate_limit_is_kept_by_waiting(bench: Bench) -> None:
    bench.server.change({"rate_limit": {"trading": 20}})
    broker = bench.broker(rate_limit_per_minute=20)
    broker.set_deadline(bench.clock.now() + timedelta(seconds=600))
    for _ in range(50):
        broker.account()

    assert bench.requests["GET /v2/account"] == 50, "no request was rate limited and retried"
    assert timedelta(minutes=1) < bench.slept < timedelta(minutes=4)


def test_window_used_up_by_others_is_waited_for(bench: Bench) -> None:
    bench.server.change({"rate_limit": {"trading": 2}})
    broker = bench.broker()
    for _ in range(3):
        broker.account()

    assert bench.requests["GET /v2/account"] == 3
    assert bench.slept > timedelta()


def test_submission_itself_never_waits_for_the_rate_limit(bench: Bench) -> None:
    """A wait could invalidate the checks before the submission."""
    broker = bench.broker(rate_limit_per_minute=10)
    broker.set_deadline(bench.clock.now() + timedelta(seconds=600))
    for _ in range(10):
        broker.account()

    with pytest.raises(RateLimited):
        broker.submit(a_request())
    assert (bench.slept, bench.orders) == (timedelta(), [])

    broker.wait_for_rate_limit(bench.clock.now() + timedelta(seconds=600), 1)
    slept = bench.slept
    broker.submit(a_request())
    assert slept > timedelta(seconds=50)
    assert (bench.slept, len(bench.orders)) == (slept, 1)


# --- the container's brokers -----------------------------------------------------------------------------


class Keys:
    """Credentials that can be rotated."""

    def __init__(self) -> None:
        self.key = "wrong"
        self.cleared = 0

    def credentials(self, account: str) -> Credentials:
        return Credentials(self.key, "secret", None)

    def clear_cache(self) -> None:
        self.cleared += 1


def test_container_reuses_a_broker_until_its_keys_are_rejected(bench: Bench) -> None:
    keys = Keys()
    brokers = AlpacaBrokers(bench.settings, keys, ExecutionConfig(), bench.clock, lambda _: None)
    deadline = Deadline.after(bench.clock.now(), timedelta(minutes=10))
    first = brokers.broker("default", deadline)
    with pytest.raises(CredentialsRejected):
        first.account()
    keys.key = "key"
    second = brokers.broker("default", deadline)

    assert second.account().account_number == "PA7"
    assert keys.cleared == 1
    assert brokers.broker("default", deadline) is second is not first


def test_container_keeps_the_most_recently_used_brokers(bench: Bench) -> None:
    brokers = AlpacaBrokers(bench.settings, Keys(), ExecutionConfig(), bench.clock, lambda _: None)
    deadline = Deadline.after(bench.clock.now(), timedelta(minutes=10))
    reused = brokers.broker("account-0", deadline)
    dropped = brokers.broker("account-1", deadline)

    for number in range(2, MAX_BROKERS + 1):
        brokers.broker(f"account-{number}", deadline)
        brokers.broker("account-0", deadline)

    assert brokers.broker("account-0", deadline) is reused
    assert brokers.broker("account-1", deadline) is not dropped
