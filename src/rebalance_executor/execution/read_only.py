"""Read-only ports: they read what execution reads, send nothing and write nothing. Previews and dry runs use them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime

from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.market import (
    Account,
    Asset,
    BrokerOrder,
    MarketClock,
    OrderRequest,
    Position,
    Quote,
    Trade,
)
from rebalance_executor.domain.previous_close import PreviousClose
from rebalance_executor.domain.risk_state import AccountBinding, KillSwitchRecord, RiskState
from rebalance_executor.domain.volume import AverageVolume, DailyBar
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Broker, BrokerReads, EarlyAnswers, Ports, ReadSet, RiskStore


class ReadOnlyBroker:
    """Implementation of ``Broker`` that reads from the real one and sends nothing.

    Args:
        broker: the real one.
        as_if_open: whether its clock always shows an open market.
    """

    def __init__(self, broker: Broker, *, as_if_open: bool = False) -> None:
        self._broker = broker
        self._reads: BrokerReads = broker
        self._as_if_open = as_if_open
        self._account: Account | None = None
        self._canceled: set[str] = set()

    @property
    def expected_account_number(self) -> str | None:
        """The configured account number, as in the real broker."""
        return self._broker.expected_account_number

    def ask(self, reads: ReadSet) -> EarlyAnswers:
        """Send these reads together; the reads of this broker take their answers."""
        answers = self._broker.ask(reads)
        self._reads = answers.reads
        return replace(answers, reads=self)

    def account(self) -> Account:
        """Return the account; it is read once."""
        if self._account is None:
            self._account = self._reads.account()
        return self._account

    def clock(self) -> MarketClock:
        """Return the market clock."""
        clock = self._reads.clock()
        return replace(clock, is_open=True) if self._as_if_open else clock

    def positions(self, symbols: Collection[str] | None) -> Mapping[str, Position]:
        """Return the positions in these symbols, or in all."""
        return self._reads.positions(symbols)

    def asset(self, symbol: str) -> Asset:
        """Return the flags of an asset."""
        return self._reads.asset(symbol)

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the latest quotes."""
        return self._reads.quotes(symbols)

    def last_trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """Return the last trades."""
        return self._reads.last_trades(symbols)

    def previous_closes(self, symbols: Sequence[str], today: date) -> Mapping[str, PreviousClose]:
        """Return the previous closes."""
        return self._reads.previous_closes(symbols, today)

    def daily_bars(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[DailyBar]]:
        """Return the daily bars."""
        return self._reads.daily_bars(symbols, first, last)

    def orders(self, symbols: Sequence[str], since: datetime) -> Sequence[BrokerOrder]:
        """Return the orders submitted since then."""
        return self._reads.orders(symbols, since)

    def open_orders(self, symbols: Sequence[str] | None = None) -> Sequence[BrokerOrder]:
        """Return the open orders except those that the plan would cancel."""
        return [order for order in self._reads.open_orders(symbols) if order.id not in self._canceled]

    def recent_orders(self) -> Sequence[BrokerOrder]:
        """Return the last orders of all symbols."""
        return self._reads.recent_orders()

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order with this ID."""
        return self._reads.order_by_client_id(client_order_id)

    def active_assets(self, symbols: Collection[str]) -> Mapping[str, Asset]:
        """Return the flags of those of these symbols that are active."""
        return self._reads.active_assets(symbols)

    def wait_for_rate_limit(self, until: datetime, requests: int) -> int:
        """Do not wait: nothing is sent."""
        del until
        return requests

    def submit(self, request: OrderRequest) -> BrokerOrder:
        """Raise ``AssertionError``: nothing is submitted here."""
        raise AssertionError("nothing is submitted here")

    def submit_together(self, requests: Sequence[OrderRequest]) -> Sequence[Callable[[], BrokerOrder]]:
        """Raise ``AssertionError``: nothing is submitted here."""
        raise AssertionError("nothing is submitted here")

    def cancel(self, order_id: str) -> bool:
        """Send nothing; treat the order as canceled from now on."""
        self._canceled.add(order_id)
        return True


class ReadOnlyRiskStore:
    """Implementation of ``RiskStore`` that reads from the real one and changes nothing.

    Args:
        store: the real one.
        binding: returns the binding of a broker account.
    """

    def __init__(self, store: RiskStore, binding: Callable[[str], AccountBinding | None]) -> None:
        self._store = store
        self._binding = binding

    def load(self, account: str, day: date) -> RiskState:
        """Return the state of the controls."""
        return self._store.load(account, day)

    def kill_switch(self, account: str) -> KillSwitchRecord:
        """Return the kill switch."""
        return self._store.kill_switch(account)

    def set_kill_switch(self, account: str, switch: KillSwitchRecord) -> None:
        """Do nothing."""

    def bind_account(self, account: str, account_number: str, at: datetime) -> AccountBinding:
        """Return the binding of the broker account, or one to this name if it is not bound."""
        return self._binding(account_number) or AccountBinding(account_number, account, at)


class NoAssetCache:
    """Implementation of ``AssetCache`` without a cache: asset flags are always read from the broker."""

    def get(self, symbols: Sequence[str], *, now: datetime) -> Mapping[str, Asset]:
        """Return nothing."""
        return {}

    def put(self, assets: Iterable[Asset], *, now: datetime) -> None:
        """Do nothing."""

    def drop(self, symbol: str, *, now: datetime) -> None:
        """Do nothing."""


class NoVolumeCache:
    """Implementation of ``VolumeCache`` without a cache: volumes are always read from the broker."""

    def get(self, symbols: Sequence[str], *, today: date) -> Mapping[str, AverageVolume]:
        """Return nothing."""
        return {}

    def put(self, volumes: Iterable[AverageVolume], *, today: date) -> None:
        """Do nothing."""


class NoLog:
    """Implementation of ``PlanLog`` that logs and counts nothing: these are no events of a plan."""

    def emit(self, event: LogEvent, **fields: object) -> None:
        """Do nothing."""

    @contextmanager
    def earlier_plan(self, plan: PlanState) -> Iterator[None]:
        """Do nothing."""
        yield


def read_only(ports: Ports, binding: Callable[[str], AccountBinding | None]) -> Ports:
    """Return these ports without what writes; their brokers and their journal stay the real ones."""
    risk_store = ReadOnlyRiskStore(ports.risk_store, binding)
    return replace(ports, risk_store=risk_store, assets=NoAssetCache(), volumes=NoVolumeCache(), publishers=())
