"""Assets and quotes, and a random walk that moves the quotes."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from decimal import Decimal
from typing import Any

from paper_broker.formats import (
    MINUTE,
    ZERO,
    JsonObject,
    duration,
    format_decimal,
    identifier,
    json_number,
    parse_instant,
    timestamp,
)
from paper_broker.history import CENT, Level, QuoteHistory, Segment, Walk, on_tick

_TICK_SIZES = (CENT, "0.005")
_PRICES = frozenset({"bid", "ask", "last", "prev_close"})
_SNAPSHOT_BARS = ("all", "today", "none")
_MAX_DRIFT_STEPS = 600
"""Maximum number of drift steps per call; after a longer pause the quotes move less."""


@dataclass(slots=True)
class Asset:
    """A US stock or fund, with its flags."""

    symbol: str
    fractionable: bool = True
    tradable: bool = True
    status: str = "active"
    marginable: bool = True
    shortable: bool = True
    exchange: str = "NASDAQ"
    halted: bool = False
    """Orders are accepted but not executed. Not part of Alpaca's JSON."""
    name: str = ""
    id: str = ""
    attributes: tuple[str, ...] = ()
    tick_size: str = CENT
    """Price step in dollars from one dollar up: a cent, or half a cent. Not part of Alpaca's JSON."""

    def __post_init__(self) -> None:
        """Derive the ID from the symbol, so that it is the same in every scenario.

        Raises:
            ValueError: an unknown tick size.
        """
        self.id = self.id or identifier("asset", self.symbol)
        self.tick_size = str(self.tick_size)
        if self.tick_size not in _TICK_SIZES:
            raise ValueError(f"Unknown tick_size {self.tick_size}: choose from {', '.join(_TICK_SIZES)}.")

    def to_json(self) -> JsonObject:
        """Return the body of ``GET /v2/assets/{symbol}``."""
        return {
            "id": self.id,
            "class": "us_equity",
            "exchange": self.exchange,
            "symbol": self.symbol,
            "name": self.name or f"{self.symbol} Common Stock",
            "status": self.status,
            "tradable": self.tradable,
            "marginable": self.marginable,
            "shortable": self.shortable,
            "easy_to_borrow": self.shortable,  # deprecated by Alpaca, but required by its SDK
            "borrow_status": "easy_to_borrow" if self.shortable else "hard_to_borrow",
            "fractionable": self.fractionable,
            "maintenance_margin_requirement": 30,
            "attributes": list(self.attributes),
        }


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and offer in dollars, sizes in shares. A price of zero means that this side has no quote."""

    bid: Decimal = ZERO
    ask: Decimal = ZERO
    bid_size: int = 100
    ask_size: int = 100
    last: Decimal = ZERO
    prev_close: Decimal = ZERO
    t: str | None = None
    """Fixed time of the quote, RFC 3339; None is the time of the request less ``age_seconds``."""
    age_seconds: float = 0
    """Age of the quote without a fixed time; a negative age is a time in the future."""
    volume: Any = None
    """Shares of its daily bars, or a list of values that the days take in turn, sent as they are; None: no bars."""
    volume_age_days: int = 0
    """Days between the latest daily bar and today."""
    snapshot_bars: str = "all"
    """Daily bars of its snapshot: ``all``, only that of ``today`` (listed today), or ``none``."""

    @classmethod
    def parse(cls, spec: Mapping[str, Any], known: "Quote | None" = None) -> "Quote":
        """Parse a quote from a scenario.

        Args:
            spec: fields of the quote. A missing ``last`` is the mid, a missing ``prev_close`` the last price.
            known: previous quote, which supplies missing fields.

        Raises:
            ValueError: an unknown field, an invalid time, or unknown bars of a snapshot.
        """
        if unknown := spec.keys() - set(cls.__slots__):
            raise ValueError(f"Unknown quote fields: {sorted(unknown)}.")
        if spec.get("t"):
            parse_instant(spec["t"])
        duration(spec.get("age_seconds", 0))
        if spec.get("snapshot_bars", "all") not in _SNAPSHOT_BARS:
            raise ValueError(f"Unknown snapshot_bars: choose from {', '.join(_SNAPSHOT_BARS)}.")
        values: dict[str, Any] = {
            name: Decimal(str(value)) if name in _PRICES else value for name, value in spec.items()
        }
        quote = replace(known or cls(), **values)
        if known is None and "last" not in spec and quote.bid > 0 and quote.ask > 0:
            quote = replace(quote, last=quote.mid)
        return quote if quote.prev_close else replace(quote, prev_close=quote.last)

    @property
    def mid(self) -> Decimal:
        """Midpoint of bid and ask, rounded to a tick."""
        return on_tick((self.bid + self.ask) / 2)

    def snapshot_json(self, now: int) -> JsonObject:
        """Return one entry of ``GET /v2/stocks/snapshots``, without its daily bars."""
        return {
            "latestTrade": self.trade_json(now),
            "latestQuote": self.to_json(now),
            "minuteBar": self.minute_bar_json(now),
        }

    def minute_bar_json(self, now: int) -> JsonObject:
        """Return one entry of ``GET /v2/stocks/bars/latest``: the current minute, at the last price."""
        price, at = json_number(self.last), timestamp(now // MINUTE * MINUTE)
        return {"t": at, "o": price, "h": price, "l": price, "c": price, "v": 1000, "n": 10, "vw": price}

    def dump(self) -> JsonObject:
        """Return the quote as :meth:`parse` accepts it."""
        return {
            name: format_decimal(value) if isinstance(value, Decimal) else value for name, value in asdict(self).items()
        }

    def _time(self, now: int) -> str:
        return self.t or timestamp(now - duration(self.age_seconds) if self.age_seconds else now)

    def to_json(self, now: int) -> JsonObject:
        """Return one entry of ``GET /v2/stocks/quotes/latest``."""
        return Level.of(self).to_json(self._time(now))

    def trade_json(self, now: int) -> JsonObject:
        """Return one entry of ``GET /v2/stocks/trades/latest``."""
        return {
            "t": self._time(now), "p": json_number(self.last), "s": 100, "x": "V", "i": 1,
            "c": ["@"], "z": "C",
        }  # fmt: skip


class Market:
    """Assets and quotes by symbol.

    Args:
        seed: seed of the random walk.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.assets: dict[str, Asset] = {}
        self.quotes: dict[str, Quote] = {}
        self.drift: dict[str, Any] | None = None
        """``step_seconds`` and ``basis_points``: length of a step, and the maximum move of a quote per step."""
        self._walk: Walk | None = None
        self.last_drift_step: int | None = None
        self.history = QuoteHistory()
        self.ranges: dict[str, list[Decimal]] = {}
        """First, highest and lowest mid of the trading day, by symbol."""
        self.halted = False
        """No order executes in any asset, regardless of the flag of the asset."""
        self.revision = 0
        """Counter that increases with every change of the state that :meth:`dump` returns."""

    def asset(self, symbol_or_id: str) -> Asset | None:
        """Return the asset with this symbol or asset ID, or None."""
        by_symbol = self.assets.get(symbol_or_id)
        return by_symbol or next((asset for asset in self.assets.values() if asset.id == symbol_or_id), None)

    def merge(self, world: Mapping[str, Any], now: int) -> None:
        """Add or change assets and quotes. A quote or position of an unknown symbol adds its asset.

        Args:
            world: a scenario, or part of one.
            now: nanoseconds since the epoch.

        Raises:
            ValueError: an unknown field, or an invalid time.
        """
        self.revision += 1
        names = {field.name for field in fields(Asset)}
        for spec in world.get("assets", ()):
            if unknown := spec.keys() - names:
                raise ValueError(f"Unknown asset fields: {sorted(unknown)}.")
            known = self.assets.get(spec["symbol"])
            self.assets[spec["symbol"]] = replace(known, **spec) if known else Asset(**spec)
        for symbol, spec in world.get("quotes", {}).items():
            self.quotes[symbol] = Quote.parse(spec, self.quotes.get(symbol))
        held = (spec["symbol"] for spec in world.get("positions", ()))
        for symbol in (*world.get("quotes", ()), *held):
            self.assets.setdefault(symbol, Asset(symbol))
        if "drift" in world:
            if unknown := (world["drift"] or {}).keys() - {"step_seconds", "basis_points"}:
                raise ValueError(f"Unknown drift fields: {sorted(unknown)}.")
            self.drift = world["drift"]
            self._walk = Walk.parse(self._seed, self.drift)
            self.last_drift_step = now // self._walk.length if self._walk else None
        self.halted = bool(world.get("halted", self.halted))
        self._note(now, self.quotes if "drift" in world else world.get("quotes", ()))
        for symbol in world.get("quotes", ()):
            self._extend_range(symbol)

    def dump(self) -> JsonObject:
        """Return assets and quotes as :meth:`merge` accepts them."""
        return {
            "assets": [asdict(asset) for asset in self.assets.values()],
            "quotes": {symbol: quote.dump() for symbol, quote in self.quotes.items()},
            "drift": self.drift,
            "halted": self.halted,
            "quote_history": self.history.dump(),
            "ranges": {symbol: list(map(str, prices)) for symbol, prices in self.ranges.items()},
            "last_drift_step": self.last_drift_step,
        }

    def load(self, state: JsonObject) -> None:
        """Restore dumped history, day ranges and drift."""
        self.history.load(state["quote_history"])
        self.ranges = {symbol: [Decimal(price) for price in prices] for symbol, prices in state["ranges"].items()}
        self.last_drift_step = state["last_drift_step"]

    def apply_drift(self, now: int) -> bool:
        """Advance the random walk to ``now`` (nanoseconds since the epoch); return whether the quotes moved."""
        if self._walk is None or self.last_drift_step is None:
            return False
        step, last = now // self._walk.length, self.last_drift_step
        if step <= last:
            return False
        first = max(last, step - _MAX_DRIFT_STEPS)
        self.last_drift_step = first
        if first > last:
            self._note(first * self._walk.length, self.quotes)
        for n in range(first + 1, step + 1):
            self._move(self._walk, n)
        self.last_drift_step = step
        return True

    def _move(self, walk: Walk, step: int) -> None:
        self.revision += 1
        for symbol, quote in self.quotes.items():
            tick_size = self.assets[symbol].tick_size
            level = walk.move(symbol, step, Level.of(quote), tick_size)
            if level.bid != quote.bid or level.ask != quote.ask:
                mid = on_tick(level.mid, tick_size)
                self.quotes[symbol] = replace(quote, bid=level.bid, ask=level.ask, last=mid)
                self._extend_range(symbol)

    def _note(self, now: int, symbols: Iterable[str]) -> None:
        """Add the quotes of these symbols to the history."""
        for symbol in symbols:
            self.history.note(symbol, Segment(now, self.last_drift_step, self._walk, Level.of(self.quotes[symbol])))

    def _extend_range(self, symbol: str) -> None:
        quote = self.quotes[symbol]
        if quote.bid > 0 and quote.ask > 0:
            mid = on_tick(quote.mid, self.assets[symbol].tick_size)
            first, high, low = self.ranges.get(symbol, (mid, mid, mid))
            self.ranges[symbol] = [first, max(high, mid), min(low, mid)]

    def change_previous_closes(self, closes: Mapping[str, Decimal]) -> None:
        """Change the previous close of quotes, by symbol."""
        self.revision += 1
        for symbol in closes.keys() & self.quotes.keys():
            self.quotes[symbol] = replace(self.quotes[symbol], prev_close=closes[symbol])

    def restart_range(self, symbol: str, price: Decimal) -> None:
        """Start the trading day of a symbol at this price."""
        self.ranges[symbol] = [price, price, price]
        self._extend_range(symbol)
        self.revision += 1
