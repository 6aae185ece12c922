"""What the broker tells, as values. Dollars, shares and prices are ``Decimal``; times are aware and UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from rebalance_executor.domain.values import format_decimal

ZERO = Decimal(0)


class Side(StrEnum):
    """Side of an order."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """Order types this program sends."""

    MARKET = "market"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Trade:
    """The last trade of one symbol, anybody's."""

    symbol: str
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and offer of one symbol; a missing side is zero (Alpaca: price 0 means no quote there)."""

    symbol: str
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    at: datetime
    is_trade: bool = False
    """Whether both sides are the price of the last trade, because nobody's quote could be used."""

    @classmethod
    def of_trade(cls, trade: Trade) -> Quote:
        """What stands in for a quote that cannot be used; it shows no size on either side."""
        return cls(trade.symbol, trade.price, trade.price, ZERO, ZERO, trade.at, is_trade=True)

    @property
    def mid(self) -> Decimal:
        """Half-way between bid and ask; meaningful only where ``problem`` is None."""
        return (self.bid + self.ask) / 2

    @property
    def problem(self) -> str | None:
        """Why no price may be taken from this quote, or None where it is two-sided and not crossed."""
        if self.bid <= 0 or self.ask <= 0:
            return f"one-sided quote: bid {self.bid}, ask {self.ask}"
        if self.bid > self.ask:
            return f"crossed quote: bid {self.bid} above ask {self.ask}"
        return None


@dataclass(frozen=True, slots=True)
class Asset:
    """The broker's flags of one symbol."""

    symbol: str
    status: str
    tradable: bool
    fractionable: bool


@dataclass(frozen=True, slots=True)
class Position:
    """Shares held; ``available`` is what open sell orders do not hold."""

    symbol: str
    qty: Decimal
    available: Decimal
    previous_close: Decimal | None = None
    """Dollars a share at the last close; None where it is not told."""


@dataclass(frozen=True, slots=True)
class Account:
    """Dollars and permission to trade."""

    account_number: str
    status: str
    cash: Decimal
    buying_power: Decimal
    blocked_by: str | None
    """Name of the flag that forbids trading (``trading_blocked``, …), or None."""
    equity: Decimal | None = None
    """Cash and positions; None where it is not told."""


@dataclass(frozen=True, slots=True)
class MarketClock:
    """The broker's clock: it alone says whether the market is open."""

    now: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


_TERMINAL = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """One order as the broker reports it. ``status`` is the broker's own word, also an unlisted one."""

    id: str
    client_order_id: str
    symbol: str
    side: str
    type: str
    status: str
    qty: Decimal | None
    filled_qty: Decimal
    filled_avg_price: Decimal | None
    limit_price: Decimal | None
    submitted_at: datetime | None
    closed_at: datetime | None

    @property
    def is_terminal(self) -> bool:
        """Whether the broker can do nothing more with it. Unlisted statuses count as live."""
        return self.status in _TERMINAL

    @property
    def description(self) -> str:
        """Side, shares and symbol, for sentences."""
        shares = "an unknown quantity of" if self.qty is None else format_decimal(self.qty)
        return f"{self.side} {shares} {self.symbol}"


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What is sent for one child order. Prices and quantities travel as decimal strings; always DAY."""

    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    limit_price: Decimal | None = None
    extended_hours: bool = False
    """Whether it may also be filled before the open; Alpaca takes DAY limits only there."""


Quotes = Mapping[str, Quote]
Positions = Mapping[str, Position]
Assets = Mapping[str, Asset]
