"""Assets and quotes, and a random walk that moves the quotes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random
from typing import Any

from paper_broker.formats import (
    ONE,
    SECOND,
    ZERO,
    JsonObject,
    duration,
    format_decimal,
    identifier,
    json_number,
    parse_instant,
    timestamp,
)

_CENT = "0.01"
_TICK_SIZES = (_CENT, "0.005")
_PRICES = frozenset({"bid", "ask", "last", "prev_close"})
_SUB_DOLLAR_TICK = Decimal("0.0001")
_IEX_PART = 50
"""IEX trades about a fiftieth of the volume of all exchanges."""
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
    tick_size: str = _CENT
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

    @classmethod
    def parse(cls, spec: Mapping[str, Any], known: "Quote | None" = None) -> "Quote":
        """Parse a quote from a scenario.

        Args:
            spec: fields of the quote. A missing ``last`` is the mid, a missing ``prev_close`` the last price.
            known: previous quote, which supplies missing fields.

        Raises:
            ValueError: an unknown field, or an invalid time.
        """
        if unknown := spec.keys() - set(cls.__slots__):
            raise ValueError(f"Unknown quote fields: {sorted(unknown)}.")
        if spec.get("t"):
            parse_instant(spec["t"])
        duration(spec.get("age_seconds", 0))
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

    def dump(self) -> JsonObject:
        """Return the quote as :meth:`parse` accepts it."""
        return {
            name: format_decimal(value) if isinstance(value, Decimal) else value for name, value in asdict(self).items()
        }

    def _time(self, now: int) -> str:
        return self.t or timestamp(now - duration(self.age_seconds) if self.age_seconds else now)

    def to_json(self, now: int) -> JsonObject:
        """Return one entry of ``GET /v2/stocks/quotes/latest``."""
        return {
            "t": self._time(now),
            "bp": json_number(self.bid),
            "bs": self.bid_size,
            "bx": "V",
            "ap": json_number(self.ask),
            "as": self.ask_size,
            "ax": "V",
            "c": ["R"],
            "z": "C",
        }

    def trade_json(self, now: int) -> JsonObject:
        """Return one entry of ``GET /v2/stocks/trades/latest``."""
        return {
            "t": self._time(now), "p": json_number(self.last), "s": 100, "x": "V", "i": 1,
            "c": ["@"], "z": "C",
        }  # fmt: skip

    def snapshot_json(self, now: int) -> JsonObject:
        """Return one entry of ``GET /v2/stocks/snapshots``."""
        at = self._time(now)
        return {
            "latestTrade": self.trade_json(now),
            "latestQuote": self.to_json(now),
            "minuteBar": _bar(at, self.last),
            "dailyBar": _bar(at, self.last),
            "prevDailyBar": _bar(at, self.prev_close),
        }

    def bar_json(self, at: str, number: int, *, is_iex: bool) -> JsonObject:
        """Return the daily bar of that number of ``GET /v2/stocks/bars``; IEX has a fiftieth of the volume."""
        volume = self.volume[number % len(self.volume)] if isinstance(self.volume, list) else self.volume
        return _bar(at, self.prev_close, volume // _IEX_PART if is_iex and isinstance(volume, int) else volume)


def _bar(at: str, price: Decimal, volume: object = 1000) -> JsonObject:
    p = json_number(price)
    return {"t": at, "o": p, "h": p, "l": p, "c": p, "v": volume, "n": 10, "vw": p}


def on_tick(price: Decimal, tick_size: str = _CENT) -> Decimal:
    """Return the nearest valid price: a multiple of the tick size from one dollar up, four decimals below."""
    step = Decimal(tick_size) if price >= ONE else _SUB_DOLLAR_TICK
    return (price / step).to_integral_value(ROUND_HALF_EVEN) * step


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
        self.last_drift_step: int | None = None
        self.halted = False
        """No order executes in any asset, regardless of the flag of the asset."""
        self.revision = 0
        """Counter that increases with every change of the state that :meth:`dump` returns."""

    def asset(self, symbol_or_id: str) -> Asset | None:
        """Return the asset with this symbol or asset ID, or None."""
        by_symbol = self.assets.get(symbol_or_id)
        return by_symbol or next((asset for asset in self.assets.values() if asset.id == symbol_or_id), None)

    def merge(self, world: Mapping[str, Any]) -> None:
        """Add or change assets and quotes. A quote or position of an unknown symbol adds its asset.

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
            self.drift, self.last_drift_step = world["drift"], None
        self.halted = bool(world.get("halted", self.halted))

    def dump(self) -> JsonObject:
        """Return assets and quotes as :meth:`merge` accepts them."""
        return {
            "assets": [asdict(asset) for asset in self.assets.values()],
            "quotes": {symbol: quote.dump() for symbol, quote in self.quotes.items()},
            "drift": self.drift,
            "halted": self.halted,
        }

    def apply_drift(self, now: int) -> bool:
        """Advance the random walk to ``now`` (nanoseconds since the epoch); return whether the quotes moved."""
        if not self.drift:
            return False
        step = now // max(duration(self.drift.get("step_seconds", 1)), SECOND // 1000)
        last = step if self.last_drift_step is None else self.last_drift_step
        for n in range(max(last, step - _MAX_DRIFT_STEPS) + 1, step + 1):
            self._move(n)
        self.last_drift_step = max(step, last)
        return step > last

    def _move(self, step: int) -> None:
        self.revision += 1
        limit = float(self.drift["basis_points"]) if self.drift and "basis_points" in self.drift else 2.0
        for symbol, quote in self.quotes.items():
            rng = Random(f"{self._seed}:{symbol}:{step}")  # noqa: S311 - reproducible prices, no secret
            factor = ONE + Decimal(round(rng.uniform(-limit, limit), 4)) / 10_000
            tick_size = self.assets[symbol].tick_size
            bid, ask = on_tick(quote.bid * factor, tick_size), on_tick(quote.ask * factor, tick_size)
            if quote.bid > 0 and quote.ask > 0 and 0 < bid < ask:
                self.quotes[symbol] = replace(quote, bid=bid, ask=ask, last=on_tick((bid + ask) / 2, tick_size))
