"""Values that the broker reports. Dollars, shares and prices are ``Decimal``; times are aware and UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum

from rebalance_executor.domain.previous_close import PreviousClose
from rebalance_executor.domain.values import format_decimal

ZERO = Decimal(0)
ONE_DOLLAR = Decimal(1)
"""From here the price step is the tick size of the symbol."""
CENT = Decimal("0.01")
HALF_CENT = Decimal("0.005")
"""Tick sizes in dollars: the usual one, and that of symbols whose spread is often one cent (SEC release 34-101070)."""
ROUND_LOT = 100
"""Shares in which exchanges display sizes."""
_SHARE_DECIMALS = 9
SHARE_STEP = Decimal(1).scaleb(-_SHARE_DECIMALS)
"""Smallest quantity of shares: the broker keeps nine decimals and cuts off finer ones."""


def cut_shares(qty: Decimal) -> Decimal:
    """Return a quantity of shares at the broker's precision. Coarser quantities do not change."""
    exponent = qty.as_tuple().exponent
    is_finer = isinstance(exponent, int) and exponent < -_SHARE_DECIMALS
    return qty.quantize(SHARE_STEP, rounding=ROUND_DOWN) if is_finer else qty


def same_qty(one: Decimal | None, other: Decimal | None) -> bool:
    """Return whether two quantities of shares are equal at the broker's precision; an unknown one equals none."""
    return one is not None and other is not None and cut_shares(one) == cut_shares(other)


class Side(StrEnum):
    """Side of an order."""

    BUY = "buy"
    SELL = "sell"


class BrokerKind(StrEnum):
    """Kind of account behind the broker's endpoint. Only live fills have a real cost."""

    LIVE = "live"
    """Real money at Alpaca."""
    PAPER = "paper"
    """Alpaca's paper trading."""
    SIMULATED = "simulated"
    """A broker on this machine, such as the local simulated broker."""


class OrderType(StrEnum):
    """Order types that this program sends."""

    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    """Time for which an order may be filled. Values as Alpaca spells them."""

    DAY = "day"
    """Until the close of the session."""
    OPG = "opg"
    """In the opening auction only."""
    CLS = "cls"
    """In the closing auction only."""


class AuctionKind(StrEnum):
    """The two auctions of a session."""

    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Auction:
    """The auction that a parent order is for. Times by this program's clock; ``domain.auction`` has the rules."""

    kind: AuctionKind
    at: datetime
    """Time at which it takes place."""
    cutoff: datetime
    """Time from which its orders are neither sent nor canceled."""
    reported_by: datetime
    """Time by which the broker reports what it filled."""
    is_limited: bool = False
    """True for a limit, False for a market order."""
    limit_price: Decimal | None = None
    """Limit of the plan in dollars per share; None for a limit that follows from the quote."""


class Destination(StrEnum):
    """Exchange to which Alpaca's Elite Smart Router can send an order directly."""

    NYSE = "NYSE"
    NASDAQ = "NASDAQ"
    ARCA = "ARCA"
    IEX = "IEX"
    MEMX = "MEMX"


@dataclass(frozen=True, slots=True)
class Display:
    """Most shares of an order that its exchange shows at any time."""

    qty: Decimal
    destination: Destination


@dataclass(frozen=True, slots=True)
class Trade:
    """Last trade of one symbol in the market."""

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
    """True if both sides are the price of the last trade, because no usable quote exists."""
    known_tick_size: Decimal | None = None
    """Tick size that is configured, or that an earlier quote of the symbol has shown; None if neither."""

    @classmethod
    def of_trade(cls, trade: Trade) -> Quote:
        """Return the last trade as a quote with its price on both sides and no size."""
        return cls(trade.symbol, trade.price, trade.price, ZERO, ZERO, trade.at, is_trade=True)

    @property
    def mid(self) -> Decimal:
        """Midpoint of bid and ask; meaningful only if ``problem`` is None."""
        return (self.bid + self.ask) / 2

    def displayed(self, side: Side) -> Decimal:
        """Return the shares displayed at the far touch of an order of this side; 0 if they are unknown."""
        return self.ask_size if side is Side.BUY else self.bid_size

    @property
    def tick_size(self) -> Decimal:
        """Price step of the symbol in dollars, for prices from $1: the known one, otherwise the one that is shown.

        A bid or an ask on half a cent shows a half-cent tick. Finer prices show nothing. The last trade shows nothing
        either, because trades may be improved by fractions of a cent.
        """
        if self.known_tick_size is not None:
            return self.known_tick_size
        if self.is_trade or self.problem is not None:
            return CENT
        is_shown = any(price >= ONE_DOLLAR and price % CENT == HALF_CENT for price in (self.bid, self.ask))
        return HALF_CENT if is_shown else CENT

    @property
    def problem(self) -> str | None:
        """Reason why the quote gives no price; None if it has two sides and is not crossed."""
        if self.bid <= 0 or self.ask <= 0:
            return f"one-sided quote: bid {format_decimal(self.bid)}, ask {format_decimal(self.ask)}"
        if self.bid > self.ask:
            return f"crossed quote: bid {format_decimal(self.bid)} above ask {format_decimal(self.ask)}"
        return None


@dataclass(frozen=True, slots=True)
class Arrival:
    """The quote at which a parent was sized and against which its fills are measured. Dollars per share."""

    bid: Decimal
    ask: Decimal
    at: datetime
    displayed: Decimal = ZERO
    """Shares displayed at the far touch; 0 if they are unknown."""

    @classmethod
    def of(cls, side: Side, quote: Quote) -> Arrival:
        """Return the arrival of an order of this side."""
        return cls(quote.bid, quote.ask, quote.at, quote.displayed(side))

    @property
    def mid(self) -> Decimal:
        """Arrival price: the midpoint of bid and ask."""
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class Asset:
    """The broker's flags of one symbol."""

    symbol: str
    status: str
    tradable: bool
    fractionable: bool

    @property
    def allows_every_order(self) -> bool:
        """True if no flag restricts trading. Only such flags are cached: a stale no would deny a plan's item."""
        return self.status == "active" and self.tradable and self.fractionable


@dataclass(frozen=True, slots=True)
class Position:
    """Shares held; ``available`` excludes those that open sell orders hold."""

    symbol: str
    qty: Decimal
    available: Decimal
    previous_close: Decimal | None = None
    """Dollars per share at the last close; None if the broker does not report it."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account's dollars, and its permission to trade."""

    account_number: str
    status: str
    cash: Decimal
    buying_power: Decimal
    blocked_by: str | None
    """Name of the flag that forbids trading (``trading_blocked``, …), or None."""
    equity: Decimal | None = None
    """Cash and positions in dollars; None if the broker does not report it."""
    shorting_enabled: bool = False
    """True if the broker accepts a sell of more shares than are held."""
    multiplier: Decimal = Decimal(1)
    """Buying power per dollar of equity; more than one is margin."""


@dataclass(frozen=True, slots=True)
class MarketClock:
    """The broker's clock: the only source that decides whether the market is open."""

    now: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


_TERMINAL = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """One order as the broker reports it. ``status`` is the broker's word, even if this program does not know it."""

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
    """Time at which the order ended; None while it is open."""
    filled_at: datetime | None = None
    """Time of the latest fill."""

    @property
    def is_terminal(self) -> bool:
        """True if the order can no longer change at the broker. An unknown status counts as live."""
        return self.status in _TERMINAL

    def is_for(self, symbol: str, side: str, qty: Decimal) -> bool:
        """Return whether the order has this content."""
        return (self.symbol, self.side) == (symbol, side) and same_qty(self.qty, qty)

    @property
    def description(self) -> str:
        """Side, shares and symbol, for messages."""
        shares = "an unknown quantity of" if self.qty is None else format_decimal(self.qty)
        return f"{self.side} {shares} {self.symbol}"


@dataclass(frozen=True, slots=True)
class SymbolSnapshot:
    """Data of one symbol when the plan starts."""

    asset: Asset | None
    quote: Quote | None
    position: Position | None
    others: Sequence[BrokerOrder] = field(default=())
    """Open orders on the symbol that are not part of this plan."""
    market_close: PreviousClose | None = None
    """Previous close from market data, asked for if the position has none; None if it is unknown."""

    @property
    def held(self) -> Decimal:
        """Shares held; zero without a position."""
        return self.position.qty if self.position is not None else ZERO

    @property
    def available(self) -> Decimal:
        """Shares held that no other open order holds, at the precision of the broker."""
        return min(cut_shares(self.position.available), cut_shares(self.held)) if self.position is not None else ZERO

    @property
    def previous_close(self) -> Decimal | None:
        """Dollars per share at the close of the last session; None if it is unknown, or if there was none."""
        if self.position is not None and self.position.previous_close is not None:
            return self.position.previous_close
        return self.market_close.price if self.market_close is not None else None

    @property
    def is_close_unknown(self) -> bool:
        """True if neither the position nor market data says what the previous close is, or that there was none."""
        return self.previous_close is None and self.market_close is None


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """Content of one submission. Prices and quantities are sent as decimal strings."""

    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    limit_price: Decimal | None = None
    extended_hours: bool = False
    """True if the order may also fill before the open; Alpaca accepts only DAY limits for that."""
    display: Display | None = None
    """Part of it that its exchange shows; None leaves the routing to the broker."""
    time_in_force: TimeInForce = TimeInForce.DAY
