"""Cash and positions of the account."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal
from typing import Any

from paper_broker.errors import MALFORMED, malformed
from paper_broker.formats import (
    ONE,
    ZERO,
    JsonObject,
    duration,
    floor_shares,
    format_decimal,
    format_decimal_or_none,
    identifier,
)
from paper_broker.market import Asset, Quote

_RATIO = Decimal("0.000001")


@dataclass(slots=True)
class Account:
    """Settings of the account; its cash is in :class:`Ledger`."""

    account_number: str = "PA0000001"
    status: str = "ACTIVE"
    multiplier: str = "1"
    """1 is a cash account, without margin."""
    trading_blocked: bool = False
    transfers_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False
    shorting_enabled: bool = False
    """Sales beyond the shares held are accepted, so that positions can be negative."""
    proceeds_lag_seconds: float = 0
    """Delay until the proceeds of a sale appear in cash and buying power."""
    account_lag_seconds: float = 0
    """Age of the cash and buying power that the account shows."""
    positions_lag_seconds: float = 0
    """Age of the positions that are shown."""
    api_key: str | None = None
    secret_key: str | None = None
    """With ``api_key``, the only accepted pair of keys; if both are None, any pair is accepted."""
    number_by_key: dict[str, str] = field(default_factory=dict)
    """Other account numbers, by API key: several account names can then share this account's money in a test."""
    liquidation_only: bool = False
    """Sales are accepted, buys are rejected."""
    duplicate_code: int = MALFORMED
    """Code for a client order ID that was used before. Alpaca has sent both 40010001 and 42210000."""
    wash_trade_status: int = 403
    """HTTP status for a wash trade. Alpaca has sent both 403 and 422."""

    @property
    def max_lag(self) -> int:
        """The longer of both lags, in nanoseconds."""
        return duration(max(self.account_lag_seconds, self.positions_lag_seconds))


@dataclass(frozen=True, slots=True)
class Balance:
    """Amounts from which the cash and buying power of one moment follow, in dollars."""

    cash: Decimal
    pending_proceeds: tuple[tuple[int, Decimal], ...]
    """Times at which proceeds become visible, and amounts."""
    long: Decimal
    """Value of the long positions."""
    short: Decimal
    """Value of the short positions, negative."""
    held: Decimal
    """Dollars reserved for open buys."""

    def dump(self) -> list[Any]:
        """Return the balance as :meth:`load` accepts it, ready for JSON."""
        pending = [[at, str(amount)] for at, amount in self.pending_proceeds]
        return [str(self.cash), pending, str(self.long), str(self.short), str(self.held)]

    @classmethod
    def load(cls, values: list[Any]) -> "Balance":
        """Return a dumped balance."""
        cash, pending, *others = values
        long, short, held = map(Decimal, others)
        return cls(Decimal(cash), tuple((at, Decimal(amount)) for at, amount in pending), long, short, held)

    def visible_cash(self, now: int) -> Decimal:
        """Return the cash without the proceeds that are not visible yet."""
        return self.cash - sum((amount for at, amount in self.pending_proceeds if at > now), ZERO)

    def buying_power(self, now: int, multiplier: str) -> Decimal:
        """Return the dollars available for new buys, which can be negative.

        Alpaca's formula is (equity - initial margin) * multiplier - open buys. With a multiplier of 1 and no short
        position that is cash less open buys.
        """
        equity = self.visible_cash(now) + self.long + self.short
        return Decimal(multiplier) * equity - (self.long - self.short) - self.held


@dataclass(slots=True)
class Position:
    """Shares held (negative if short), and their average cost in dollars."""

    symbol: str
    qty: Decimal
    avg_entry_price: Decimal

    def to_json(self, asset: Asset, quote: Quote | None, held: Decimal) -> JsonObject:
        """Return one entry of ``GET /v2/positions``; ``held`` is the shares reserved for open orders.

        Without a quote the market values are null.
        """
        short = self.qty.is_signed()
        cost = self.qty * self.avg_entry_price
        price, prev_close = (quote.last or None, quote.prev_close or None) if quote else (None, None)
        value = None if price is None else self.qty * price
        gain = None if value is None else value - cost
        day_gain = None if price is None or prev_close is None else self.qty * (price - prev_close)
        return {
            "asset_id": asset.id,
            "symbol": self.symbol,
            "exchange": asset.exchange,
            "asset_class": "us_equity",
            "asset_marginable": asset.marginable,
            "avg_entry_price": format_decimal(self.avg_entry_price),
            "qty": format_decimal(self.qty),
            "qty_available": format_decimal(self.qty if short else self.qty - held),
            "side": "short" if short else "long",
            "market_value": format_decimal_or_none(value),
            "cost_basis": format_decimal(cost),
            "unrealized_pl": format_decimal_or_none(gain),
            "unrealized_plpc": _ratio(gain, abs(cost)),
            "unrealized_intraday_pl": format_decimal_or_none(day_gain),
            "unrealized_intraday_plpc": _ratio(day_gain, None if prev_close is None else abs(self.qty * prev_close)),
            "current_price": format_decimal_or_none(price),
            "lastday_price": format_decimal_or_none(prev_close),
            "change_today": _ratio(None if price is None or prev_close is None else price - prev_close, prev_close),
        }


def _ratio(part: Decimal | None, whole: Decimal | None) -> str | None:
    return format_decimal((part / whole).quantize(_RATIO)) if part is not None and whole else None


@dataclass(slots=True)
class Ledger:
    """Cash, positions and settings of one account."""

    account: Account = field(default_factory=Account)
    cash: Decimal = ZERO
    positions: dict[str, Position] = field(default_factory=dict)
    pending_proceeds: list[tuple[int, Decimal]] = field(default_factory=list)
    """Proceeds that are not visible yet: time of visibility and amount in dollars."""

    def merge(self, world: Mapping[str, Any]) -> None:
        """Change the account, and add or replace positions; a quantity of zero removes a position.

        Raises:
            ValueError: an unknown field.
        """
        settings = dict(world.get("account", {}))
        if "cash" in settings:
            self.cash, self.pending_proceeds = Decimal(str(settings.pop("cash"))), []
        if unknown := settings.keys() - {item.name for item in fields(Account)}:
            raise ValueError(f"Unknown account fields: {sorted(unknown)}.")
        for name, value in settings.items():
            setattr(self.account, name, str(Decimal(value)) if name == "multiplier" else value)
        for spec in world.get("positions", ()):
            qty, entry = Decimal(str(spec["qty"])), Decimal(str(spec.get("avg_entry_price", 0)))
            self.positions[spec["symbol"]] = Position(spec["symbol"], qty, entry)
            if not qty:
                del self.positions[spec["symbol"]]

    def dump(self) -> JsonObject:
        """Return account and positions as :meth:`merge` accepts them, and the proceeds that are not visible yet."""
        return {
            "account": asdict(self.account) | {"cash": format_decimal(self.cash)},
            "positions": [
                {"symbol": p.symbol, "qty": str(p.qty), "avg_entry_price": str(p.avg_entry_price)}
                for p in self.positions.values()
            ],
            "pending_proceeds": [[at, format_decimal(amount)] for at, amount in self.pending_proceeds],
        }

    @property
    def account_id(self) -> str:
        """ID of the account, which follows from its number."""
        return identifier("account", self.account.account_number)

    def qty(self, symbol: str) -> Decimal:
        """Return the shares held, negative if short."""
        position = self.positions.get(symbol)
        return position.qty if position else ZERO

    def buy(self, symbol: str, qty: Decimal, price: Decimal) -> None:
        """Record a buy: cash decreases, the position and its average cost change."""
        self.cash -= qty * price
        self._change(symbol, qty, price)

    def sell(self, symbol: str, qty: Decimal, price: Decimal, now: int) -> None:
        """Record a sale. The proceeds become visible after the account's lag."""
        self.cash += qty * price
        self._change(symbol, -qty, price)
        if lag := duration(self.account.proceeds_lag_seconds):
            self.pending_proceeds.append((now + lag, qty * price))

    def _change(self, symbol: str, qty: Decimal, price: Decimal) -> None:
        """Add shares, which are negative for a sale. Only shares that open or enlarge a position change its cost."""
        position = self.positions.setdefault(symbol, Position(symbol, ZERO, ZERO))
        before = position.qty
        position.qty = after = before + qty
        if not after:
            del self.positions[symbol]
        elif before * qty >= 0:
            position.avg_entry_price = (before * position.avg_entry_price + qty * price) / after
        elif before * after < 0:  # from long to short, or back
            position.avg_entry_price = price

    def balance(self, quotes: Mapping[str, Quote], held: Decimal) -> Balance:
        """Return cash, pending proceeds and the value of the positions, at their last price, or at cost without one.

        Args:
            quotes: current quotes by symbol.
            held: dollars reserved for open buys.
        """
        values = [p.qty * _price_or_cost(p, quotes.get(p.symbol)) for p in self.positions.values()]
        short = sum([value for value in values if value.is_signed()], ZERO)
        long = sum(values, -short)
        return Balance(self.cash, tuple(self.pending_proceeds), long, short, held)

    def _forget_visible_proceeds(self, now: int) -> None:
        if self.pending_proceeds:
            self.pending_proceeds = [(at, amount) for at, amount in self.pending_proceeds if at > now]

    def buying_power(self, now: int, quotes: Mapping[str, Quote], held: Decimal) -> Decimal:
        """Return the dollars available for new buys; see :meth:`Balance.buying_power`."""
        self._forget_visible_proceeds(now)
        return self.balance(quotes, held).buying_power(now, self.account.multiplier)

    def spendable_json(self, balance: Balance, now: int) -> JsonObject:
        """Return cash and buying power as in ``GET /v2/account``."""
        cash = balance.visible_cash(now)
        buying_power = format_decimal(max(balance.buying_power(now, self.account.multiplier), ZERO))
        return {
            "cash": format_decimal(cash),
            "buying_power": buying_power,
            "effective_buying_power": buying_power,
            "regt_buying_power": buying_power,
            "non_marginable_buying_power": format_decimal(max(cash - balance.held, ZERO)),
        }

    def account_json(self, now: int, quotes: Mapping[str, Quote], held: Decimal) -> JsonObject:
        """Return the body of ``GET /v2/account``; ``held`` is the dollars reserved for open buys."""
        self._forget_visible_proceeds(now)
        account, balance = self.account, self.balance(quotes, held)
        long, short, value = balance.long, balance.short, balance.long + balance.short
        last_value = sum((p.qty * _previous_price(p, quotes.get(p.symbol)) for p in self.positions.values()), ZERO)
        margin = format_decimal((long - short) / Decimal(account.multiplier))
        return {
            "id": self.account_id,
            "account_number": account.account_number,
            "status": account.status,
            "currency": "USD",
            **self.spendable_json(balance, now),
            "options_buying_power": "0",
            "equity": format_decimal(self.cash + value),
            "last_equity": format_decimal(self.cash + last_value),
            "portfolio_value": format_decimal(self.cash + value),
            "long_market_value": format_decimal(long),
            "position_market_value": format_decimal(value),
            "short_market_value": format_decimal(short),
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


def percentage_of(shares: Decimal, percentage: str) -> Decimal:
    """Return a percentage of a position, truncated to nine decimals, or to whole shares if the position is whole.

    Raises:
        BrokerError: 422 if the percentage is not a number above 0 and up to 100.
    """
    try:
        percent = Decimal(percentage)
    except ArithmeticError as error:
        raise malformed("percentage is not a number") from error
    if not 0 < percent <= 100:
        raise malformed("percentage must be above 0 and at most 100")
    part = floor_shares(shares * percent / 100)
    return part // ONE if shares == shares.to_integral_value() else part


def _price_or_cost(position: Position, quote: Quote | None) -> Decimal:
    return quote.last if quote and quote.last else position.avg_entry_price


def _previous_price(position: Position, quote: Quote | None) -> Decimal:
    return quote.prev_close if quote and quote.prev_close else position.avg_entry_price
