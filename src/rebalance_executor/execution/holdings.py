"""Cash and positions of the account: what the latest readings allow the next orders to spend and to sell.

A reading that is too old for the next order is taken again: a person may trade on the same account. The broker's fields
lag behind fills, so no single reading is trusted: one that shows more than the readings before needs a reason, and an
item ends for a shortage only if two readings, a tick apart, show it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from rebalance_executor.domain.cash import committed, funds, proceeds, spendable, spent
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.market import ZERO, Account, Position, Side
from rebalance_executor.domain.orders import ChildOrder, ParentOrder
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.ports import Broker, Clock

ROUND_TRIP = timedelta(seconds=1)
"""Time that an order may take to the broker, in addition to the age of its quote and of its reading."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Dollars or shares that an order may use, and whether a shortage is confirmed by a second reading."""

    amount: Decimal
    is_confirmed: bool = True


NOTHING = Limit(ZERO, is_confirmed=False)
"""The limit before anything is read."""


@dataclass(slots=True)
class _Gauge:
    """Amount that the readings of cash or of one position prove, with what this plan used before added back.

    Without trades of others it grows by proceeds alone. A reading that lacks an own fill is too high, and so is every
    later one that lacks the next: a rise counts as far as new proceeds explain it, or the reading cannot lack a fill.
    Proceeds that a reading does not show explain no later rise: others may have spent as much.
    """

    read_at: datetime | None = None
    """Time of the latest reading; None before the first."""
    latest: Decimal = ZERO
    """The latest reading, proven or not."""
    proven: Decimal = ZERO
    short_since: datetime | None = None
    """Time of the first reading in a row that shows a shortage."""
    _received: Decimal = ZERO
    """Proceeds that were reported before the latest reading."""
    _early: Decimal = ZERO
    """Dollars by which readings rose before proceeds were reported."""

    def add(self, at: datetime, shown: Decimal, recent: Decimal, received: Decimal = ZERO) -> None:
        """Add a reading.

        Args:
            at: time at which it was asked for.
            shown: what it shows, with all that the plan used before.
            recent: the part of that which is so recent that the reading may lack it.
            received: proceeds that the plan reported before.
        """
        if self.read_at is None:
            self.proven = shown  # of nothing earlier
        else:
            before, new = self.proven, received - self._received - self._early
            self.proven = max(min(shown, before + max(new, ZERO)), shown - recent)
            self._early = max(max(self.proven - before, ZERO) - new, ZERO)
        self.read_at, self.latest, self._received = at, shown, received

    def left(self, used: Decimal) -> Decimal:
        """Return what is left after ``used``."""
        return self.proven - used

    def limit(self, used: Decimal, needed: Decimal, tick: timedelta) -> Limit:
        """Return what is left after ``used``; a shortage of ``needed`` is confirmed if it lasted for a tick."""
        if self.read_at is None:
            return NOTHING
        if self.latest - used >= needed:
            self.short_since = None
        elif self.short_since is None:
            self.short_since = self.read_at
        amount = self.left(used)
        is_confirmed = self.short_since is not None and self.read_at - self.short_since >= tick
        return Limit(amount, is_confirmed or amount >= needed)


class Holdings:
    """Readings of one account in one run.

    Args:
        broker: the account at the broker.
        clock: the time.
        config: the age of a reading, the lag of the broker's fields, and the time between two readings.
        at_most: dollars that an earlier plan of the same invocation left; the account may not show its fills yet.
    """

    def __init__(self, broker: Broker, clock: Clock, config: ExecutionConfig, at_most: Decimal | None = None) -> None:
        self._broker = broker
        self._clock = clock
        self._config = config
        self._lag = seconds(config.proceeds_wait_seconds)
        self._tick = seconds(config.tick_seconds)
        self.at_most = at_most
        """Dollars that an earlier plan of the same invocation left; None if it read no cash."""
        self.reserved = ZERO
        """Dollars that open orders of earlier plans may still spend: their cancels were never confirmed."""
        self.left: Decimal | None = None
        """Dollars that the plan left at its end; None if it read no cash."""
        self._cash = _Gauge()
        self._shares: dict[str, _Gauge] = {}

    # --- readings ----------------------------------------------------------------------------------------

    def read_account(self, parents: Collection[ParentOrder]) -> Account:
        """Read the account and return it; ``parents`` are those of the plan, as the broker last reported them."""
        now, account = self._clock.now(), self._broker.account()
        self.note_account(account, now, parents)
        return account

    def note_account(self, account: Account, asked_at: datetime, parents: Collection[ParentOrder] = ()) -> None:
        """Note a reading of the account that was asked for at this time."""
        own = replace(account, cash=account.cash - self.reserved)
        shown = spendable(own, parents, self._config) + spent(parents)
        buys = (parent for parent in parents if parent.side is Side.BUY)
        recent = (c.filled_qty * (c.filled_avg_price or ZERO) for c in self._recent(buys, asked_at))
        self._cash.add(asked_at, shown, sum(recent, ZERO), proceeds(parents))

    def read_total(self, parents: Collection[ParentOrder]) -> Decimal:
        """Read the account; return the dollars that it shows for all buys, what they have spent included."""
        self.read_account(parents)
        return self._cash.latest

    def latest_total(self, parents: Collection[ParentOrder]) -> Decimal:
        """Return the dollars of ``read_total`` by the latest reading; read the account if that is not recent."""
        self.refresh_account(parents)
        return self._cash.latest

    def read_positions(self, symbols: Collection[str], parents: Iterable[ParentOrder]) -> Mapping[str, Position]:
        """Read the positions in these symbols and return them; a symbol without a position is absent."""
        now, positions = self._clock.now(), self._broker.positions(symbols)
        self.note_positions(positions, now, symbols, parents)
        return positions

    def note_positions(
        self,
        positions: Mapping[str, Position],
        asked_at: datetime,
        symbols: Collection[str],
        parents: Iterable[ParentOrder] = (),
    ) -> None:
        """Note a reading of the positions in these symbols that was asked for at this time."""
        sells = {parent.symbol: parent for parent in parents}
        for symbol in symbols:
            position = positions.get(symbol)
            held = max(position.qty, ZERO) if position is not None else ZERO
            own = [sells[symbol]] if symbol in sells else []
            recent = sum((child.filled_qty for child in self._recent(own, asked_at)), ZERO)
            shown = held + sum((sell.filled_qty for sell in own), ZERO)
            self._shares.setdefault(symbol, _Gauge()).add(asked_at, shown, recent)

    def _recent(self, parents: Iterable[ParentOrder], asked_at: datetime) -> Iterable[ChildOrder]:
        """Yield the children with a fill that a reading which was asked for at this time may lack."""
        since = asked_at - self._lag
        children = (child for parent in parents for child in parent.children)
        return (child for child in children if child.fill_seen_at is not None and child.fill_seen_at > since)

    def funds(self, account: Account) -> Decimal:
        """Return the dollars of an account that the plan may spend, without those that earlier orders may still."""
        return funds(replace(account, cash=account.cash - self.reserved))

    def starting_funds(self, account: Account) -> Decimal:
        """Return the dollars that a plan may spend when it starts, also if the account lags behind an earlier plan."""
        return self.funds(account) if self.at_most is None else min(self.funds(account), self.at_most)

    def end_plan(self, state: PlanState, parents: Collection[ParentOrder]) -> None:
        """Note what the plan leaves, for the next plan of the same invocation.

        Its funds at the start + proceeds count if no reading followed the last sell: no buy was left for the cash gate.
        """
        if self._cash.read_at is not None:
            used = committed(parents, self._config.widest_collar)
            expected = state.starting_funds + proceeds(parents)
            self.left = expected - used if state.buy_funds is None else self._cash.left(used)

    def refresh_account(self, parents: Collection[ParentOrder]) -> None:
        """Read the account again unless the latest reading is recent."""
        if self._is_old(self._cash):
            self.read_account(parents)

    def refresh_positions(self, sells: Collection[ParentOrder]) -> None:
        """Read the positions of these sells again, all together, unless the latest readings are recent."""
        if any(self._is_old(self._shares.get(sell.symbol)) for sell in sells):
            self.read_positions([sell.symbol for sell in sells], sells)

    def _is_old(self, gauge: _Gauge | None) -> bool:
        if gauge is None or gauge.read_at is None:
            return True
        return self._clock.now() - gauge.read_at > seconds(self._config.account_refresh_seconds)

    # --- limits ------------------------------------------------------------------------------------------

    def covers_until(self, parent: ParentOrder) -> datetime:
        """Return the time after which the latest reading is too old for an order of this parent."""
        gauge = self._cash if parent.side is Side.BUY else self._shares.get(parent.symbol)
        read_at = None if gauge is None else gauge.read_at
        return (read_at or self._clock.now()) + seconds(self._config.account_refresh_seconds) + ROUND_TRIP

    def covers(self, parents: Iterable[ParentOrder]) -> bool:
        """Return whether the account has the cash for every open buy of the plan."""
        return self._cash.left(committed(parents, self._config.widest_collar)) >= 0

    def cash(self, parents: Iterable[ParentOrder], needed: Decimal) -> Limit:
        """Return the dollars that new buys may commit.

        Args:
            parents: all parents of the plan; their open buys count as spent.
            needed: dollars that the buys want to commit; less is a shortage.
        """
        return self._cash.limit(committed(parents, self._config.widest_collar), needed, self._tick)

    def shares(self, sell: ParentOrder) -> Limit:
        """Return the shares that the account holds for a sell that has no open child at the broker."""
        gauge = self._shares.get(sell.symbol)
        return gauge.limit(sell.filled_qty, sell.remaining, self._tick) if gauge is not None else NOTHING
