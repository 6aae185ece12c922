"""Cash and positions: what executions do to them, and when the account shows it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal
from typing import Any

from paper_broker.errors import MALFORMED, malformed
from paper_broker.formats import ONE, ZERO, Wire, duration, floor_shares, identifier, plain, plain_or_none
from paper_broker.market import Asset, Quote

_RATIO = Decimal("0.000001")


@dataclass(slots=True)
class Account:
    """The account's settings; money is in the ledger."""

    account_number: str = "PA0000001"
    status: str = "ACTIVE"
    multiplier: str = "1"
    """1 is a cash account: nothing is borrowed."""
    trading_blocked: bool = False
    transfers_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False
    shorting_enabled: bool = False
    proceeds_lag_seconds: float = 0
    """How long the proceeds of a sale stay invisible in cash and buying power."""
    api_key: str | None = None
    secret_key: str | None = None
    """The pair that is accepted; without them any pair is."""
    liquidation_only: bool = False
    """Sales are taken, buys are refused."""
    duplicate_code: int = MALFORMED
    """Of the refusal of a client order id that was used before: 40010001 and 42210000 have both been seen."""
    wash_trade_status: int = 403
    """HTTP status of the refusal of a wash trade: 403 and 422 have both been seen."""


@dataclass(slots=True)
class Position:
    """Shares held, and what they cost on average in dollars."""

    symbol: str
    qty: Decimal
    avg_entry_price: Decimal

    def wire(self, asset: Asset, quote: Quote | None, held: Decimal) -> Wire:
        """One entry of ``GET /v2/positions``; without a quote the market values are null."""
        cost = self.qty * self.avg_entry_price
        price, before = (quote.last or None, quote.prev_close or None) if quote else (None, None)
        value = None if price is None else self.qty * price
        gain = None if value is None else value - cost
        day_gain = None if price is None or before is None else self.qty * (price - before)
        return {
            "asset_id": asset.id,
            "symbol": self.symbol,
            "exchange": asset.exchange,
            "asset_class": "us_equity",
            "asset_marginable": asset.marginable,
            "avg_entry_price": plain(self.avg_entry_price),
            "qty": plain(self.qty),
            "qty_available": plain(self.qty - held),
            "side": "long",
            "market_value": plain_or_none(value),
            "cost_basis": plain(cost),
            "unrealized_pl": plain_or_none(gain),
            "unrealized_plpc": _ratio(gain, cost),
            "unrealized_intraday_pl": plain_or_none(day_gain),
            "unrealized_intraday_plpc": _ratio(day_gain, None if before is None else self.qty * before),
            "current_price": plain_or_none(price),
            "lastday_price": plain_or_none(before),
            "change_today": _ratio(None if price is None or before is None else price - before, before),
        }


def _ratio(part: Decimal | None, whole: Decimal | None) -> str | None:
    return plain((part / whole).quantize(_RATIO)) if part is not None and whole else None


@dataclass(slots=True)
class Ledger:
    """One account's money and shares."""

    account: Account = field(default_factory=Account)
    cash: Decimal = ZERO
    positions: dict[str, Position] = field(default_factory=dict)
    unseen: list[tuple[int, Decimal]] = field(default_factory=list)
    """Proceeds that the account does not show yet: when it will, and how much."""

    def merge(self, world: Mapping[str, Any]) -> None:
        """Change the account, and add, replace or (with a quantity of zero) remove positions."""
        settings = dict(world.get("account", {}))
        if "cash" in settings:
            self.cash, self.unseen = Decimal(str(settings.pop("cash"))), []
        if unknown := settings.keys() - {item.name for item in fields(Account)}:
            raise ValueError(f"Unknown account fields {sorted(unknown)}.")
        for name, value in settings.items():
            setattr(self.account, name, str(Decimal(value)) if name == "multiplier" else value)
        for spec in world.get("positions", ()):
            qty, entry = Decimal(str(spec["qty"])), Decimal(str(spec.get("avg_entry_price", 0)))
            if qty < 0:
                raise ValueError(f"position of {spec['symbol']} is {qty}: this broker is long only.")
            self.positions[spec["symbol"]] = Position(spec["symbol"], qty, entry)
            if not qty:
                del self.positions[spec["symbol"]]

    def dump(self) -> Wire:
        """What :meth:`merge` takes, and the proceeds not shown yet."""
        return {
            "account": asdict(self.account) | {"cash": plain(self.cash)},
            "positions": [
                {"symbol": p.symbol, "qty": str(p.qty), "avg_entry_price": str(p.avg_entry_price)}
                for p in self.positions.values()
            ],
            "unseen": [[at, plain(amount)] for at, amount in self.unseen],
        }

    def qty(self, symbol: str) -> Decimal:
        """Shares held."""
        position = self.positions.get(symbol)
        return position.qty if position else ZERO

    def buy(self, symbol: str, qty: Decimal, price: Decimal) -> None:
        """Shares for cash."""
        self.cash -= qty * price
        position = self.positions.setdefault(symbol, Position(symbol, ZERO, ZERO))
        cost = position.qty * position.avg_entry_price + qty * price
        position.qty += qty
        position.avg_entry_price = cost / position.qty

    def sell(self, symbol: str, qty: Decimal, price: Decimal, now: int) -> None:
        """Cash for shares; the account shows the cash after its lag."""
        self.cash += qty * price
        position = self.positions[symbol]
        position.qty -= qty
        if not position.qty:
            del self.positions[symbol]
        if lag := duration(self.account.proceeds_lag_seconds):
            self.unseen.append((now + lag, qty * price))

    def shown_cash(self, now: int) -> Decimal:
        """Cash without the proceeds that are not shown yet."""
        if not self.unseen:
            return self.cash
        self.unseen = [(at, amount) for at, amount in self.unseen if at > now]
        return self.cash - sum((amount for _, amount in self.unseen), ZERO)

    def market_value(self, quotes: Mapping[str, Quote]) -> Decimal:
        """All positions at their last price, or at cost where there is none."""
        return sum((p.qty * _value_of(p, quotes.get(p.symbol)) for p in self.positions.values()), ZERO)

    def buying_power(self, now: int, market_value: Decimal, held: Decimal) -> Decimal:
        """Dollars that new buys may cost; may be below zero.

        Alpaca: (equity less initial margin) times the multiplier, less open buys; times one, that is cash.
        """
        multiplier = Decimal(self.account.multiplier)
        return multiplier * self.shown_cash(now) + (multiplier - ONE) * market_value - held

    def wire(self, now: int, quotes: Mapping[str, Quote], held: Decimal) -> Wire:
        """``GET /v2/account``."""
        account, value = self.account, self.market_value(quotes)
        shown = self.shown_cash(now)
        before = sum((p.qty * _before(p, quotes.get(p.symbol)) for p in self.positions.values()), ZERO)
        buying_power = plain(max(self.buying_power(now, value, held), ZERO))
        margin = plain(value / Decimal(account.multiplier))
        return {
            "id": identifier("account", account.account_number),
            "account_number": account.account_number,
            "status": account.status,
            "currency": "USD",
            "cash": plain(shown),
            "buying_power": buying_power,
            "effective_buying_power": buying_power,
            "regt_buying_power": buying_power,
            "non_marginable_buying_power": plain(max(shown - held, ZERO)),
            "options_buying_power": "0",
            "equity": plain(self.cash + value),
            "last_equity": plain(self.cash + before),
            "portfolio_value": plain(self.cash + value),
            "long_market_value": plain(value),
            "position_market_value": plain(value),
            "short_market_value": "0",
            "initial_margin": margin,
            "maintenance_margin": margin,
            "last_maintenance_margin": "0",
            "multiplier": account.multiplier,
            "sma": "0",
            "accrued_fees": "0",
            "pending_transfer_in": "0",
            "created_at": "2026-01-01T00:00:00Z",
            "trading_blocked": account.trading_blocked,
            "transfers_blocked": account.transfers_blocked,
            "account_blocked": account.account_blocked,
            "trade_suspended_by_user": account.trade_suspended_by_user,
            "shorting_enabled": account.shorting_enabled,
        }


def part_of(shares: Decimal, percentage: str) -> Decimal:
    """A percentage of a position, to nine decimals; of a whole number of shares a whole number.

    Raises:
        BrokerError: 422 for what is no number above 0 and up to 100.
    """
    try:
        percent = Decimal(percentage)
    except ArithmeticError as error:
        raise malformed("percentage is not a number") from error
    if not 0 < percent <= 100:
        raise malformed("percentage must be above 0 and at most 100")
    part = floor_shares(shares * percent / 100)
    return part // ONE if shares == shares.to_integral_value() else part


def _value_of(position: Position, quote: Quote | None) -> Decimal:
    return quote.last if quote and quote.last else position.avg_entry_price


def _before(position: Position, quote: Quote | None) -> Decimal:
    return quote.prev_close if quote and quote.prev_close else position.avg_entry_price
