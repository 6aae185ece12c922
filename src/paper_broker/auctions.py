"""Opening and closing auctions: when orders for them are accepted, their price, and what they execute.

The rules of a scenario change the outcome. Without a rule an auction executes everything that its price allows, at the
mid of the quote at that moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, Protocol, Self

from paper_broker.errors import forbidden, unprocessable
from paper_broker.formats import MINUTE, NEW_YORK, ONE, SECOND, ZERO, JsonObject, duration, to_datetime
from paper_broker.history import on_tick
from paper_broker.market import Market
from paper_broker.orders import AUCTION_TIMES_IN_FORCE, Order
from paper_broker.sessions import Auction, Sessions

_CUT_OFFS = {"opg": 2 * MINUTE, "cls": 10 * MINUTE}
"""Nanoseconds before an auction from which its orders can be neither sent nor changed."""
_UNFILLED = {"opg": ("canceled", 0), "cls": ("expired", 30 * SECOND)}
"""Terminal status of what an auction leaves, and its delay after the auction in nanoseconds."""
FIELDS = frozenset({
    "symbol", "time_in_force", "accepts", "fill_fraction", "volume", "price", "unfilled", "unfilled_seconds",
    "delay_seconds", "expire_all",
})  # fmt: skip
"""Keys of a rule for auctions."""
_CHOICES: Mapping[str, tuple[object, ...]] = {
    "time_in_force": AUCTION_TIMES_IN_FORCE,
    "unfilled": ("canceled", "expired"),
    "accepts": (True, False),
    "expire_all": (True, False),
}
_KEPT_AUCTIONS = 4
_NEVER = 2**63
_LONGEST_JUMP = 7 * 24 * 60 * MINUTE
"""Auctions further back than this leave no price when the clock jumps over them."""


class AuctionTicket(Protocol):
    """The attributes of an order request that decide whether an auction takes it."""

    @property
    def symbol(self) -> str: ...
    @property
    def time_in_force(self) -> str: ...


@dataclass(frozen=True, slots=True)
class AuctionRule:
    """The outcome of auctions in matching symbols. A filter of None matches any; durations in nanoseconds."""

    spec: Mapping[str, Any]
    """The specification it was parsed from, ready for JSON."""
    symbol: str | None = None
    time_in_force: str | None = None
    accepts: bool = True
    """False for an account that may not send orders for auctions."""
    fill_fraction: Decimal = ONE
    """Fraction of each order that the auction executes."""
    volume: int | None = None
    """Shares that the auction executes per symbol and side, oldest order first; None is any number."""
    price: Decimal | None = None
    """Price of the auction in dollars; None is the mid of the quote."""
    unfilled: str | None = None
    """Terminal status of what the auction leaves; None is that of the time in force."""
    unfilled_after: int | None = None
    """Delay of that status after the auction; None is that of the time in force."""
    delay: int = 0
    """Delay between the auction and the report of its executions."""

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> Self:
        """Parse a rule from a scenario.

        Raises:
            ValueError: an unknown field, or a value out of range.
        """
        if unknown := spec.keys() - FIELDS:
            raise ValueError(f"Unknown auction fields: {sorted(unknown)}. Choose from {sorted(FIELDS)}.")
        for name, allowed in _CHOICES.items():
            if name in spec and spec[name] not in allowed:
                raise ValueError(f"{name} of an auction must be one of {allowed}, not {spec[name]}.")
        numbers = {name: _number(spec, name) for name in ("fill_fraction", "volume", "price", "delay_seconds")}
        after, volume = _number(spec, "unfilled_seconds"), numbers["volume"]
        rule = cls(
            spec=dict(spec),
            symbol=spec.get("symbol"),
            time_in_force=spec.get("time_in_force"),
            accepts=bool(spec.get("accepts", True)),
            fill_fraction=ONE if numbers["fill_fraction"] is None else numbers["fill_fraction"],
            volume=None if volume is None else int(volume),
            price=numbers["price"],
            unfilled=spec.get("unfilled"),
            unfilled_after=None if after is None else duration(after),
            delay=duration(numbers["delay_seconds"] or 0),
        )
        return rule._expiring() if spec.get("expire_all") else rule

    def _expiring(self) -> Self:
        """Return the rule for a broker that accepts orders and lets all of them expire."""
        values = {name: getattr(self, name) for name in self.__slots__}
        after = _UNFILLED["cls"][1] if self.unfilled_after is None else self.unfilled_after
        return type(self)(**values | {"fill_fraction": ZERO, "unfilled": "expired", "unfilled_after": after})

    def matches(self, symbol: str, time_in_force: str) -> bool:
        """Return whether the rule applies to auctions of this kind in this symbol."""
        return self.symbol in (None, symbol) and self.time_in_force in (None, time_in_force)

    def end(self, time_in_force: str) -> tuple[str, int]:
        """Return the terminal status of what an auction leaves, and its delay after the auction."""
        status, after = _UNFILLED[time_in_force]
        return self.unfilled or status, after if self.unfilled_after is None else self.unfilled_after


def _number(spec: Mapping[str, Any], name: str) -> Decimal | None:
    if spec.get(name) is None:
        return None
    try:
        value = Decimal(str(spec[name]))
    except ArithmeticError:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0 or (name == "fill_fraction" and value > 1) or (name == "price" and not value):
        wanted = {"fill_fraction": "a number from 0 to 1", "price": "a number above 0"}.get(name, "a number from 0")
        raise ValueError(f"{name} of an auction must be {wanted}, not {spec[name]}.")
    return value


_NO_RULE = AuctionRule({})


class Auctions:
    """The auctions of one exchange: acceptance, prices and executions.

    Args:
        market: assets and quotes.
        sessions: trading days.
    """

    def __init__(self, market: Market, sessions: Sessions) -> None:
        self._market = market
        self.sessions = sessions
        self.rules: tuple[AuctionRule, ...] = ()
        """The rules of the scenario: the first one that matches applies."""
        self._prices: dict[str, dict[str, str]] = {}
        """Price by symbol, by time of the auction."""
        self._taken: dict[str, int] = {}
        """Shares executed by auctions with a limited volume, by auction, symbol and side."""
        self._seen: int | None = None
        """Time up to which auctions have run."""
        self._next = 0

    def change_sessions(self, sessions: Sessions, now: int) -> None:
        """Change the trading days from now on; auctions that have run stay."""
        self.sessions, self._seen, self._next = sessions, now, 0

    def rule(self, symbol: str, time_in_force: str) -> AuctionRule:
        """Return the rule for auctions of this kind in this symbol."""
        return next((rule for rule in self.rules if rule.matches(symbol, time_in_force)), _NO_RULE)

    # Acceptance

    def check(self, ticket: AuctionTicket, now: int) -> None:
        """Check that an order for an auction is accepted at this time; other orders pass.

        Raises:
            BrokerError: 403 if the account may not send it, or in the time around the auction; 422 if there is none.
        """
        time_in_force = ticket.time_in_force
        if time_in_force not in AUCTION_TIMES_IN_FORCE:
            return
        if not self.rule(ticket.symbol, time_in_force).accepts:
            raise forbidden(f"account is not allowed to submit {time_in_force} orders")
        if self.sessions.kind == "always_open":
            raise unprocessable(f"{time_in_force} orders are not accepted: this market has no auctions")
        if window := self._closed_window(time_in_force, now):
            raise forbidden(f"{time_in_force} orders are not accepted between {window}")

    def check_change(self, order: Order, now: int, verb: str) -> None:
        """Check that an order is not in the time around its auction, in which it can be neither changed nor canceled.

        Raises:
            BrokerError: 422; ``verb`` is ``cancelable`` or ``replaceable``.
        """
        if order.is_auction and (window := self._closed_window(order.time_in_force, now)):
            raise unprocessable(f"order is not {verb}: {order.time_in_force} orders are final between {window}")

    def _closed_window(self, time_in_force: str, now: int) -> str | None:
        """Return the period around the auction of the day, as text, or None outside of it."""
        session = self.sessions.of_day(now)
        if session is None:
            return None
        start = (session.open if time_in_force == "opg" else session.close) - _CUT_OFFS[time_in_force]
        if not start <= now < session.queue_opens:
            return None
        return f"{_clock_time(start)} and {_clock_time(session.queue_opens)} ET"

    # Auctions

    def due(self, now: int) -> list[Auction]:
        """Return the auctions since the last call, oldest first."""
        if now < self._next:
            return []
        since = now if self._seen is None else max(self._seen, now - _LONGEST_JUMP)
        auctions = list(self.sessions.auctions(since, now))
        following = next(islice(self.sessions.auctions(now, None), 1), None)
        self._seen, self._next = now, _NEVER if following is None else following.at
        return auctions

    def run(self, auction: Auction) -> None:
        """Fix the price of an auction in every symbol that trades."""
        prices: dict[str, str] = {}
        for symbol in self._market.quotes:
            if (price := self._price_now(symbol, auction.time_in_force)) is not None:
                prices[symbol] = str(price)
        self._prices[str(auction.at)] = prices
        for at in list(self._prices)[:-_KEPT_AUCTIONS]:
            del self._prices[at]
        self._taken = {key: shares for key, shares in self._taken.items() if key.split()[0] in self._prices}

    def price(self, symbol: str, time_in_force: str, at: int) -> Decimal | None:
        """Return the price of the auction at this time, or None if the symbol had none."""
        prices = self._prices.get(str(at))
        if prices is None:
            return self._price_now(symbol, time_in_force)
        return Decimal(prices[symbol]) if symbol in prices else None

    def _price_now(self, symbol: str, time_in_force: str) -> Decimal | None:
        asset, quote = self._market.assets[symbol], self._market.quotes.get(symbol)
        if asset.halted or self._market.halted:
            return None
        if (price := self.rule(symbol, time_in_force).price) is not None:
            return price
        if quote is None:
            return None
        mid = (quote.bid + quote.ask) / 2 if quote.bid > 0 and quote.ask > 0 else quote.last
        return on_tick(mid, asset.tick_size) or None

    def execution(self, order: Order, at: int) -> tuple[Decimal, Decimal]:
        """Return the shares that the auction at this time executes of an order, and their price.

        The price is the same for every order; a limit that it does not meet executes nothing.
        """
        rule, price = self.rule(order.symbol, order.time_in_force), self.price(order.symbol, order.time_in_force, at)
        if price is None or order.qty is None or not _allows(order, price):
            return ZERO, ZERO
        scripted = min(sum((part.fraction for part in order.behaviour.parts), ZERO), ONE)
        shares = (order.qty - order.filled_qty) * rule.fill_fraction * scripted // ONE
        if rule.volume is not None:
            key = f"{at} {order.symbol} {order.side}"
            taken = self._taken.get(key, 0)
            shares = min(shares, Decimal(max(rule.volume - taken, 0)))
            self._taken[key] = taken + int(shares)
        return shares, price

    def dump(self) -> JsonObject:
        """Return rules and past auctions, ready for JSON."""
        return {
            "auctions": [dict(rule.spec) for rule in self.rules],
            "auction_prices": self._prices,
            "auction_volumes": self._taken,
            "auctions_until": self._seen,
        }

    def load(self, state: JsonObject) -> None:
        """Restore dumped auctions."""
        self._prices, self._taken = dict(state["auction_prices"]), dict(state["auction_volumes"])
        self._seen, self._next = state["auctions_until"], 0


def _allows(order: Order, price: Decimal) -> bool:
    """Return whether the limit allows this price; an order without a limit takes any price in an auction."""
    limit = order.limit_price
    return limit is None or (price <= limit if order.side == "buy" else price >= limit)


def _clock_time(instant: int) -> str:
    return f"{to_datetime(instant).astimezone(NEW_YORK):%I:%M%p}".lstrip("0").lower()
