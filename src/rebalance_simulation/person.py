"""A person who trades on the same account, with orders that fill at once."""

from __future__ import annotations

from contextlib import suppress
from decimal import ROUND_DOWN, Decimal
from random import Random

from paper_broker.errors import BrokerError
from rebalance_simulation.world import World

_SHARES = Decimal("0.0001")
_CASH_SHARE = Decimal("0.999")
"""Part of the buying power that one order spends: its price may move by a tick."""


class Person:
    """Trades of a person on the world's account.

    Args:
        world: the world with the account.
        rng: the history's random numbers.
    """

    def __init__(self, world: World, rng: Random) -> None:
        self._world = world
        self._rng = rng

    def sell(self, part: Decimal) -> None:
        """Sell this part of a position, as far as no open order holds its shares."""
        positions = self._world.exchange.positions()
        if positions:
            position = self._rng.choice(positions)
            available = Decimal(position["qty_available"])
            self.trade(position["symbol"], "sell", min(available, Decimal(position["qty"]) * part))

    def spend(self, part: Decimal) -> None:
        """Spend this part of the buying power on one symbol: more than the cash where margin allows."""
        symbol = self._rng.choice(tuple(self._world.scenario["quotes"]))
        ask = Decimal(str(self._world.exchange.latest_quotes([symbol])["quotes"][symbol]["ap"]))
        buying_power = Decimal(self._world.exchange.account()["buying_power"])
        if ask:
            self.trade(symbol, "buy", buying_power * part * _CASH_SHARE / ask, limit=ask)

    def trade(self, symbol: str, side: str, shares: Decimal, limit: Decimal | None = None) -> None:
        """Trade these shares at once, if the broker accepts the order."""
        qty = shares.quantize(_SHARES, rounding=ROUND_DOWN)
        if not self._is_fractionable(symbol):
            qty = qty.quantize(Decimal(1), rounding=ROUND_DOWN)
        if not qty:
            return
        price = {"type": "market"} if limit is None else {"type": "limit", "limit_price": str(limit)}
        body = {"symbol": symbol, "qty": str(qty), "side": side, "time_in_force": "day", **price}
        exchange = self._world.exchange
        with suppress(BrokerError):
            order = exchange.submit_order(body)
            exchange.advance()
            with suppress(ValueError):  # closed already, or not working yet
                exchange.force_fill(order["id"])

    def _is_fractionable(self, symbol: str) -> bool:
        return bool(self._world.exchange.asset(symbol)["fractionable"])
