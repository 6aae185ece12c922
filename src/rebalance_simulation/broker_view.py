"""View of an account that the API gives: pages and order of lists, rows of others, changed orders, odd quotes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from paper_broker.bars import BarQuery
from paper_broker.exchange import Exchange
from paper_broker.orders import MAX_PAGE_SIZE
from rebalance_simulation.faults import Trait

Row = dict[str, Any]
"""An order, as the API shows it."""

_ROWS_OF_OTHERS = 60
"""All in one symbol: more than a short page."""
_FUTURE = timedelta(minutes=45)
_FUTURE_FACTOR = Decimal("1.02")
"""Factor by which quotes of the future differ, so that a price shows from which quote it was made."""
_EVERY_NTH_IS_FUTURE = 4
_CENT = Decimal("0.01")
_HALF_CENT = Decimal("0.005")


@dataclass(frozen=True, slots=True)
class ViewTraits:
    """Properties of the API for a whole history."""

    page_size: int = MAX_PAGE_SIZE
    """Longest page of a list, whatever was asked for."""
    is_reversed: bool = False
    """True if lists are sorted in the direction that was not asked for."""
    has_rows_of_others: bool = False
    """True if lists contain many orders that others submitted shortly before the history."""
    has_future_quotes: bool = False
    """True if some quotes are dated in the future, with other prices."""


def draw_view(rng: Random, traits: Collection[Trait]) -> ViewTraits:
    """Draw the properties of the API for a history with these traits."""
    view = ViewTraits(has_future_quotes=Trait.FUTURE_QUOTES in traits)
    if Trait.SHORT_PAGES in traits:
        view = replace(view, page_size=rng.choice((50, 100)), has_rows_of_others=True)
    if Trait.REVERSED_LISTS in traits:
        view = replace(view, is_reversed=True, has_rows_of_others=rng.random() < 0.5 or view.has_rows_of_others)
    return view


@dataclass(slots=True)
class BrokerView:
    """The account as the API shows it. All processes share it.

    Args:
        exchange: the real orders.
        traits: what differs from them.
        start: when the history starts.
        symbol: symbol of the rows of others.
    """

    exchange: Exchange
    traits: ViewTraits
    start: datetime
    symbol: str
    hidden_until: dict[str, datetime] = field(default_factory=dict)
    """Client order IDs that cannot be found yet, with the time at which they can."""
    changed: dict[str, Row] = field(default_factory=dict)
    """Fields of orders that were changed at the broker, by client order ID: a new symbol, another quantity."""
    _others: list[Row] = field(default_factory=list)
    _quote_answers: int = 0

    def orders(self, query: Mapping[str, str], now: datetime) -> list[Row]:
        """Return one page of a list of orders; without symbols in the query, of all."""
        symbols = frozenset(query["symbols"].split(",")) if "symbols" in query else None
        direction = query.get("direction", "asc")
        rows = self.exchange.list_orders(
            status=query["status"], after=query.get("after"), until=query.get("until"),
            symbols=symbols, limit=MAX_PAGE_SIZE, direction=direction,
        )  # fmt: skip
        traits = self.traits
        if self.hidden_until or self.changed:
            rows = [self._shown(row) for row in rows if self.is_visible(row["client_order_id"], now)]
            rows = [row for row in rows if symbols is None or row["symbol"] in symbols]
        if traits.has_rows_of_others and query["status"] == "all":
            older = self._rows_of_others(query, symbols)
            rows = [*older, *rows] if direction == "asc" else [*rows, *reversed(older)]
        if traits.is_reversed:
            rows.reverse()
        return rows[: min(int(query["limit"]), traits.page_size)]

    def order(self, client_order_id: str) -> Row:
        """Return one order.

        Raises:
            BrokerError: the exchange does not know it.
        """
        return self._shown(self.exchange.get_order_by_client_order_id(client_order_id))

    def is_visible(self, client_order_id: str, now: datetime) -> bool:
        """Return whether the order can be found by its ID."""
        until = self.hidden_until.get(client_order_id)
        return until is None or until <= now

    def quotes(self, kind: str, symbols: Sequence[str], now: datetime) -> tuple[Row, bool]:
        """Return the latest ``quotes`` or ``trades``, and whether they are of this moment."""
        exchange = self.exchange
        answer = exchange.latest_quotes(symbols) if kind == "quotes" else exchange.latest_trades(symbols)
        self._quote_answers += 1
        if not self.traits.has_future_quotes or self._quote_answers % _EVERY_NTH_IS_FUTURE:
            return answer, True
        date = (now + _FUTURE).isoformat()
        return {kind: {symbol: _of_the_future(entry, date) for symbol, entry in answer[kind].items()}}, False

    def bars(self, query: Mapping[str, str]) -> Row:
        """Return one page of daily bars."""
        fields = {name: value for name, value in query.items() if name not in ("symbols", "limit")}
        limit = str(min(int(query["limit"]), self.traits.page_size))
        return self.exchange.bars(BarQuery(tuple(query["symbols"].split(",")), limit=limit, **fields))

    # --- rows --------------------------------------------------------------------------------------------

    def _shown(self, row: Row) -> Row:
        changed = self.changed.get(row["client_order_id"])
        return row if changed is None else row | changed

    def _rows_of_others(self, query: Mapping[str, str], symbols: Collection[str] | None) -> list[Row]:
        """Return the rows of others in the query's time and symbols, oldest first."""
        if not self._others:
            self._others = [self._row_of_others(number) for number in range(_ROWS_OF_OTHERS)]
        after, until = (datetime.fromisoformat(query[name]) if name in query else None for name in ("after", "until"))
        return [
            row
            for row in self._others
            if (symbols is None or row["symbol"] in symbols)
            and (after is None or datetime.fromisoformat(row["submitted_at"]) > after)
            and (until is None or datetime.fromisoformat(row["submitted_at"]) < until)
        ]

    def _row_of_others(self, number: int) -> Row:
        """Return an order that someone else submitted and canceled in the five minutes before the history."""
        at = (self.start - timedelta(minutes=5) + timedelta(seconds=number)).isoformat()
        return {
            "id": f"other-{number}",
            "client_order_id": f"someone-else-{number}",
            "symbol": self.symbol,
            "side": "buy",
            "type": "limit",
            "qty": "1",
            "filled_qty": "0",
            "filled_avg_price": None,
            "limit_price": "0.01",
            "status": "canceled",
            "time_in_force": "day",
            "submitted_at": at,
            "created_at": at,
            "updated_at": at,
            "canceled_at": at,
        }


def _of_the_future(entry: Row, date: str) -> Row:
    prices = {name: _moved(entry[name]) for name in ("bp", "ap", "p") if name in entry}
    return entry | prices | {"t": date}


def _moved(price: object) -> float:
    """Return a price on half a cent, which is the tick of few symbols: only usable quotes show a tick."""
    return float((Decimal(str(price)) * _FUTURE_FACTOR).quantize(_CENT) + _HALF_CENT)
