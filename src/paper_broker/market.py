"""What can be traded and at which price: assets, quotes, and a random walk that moves the quotes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random
from typing import Any

from paper_broker.formats import ONE, SECOND, ZERO, Wire, duration, identifier, number, parse_instant, plain, timestamp

_CENT = Decimal("0.01")
_PRICES = frozenset({"bid", "ask", "last", "prev_close"})
_SUB_DOLLAR_TICK = Decimal("0.0001")
_LONGEST_WALK = 600
"""Steps that one settlement makes up for; a longer sleep just moves the market less."""


@dataclass(slots=True)
class Asset:
    """A US stock or fund and its flags."""

    symbol: str
    fractionable: bool = True
    tradable: bool = True
    status: str = "active"
    marginable: bool = True
    shortable: bool = True
    exchange: str = "NASDAQ"
    halted: bool = False
    """Orders are taken and do not execute. Not on the wire."""
    name: str = ""
    id: str = ""
    attributes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Derive the id from the symbol, so that it is the same in every world."""
        self.id = self.id or identifier("asset", self.symbol)

    def wire(self) -> Wire:
        """``GET /v2/assets/{symbol}``."""
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
            "easy_to_borrow": self.shortable,  # retired by Alpaca, still required by its SDK
            "borrow_status": "easy_to_borrow" if self.shortable else "hard_to_borrow",
            "fractionable": self.fractionable,
            "maintenance_margin_requirement": 30,
            "attributes": list(self.attributes),
        }


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and offer in dollars, sizes in shares; a price of zero means that nobody quotes that side."""

    bid: Decimal = ZERO
    ask: Decimal = ZERO
    bid_size: int = 100
    ask_size: int = 100
    last: Decimal = ZERO
    prev_close: Decimal = ZERO
    t: str | None = None
    """A fixed time; without one the quote is always fresh."""

    @classmethod
    def parse(cls, spec: Mapping[str, Any], known: "Quote | None" = None) -> "Quote":
        """Read a quote from a scenario; what it leaves out stays as known, or follows from the rest."""
        if unknown := spec.keys() - set(cls.__slots__):
            raise ValueError(f"Unknown quote fields {sorted(unknown)}.")
        if spec.get("t"):
            parse_instant(spec["t"])
        values: dict[str, Any] = {
            name: Decimal(str(value)) if name in _PRICES else value for name, value in spec.items()
        }
        quote = replace(known or cls(), **values)
        if "last" not in spec and quote.bid > 0 and quote.ask > 0:
            quote = replace(quote, last=quote.mid if known is None else quote.last)
        return quote if quote.prev_close else replace(quote, prev_close=quote.last)

    @property
    def mid(self) -> Decimal:
        """Half-way between bid and ask, on a tick."""
        return on_tick((self.bid + self.ask) / 2)

    def dump(self) -> Wire:
        """What :meth:`parse` takes."""
        return {name: plain(value) if isinstance(value, Decimal) else value for name, value in asdict(self).items()}

    def wire(self, now: int) -> Wire:
        """One entry of ``GET /v2/stocks/quotes/latest``."""
        return {
            "t": self.t or timestamp(now),
            "bp": number(self.bid),
            "bs": self.bid_size,
            "bx": "V",
            "ap": number(self.ask),
            "as": self.ask_size,
            "ax": "V",
            "c": ["R"],
            "z": "C",
        }

    def trade_wire(self, now: int) -> Wire:
        """One entry of ``GET /v2/stocks/trades/latest``."""
        return {
            "t": self.t or timestamp(now), "p": number(self.last), "s": 100, "x": "V", "i": 1, "c": ["@"], "z": "C",
        }  # fmt: skip

    def snapshot_wire(self, now: int) -> Wire:
        """One entry of ``GET /v2/stocks/snapshots``."""
        at = self.t or timestamp(now)
        return {
            "latestTrade": self.trade_wire(now),
            "latestQuote": self.wire(now),
            "minuteBar": _bar(at, self.last),
            "dailyBar": _bar(at, self.last),
            "prevDailyBar": _bar(at, self.prev_close),
        }


def _bar(at: str, price: Decimal) -> Wire:
    p = number(price)
    return {"t": at, "o": p, "h": p, "l": p, "c": p, "v": 1000, "n": 10, "vw": p}


def on_tick(price: Decimal) -> Decimal:
    """The nearest price that may be quoted: cents from a dollar up, hundredths of a cent below."""
    return price.quantize(_CENT if price >= ONE else _SUB_DOLLAR_TICK, rounding=ROUND_HALF_EVEN)


class Market:
    """Assets and quotes by symbol.

    Args:
        seed: of the random walk.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.assets: dict[str, Asset] = {}
        self.quotes: dict[str, Quote] = {}
        self.drift: dict[str, Any] | None = None
        """``step_seconds`` and ``basis_points``: every quote moves up to so much in each step."""
        self.walked: int | None = None
        self.halted = False
        """Nothing is executed: of no asset, whatever its own flag says."""
        self.revision = 0
        """Grows with every change of what :meth:`dump` gives."""

    def asset(self, symbol_or_id: str) -> Asset | None:
        """The asset of a symbol or of an asset id."""
        found = self.assets.get(symbol_or_id)
        return found or next((asset for asset in self.assets.values() if asset.id == symbol_or_id), None)

    def merge(self, world: Mapping[str, Any]) -> None:
        """Add or change assets and quotes; a quote or position of an unknown symbol brings its asset along."""
        self.revision += 1
        names = {field.name for field in fields(Asset)}
        for spec in world.get("assets", ()):
            if unknown := spec.keys() - names:
                raise ValueError(f"Unknown asset fields {sorted(unknown)}.")
            known = self.assets.get(spec["symbol"])
            self.assets[spec["symbol"]] = replace(known, **spec) if known else Asset(**spec)
        for symbol, spec in world.get("quotes", {}).items():
            self.quotes[symbol] = Quote.parse(spec, self.quotes.get(symbol))
        held = (spec["symbol"] for spec in world.get("positions", ()))
        for symbol in (*world.get("quotes", ()), *held):
            self.assets.setdefault(symbol, Asset(symbol))
        if "drift" in world:
            if unknown := (world["drift"] or {}).keys() - {"step_seconds", "basis_points"}:
                raise ValueError(f"Unknown drift fields {sorted(unknown)}.")
            self.drift, self.walked = world["drift"], None
        self.halted = bool(world.get("halted", self.halted))

    def dump(self) -> Wire:
        """What :meth:`merge` takes."""
        return {
            "assets": [asdict(asset) for asset in self.assets.values()],
            "quotes": {symbol: quote.dump() for symbol, quote in self.quotes.items()},
            "drift": self.drift,
            "halted": self.halted,
        }

    def walk(self, now: int) -> bool:
        """Move the quotes to where the random walk has them at ``now``; tells whether they moved."""
        if not self.drift:
            return False
        step = now // max(duration(self.drift.get("step_seconds", 1)), SECOND // 1000)
        done = step if self.walked is None else self.walked
        for n in range(max(done, step - _LONGEST_WALK) + 1, step + 1):
            self._move(n)
        self.walked = max(step, done)
        return step > done

    def _move(self, step: int) -> None:
        self.revision += 1
        limit = float(self.drift["basis_points"]) if self.drift and "basis_points" in self.drift else 2.0
        for symbol, quote in self.quotes.items():
            rng = Random(f"{self._seed}:{symbol}:{step}")  # noqa: S311 - a market to play again, no secret
            factor = ONE + Decimal(round(rng.uniform(-limit, limit), 4)) / 10_000
            bid, ask = on_tick(quote.bid * factor), on_tick(quote.ask * factor)
            if quote.bid > 0 and quote.ask > 0 and 0 < bid < ask:
                self.quotes[symbol] = replace(quote, bid=bid, ask=ask, last=on_tick((bid + ask) / 2))
