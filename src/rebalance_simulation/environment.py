"""Events outside the program, during its runs or between them: others trade, markets move, services fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_simulation import generators
from rebalance_simulation.faults import EnvironmentEvent
from rebalance_simulation.person import Person
from rebalance_simulation.world import World

TRADES_OF_A_PERSON = (
    EnvironmentEvent.POSITION_CLOSED,
    EnvironmentEvent.POSITION_HALVED,
    EnvironmentEvent.CASH_SPENT,
    EnvironmentEvent.POSITION_OPENED,
)


class Environment:
    """Events that change a world.

    Args:
        world: the world that the events change.
        rng: the history's random numbers.
        kinds: events that are possible in this history.
    """

    def __init__(self, world: World, rng: Random, kinds: Sequence[EnvironmentEvent]) -> None:
        self._world = world
        self._rng = rng
        self._kinds = kinds
        self._symbols = tuple(world.scenario["quotes"])
        self._person = Person(world, rng)
        self._actions: dict[EnvironmentEvent, Callable[[], None]] = {
            EnvironmentEvent.FOREIGN_ORDER: self._foreign_order,
            EnvironmentEvent.BROKER_ENDS: self._broker_ends,
            EnvironmentEvent.BROKER_FILLS: self._broker_fills,
            EnvironmentEvent.MARKET_MOVES: self._market_moves,
            EnvironmentEvent.NO_QUOTE: self._no_quote,
            EnvironmentEvent.HALT: lambda: self._halt(self._rng.choice(self._symbols)),
            EnvironmentEvent.RECORD_DELETED: self._world.records.stored.clear,
            EnvironmentEvent.RECORD_EXPIRED: self._expire_records,
            EnvironmentEvent.BROKER_DOWN: lambda: self._take_down("broker"),
            EnvironmentEvent.DATABASE_DOWN: lambda: self._take_down("database"),
            EnvironmentEvent.KILL_SWITCH: lambda: self._set_switch(self._rng.choice(tuple(TradingState))),
            EnvironmentEvent.ACCOUNT_BLOCKED: self._block_account,
            EnvironmentEvent.LONG_PAUSE: self._pause,
            EnvironmentEvent.POSITION_CLOSED: lambda: self._person.sell(Decimal(1)),
            EnvironmentEvent.POSITION_HALVED: lambda: self._person.sell(Decimal("0.5")),
            EnvironmentEvent.CASH_SPENT: lambda: self._person.spend(Decimal(1)),
            EnvironmentEvent.POSITION_OPENED: lambda: self._person.spend(Decimal("0.3")),
            EnvironmentEvent.FLAGS_CHANGED: self._change_flags,
            EnvironmentEvent.OWN_ORDER_CHANGED: self._change_own_order,
            EnvironmentEvent.PLAN_REPLACED: self._replace_plan,
        }

    def apply_random(self) -> None:
        """Apply a random one of the possible events, if any is possible."""
        if self._kinds:
            self.apply(self._rng.choice(self._kinds))

    def apply(self, kind: EnvironmentEvent) -> None:
        """Apply this event. A pause of days is skipped during an invocation."""
        if kind is EnvironmentEvent.LONG_PAUSE and self._world.stack:
            return
        self._world.event_counts[kind] += 1
        self._world.log.append(0, f"~ {kind}", {})
        self._actions[kind]()

    def apply_trade(self) -> None:
        """Let the person trade."""
        self.apply(self._rng.choice(TRADES_OF_A_PERSON))

    def set_kill_switch(self) -> None:
        """Let an operator set the kill switch, if that is possible. It must be respected within a second."""
        if EnvironmentEvent.KILL_SWITCH in self._kinds:
            self.apply(EnvironmentEvent.KILL_SWITCH)

    def delete_records(self) -> None:
        """Delete the idempotency records at random, if that is possible, so that the next delivery runs the plan."""
        if EnvironmentEvent.RECORD_DELETED in self._kinds and self._rng.random() < 0.5:
            self.apply(EnvironmentEvent.RECORD_DELETED)

    def restore(self) -> None:
        """Undo every event that can be undone."""
        self._world.exchange.merge(
            {
                "account": {"trading_blocked": False},
                "assets": [{"symbol": symbol, "halted": False} for symbol in self._symbols],
                "default_fill": {"behaviour": "marketable"},
                "fills": [],
            }
        )
        for symbol in self._world.flags_withdrawn_until:
            self._restore_flags(symbol)
        if any(self._world.ledger.kill_switch(account).at is not None for account in self._world.accounts):
            self._set_switch(TradingState.ACTIVE)

    # --- events ------------------------------------------------------------------------------------------

    def _replace_plan(self) -> None:
        """Write tomorrow's plan to the object that holds today's, or delete that object."""
        if keys := self._world.plan_store.executed_keys:
            if self._rng.random() < 0.5:
                with_versions = self._rng.random() < 0.5
                self._world.plan_store.delete(self._rng.choice(keys), with_versions=with_versions)
                return
            body = generators.plan(
                "tomorrow", [generators.item(self._symbols[0], "BUY", 55)], self._world.clock.world()
            )
            self._world.plan_store.put(self._rng.choice(keys), body)

    def _foreign_order(self) -> None:
        self._person.trade(self._rng.choice(self._symbols), self._rng.choice(("buy", "sell")), Decimal(1))

    def _broker_ends(self) -> None:
        self._world.exchange.advance()
        for order in self._world.checker.orders():
            if order.is_open:
                self._world.exchange.force_end(order.id, self._rng.choice(("canceled", "expired")))
                return

    def _broker_fills(self) -> None:
        self._world.exchange.advance()
        for order in self._world.checker.orders():
            if order.is_open:
                try:
                    self._world.exchange.force_fill(order.id)
                except ValueError:  # the order does not work at the exchange yet
                    continue
                return

    def _market_moves(self) -> None:
        symbol = self._rng.choice(self._symbols)
        quote = self._world.exchange.latest_quotes([symbol])["quotes"][symbol]
        tick_size = Decimal(self._asset(symbol).get("tick_size", "0.01"))
        self._world.exchange.merge({"quotes": {symbol: generators.moved_quote(quote, tick_size, self._rng)}})

    def _no_quote(self) -> None:
        symbol = self._rng.choice(self._symbols)
        quote = self._world.exchange.latest_quotes([symbol])["quotes"][symbol]
        bid = quote["bp"] or quote["ap"]
        unusable = self._rng.choice(({"bid": str(bid), "ask": "0"}, {"bid": str(bid), "ask": str(bid / 2)}))
        self._world.exchange.merge({"quotes": {symbol: unusable}})

        def restore_quote() -> None:
            self._world.exchange.merge({"quotes": {symbol: {"bid": str(bid), "ask": str(bid)}}})

        self._call_later(restore_quote, (1, 3, 60))

    def _call_later(self, action: Callable[[], None], delays: Sequence[int]) -> None:
        """Schedule ``action`` after one of these delays, in seconds."""
        self._world.clock.call_later(timedelta(seconds=self._rng.choice(delays)), action)

    def _halt(self, symbol: str) -> None:
        self._merge_and_restore(
            {"assets": [{"symbol": symbol, "halted": True}]}, {"assets": [{"symbol": symbol, "halted": False}]}
        )

    def _block_account(self) -> None:
        self._merge_and_restore({"account": {"trading_blocked": True}}, {"account": {"trading_blocked": False}})

    def _merge_and_restore(self, change: dict[str, object], restored: dict[str, object]) -> None:
        self._world.exchange.merge(change)
        self._call_later(lambda: self._world.exchange.merge(restored), (3, 60, 900))

    def _expire_records(self) -> None:
        for stored in self._world.records.stored.values():
            stored.expires_at = self._world.clock.now()

    def _pause(self) -> None:
        self._world.clock.advance(timedelta(days=self._rng.choice((1, 5, 60))))

    def _take_down(self, service: str) -> None:
        self._world.down_until[service] = self._world.clock.world() + timedelta(seconds=self._rng.choice((3, 20, 100)))

    def _set_switch(self, state: TradingState) -> None:
        switch = KillSwitchRecord(state, by="an operator", reason="simulated", at=self._world.clock.now())
        for account in self._world.accounts:
            self._world.ledger.set_kill_switch(account, switch)

    def _change_flags(self) -> None:
        symbol, delay = self._rng.choice(self._symbols), timedelta(seconds=self._rng.choice((3, 60, 900)))
        change = {"tradable": False} if self._rng.random() < 0.5 else {"fractionable": False}
        self._world.exchange.merge({"assets": [{"symbol": symbol, **change}]})
        self._world.flags_withdrawn_until[symbol] = self._world.clock.world() + delay
        self._world.clock.call_later(delay, lambda: self._restore_flags(symbol))

    def _asset(self, symbol: str) -> dict[str, Any]:
        """Return the asset as the scenario describes it."""
        return next((asset for asset in self._world.scenario.get("assets", ()) if asset["symbol"] == symbol), {})

    def _restore_flags(self, symbol: str) -> None:
        """Give the asset back the flags of the scenario."""
        fractionable = self._asset(symbol).get("fractionable", True)
        self._world.exchange.merge({"assets": [{"symbol": symbol, "tradable": True, "fractionable": fractionable}]})
        until = self._world.flags_withdrawn_until[symbol]
        self._world.flags_withdrawn_until[symbol] = min(until, self._world.clock.world())

    def _change_own_order(self) -> None:
        """Rename or resize one of the program's live orders, as after a corporate action."""
        for order in self._world.checker.orders():
            if order.is_open and order.qty is not None:
                change = {"symbol": f"{order.symbol}.N"} if self._rng.random() < 0.5 else {"qty": str(order.qty * 2)}
                self._world.broker.view.changed[order.client_order_id] = change
                return
