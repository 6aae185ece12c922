"""Invariants of the account over all its plans: its cash, its positions, its name, what a new order may commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from paper_broker.orders import Order
from rebalance_executor.domain.market import ZERO, Side
from rebalance_executor.domain.styles import OrderStyle
from rebalance_simulation.calls import Submission
from rebalance_simulation.violation import Violation
from rebalance_simulation.world_view import WorldView

PREFIX = "rb1-"
"""Beginning of the client order IDs of this program's orders."""
_READING = timedelta(seconds=2)
"""Age up to which the reading of cash and positions behind an order may miss the trade of a person."""


PlanKey = tuple[str, str]
"""Account and plan ID."""


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution. ``plan`` is None if its order is not this program's."""

    plan: PlanKey | None
    at: datetime
    symbol: str
    side: str
    qty: Decimal
    value: Decimal


class AccountInvariants:
    """Checks of the broker account, whatever plan its orders belong to.

    Args:
        world: the world to check. Every check raises ``Violation`` if an invariant is broken.
        plan_of: returns the plan of a client order ID.
    """

    def __init__(self, world: WorldView, plan_of: Callable[[str], PlanKey | None]) -> None:
        self._world = world
        self._plan_of = plan_of
        config = world.config
        self._is_bounded = config.order_style is not OrderStyle.MARKET and not config.last_rung_market
        """True if every order has a limit. The price of others is bounded only by the broker."""
        self._activities_seen = 0
        self._account: str | None = None
        """The name under which the first order arrived."""
        self._fills: list[Fill] = []
        """All executions, oldest first."""
        account = world.exchange.account_settings
        self._cash_lag = timedelta(seconds=account.account_lag_seconds)
        self._positions_lag = timedelta(seconds=account.positions_lag_seconds)

    @property
    def foreign_fills(self) -> Iterable[Fill]:
        """Executions of others."""
        return (fill for fill in self._fills if fill.plan is None)

    def fills_beside(self, plan: PlanKey, is_unresolved: Callable[[PlanKey, str], bool]) -> Iterable[Fill]:
        """Return the executions of others, and of earlier orders of this program whose end was not known."""
        for fill in self._fills:
            if fill.plan is None or (fill.plan != plan and is_unresolved(fill.plan, fill.symbol)):
                yield fill

    # --- exchange ----------------------------------------------------------------------------------------

    def check_arrival(self, account: str) -> None:
        """Check that all orders at the broker belong to one account name."""
        if self._account not in (None, account):
            raise Violation(f"orders of {self._account} and of {account} reached the same broker account")
        self._account = account

    def check_balances(self) -> None:
        """Check that cash and positions are not negative, except for what others bought or sold.

        What the account shows late, a plan may spend twice: then nothing is checked here, but at each submission.
        """
        self._note_fills()
        ledger = self._world.exchange._ledger  # noqa: SLF001 - read only
        if self._is_bounded and not self._cash_lag and ledger.cash < 0:
            foreign = sum((fill.value for fill in self.foreign_fills if fill.side == Side.BUY), ZERO)
            if ledger.cash < -foreign:
                raise Violation(f"cash is {ledger.cash}; others bought for {foreign}")
        for symbol, position in ledger.positions.items():
            if position.qty < 0 and not self._positions_lag:
                sold = sum((f.qty for f in self.foreign_fills if (f.symbol, f.side) == (symbol, Side.SELL)), ZERO)
                if position.qty < -sold:
                    raise Violation(f"the position of {symbol} is {position.qty}; others sold {sold}")

    def _note_fills(self) -> None:
        activities = self._world.exchange._lifecycle.activities  # noqa: SLF001 - read only
        by_id = self._world.exchange._orders.by_id  # noqa: SLF001 - read only
        for fill in activities[self._activities_seen :]:
            plan = self._plan_of(by_id[fill["order_id"]].client_order_id)
            at, qty = datetime.fromisoformat(fill["transaction_time"]), Decimal(fill["qty"])
            self._fills.append(Fill(plan, at, fill["symbol"], fill["side"], qty, qty * Decimal(fill["price"])))
        self._activities_seen = len(activities)

    # --- submissions -------------------------------------------------------------------------------------

    def check_commitment(self, order: Submission) -> None:
        """Check an order before it is sent: cash or shares really cover it, together with the open own orders.

        Trades of a person, and those of other plans where the account shows them late, count as if they had not
        happened if they are younger than the reading may be old.
        """
        self._note_fills()
        qty, client_order_id = Decimal(order["qty"]), order["client_order_id"]
        if client_order_id in self._world.exchange._orders.by_client_order_id:  # noqa: SLF001 - read only
            return  # a repetition of an order that is there: the broker rejects it
        if order["side"] == Side.SELL:
            self._check_shares(order["symbol"], qty, client_order_id)
        elif order["type"] == "market":
            self._is_bounded = False
        elif self._is_bounded:
            self._check_cash(qty * Decimal(order["limit_price"]), client_order_id)

    def _check_cash(self, cost: Decimal, client_order_id: str) -> None:
        committed = sum((o.held_cash for o in self._open_own_orders(Side.BUY, client_order_id)), ZERO)
        cash = self._world.exchange._ledger.cash  # noqa: SLF001 - read only
        unread = sum((fill.value for fill in self._unread(Side.BUY, self._cash_lag, client_order_id)), ZERO)
        if committed + cost > cash + unread:
            raise Violation(f"{client_order_id} commits {committed + cost} dollars, the account has {cash}")

    def _check_shares(self, symbol: str, qty: Decimal, client_order_id: str) -> None:
        open_orders = self._open_own_orders(Side.SELL, client_order_id)
        committed = sum((order.held_qty for order in open_orders if order.symbol == symbol), ZERO)
        held = self._world.exchange._ledger.qty(symbol)  # noqa: SLF001 - read only
        fills = self._unread(Side.SELL, self._positions_lag, client_order_id)
        unread = sum((fill.qty for fill in fills if fill.symbol == symbol), ZERO)
        if committed + qty > held + unread:
            raise Violation(f"{client_order_id} commits {committed + qty} shares of {symbol}, the account has {held}")

    def _open_own_orders(self, side: Side, besides: str) -> list[Order]:
        orders = self._world.exchange._orders.open.values()  # noqa: SLF001 - read only
        own = (order for order in orders if order.client_order_id.startswith(PREFIX))
        return [order for order in own if order.side == side and order.client_order_id != besides]

    def _unread(self, side: Side, lag: timedelta, client_order_id: str) -> list[Fill]:
        now, plan = self._world.clock.world(), self._plan_of(client_order_id)
        since = now - lag - _READING
        since_own = since if lag else now
        return [
            fill
            for fill in self._fills
            if fill.side == side and fill.plan != plan and fill.at > (since if fill.plan is None else since_own)
        ]
