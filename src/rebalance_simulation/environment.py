"""What happens in the world while the program works, or between its runs: others trade, markets move, tables fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random

from paper_broker.errors import BrokerError
from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_simulation import generators
from rebalance_simulation.faults import EnvironmentEvent
from rebalance_simulation.world import World


class Environment:
    """Lets things happen.

    Args:
        world: where.
        chance: the history's randomness.
        kinds: what can happen.
    """

    def __init__(self, world: World, chance: Random, kinds: Sequence[EnvironmentEvent]) -> None:
        self._world = world
        self._chance = chance
        self._kinds = kinds
        self._symbols = tuple(world.scenario["quotes"])
        self.happened: Counter[str] = Counter()
        self._ways: dict[EnvironmentEvent, Callable[[], None]] = {
            EnvironmentEvent.FOREIGN_ORDER: self._foreign_order,
            EnvironmentEvent.BROKER_ENDS: self._broker_ends,
            EnvironmentEvent.BROKER_FILLS: self._broker_fills,
            EnvironmentEvent.MARKET_MOVES: self._market_moves,
            EnvironmentEvent.NO_QUOTE: self._no_quote,
            EnvironmentEvent.HALT: lambda: self._halt(self._chance.choice(self._symbols)),
            EnvironmentEvent.RECORD_LOST: self._world.records.stored.clear,
            EnvironmentEvent.RECORD_EXPIRED: self._expire_records,
            EnvironmentEvent.BROKER_DOWN: lambda: self._take_down("broker"),
            EnvironmentEvent.DATABASE_DOWN: lambda: self._take_down("database"),
            EnvironmentEvent.KILL_SWITCH: self._set_switch,
            EnvironmentEvent.ACCOUNT_BLOCKED: self._block_account,
            EnvironmentEvent.LONG_PAUSE: lambda: self._world.clock.sleep(
                timedelta(days=self._chance.choice((1, 5, 60)))
            ),
        }

    def one(self) -> None:
        """Let one of the possible things happen, if any."""
        if self._kinds:
            self.happen(self._chance.choice(self._kinds))

    def happen(self, kind: EnvironmentEvent) -> None:
        """Let this happen."""
        if kind is EnvironmentEvent.LONG_PAUSE and self._world.stack:
            return  # nothing pauses for days in the middle of an invocation
        self.happened[kind] += 1
        self._world.log.tell(0, f"~ {kind}", {})
        self._ways[kind]()

    def set_kill_switch(self) -> None:
        """Let a person halt or resume the account, where that can happen: it must be heeded within a second."""
        if EnvironmentEvent.KILL_SWITCH in self._kinds:
            self.happen(EnvironmentEvent.KILL_SWITCH)

    def lose_records(self) -> None:
        """Empty the front door's table, where that can happen: what comes meets the run that is interrupted."""
        if EnvironmentEvent.RECORD_LOST in self._kinds and self._chance.random() < 0.5:
            self.happen(EnvironmentEvent.RECORD_LOST)

    def undo(self) -> None:
        """Everything that can be mended is mended."""
        self._world.exchange.merge(
            {
                "account": {"trading_blocked": False},
                "assets": [{"symbol": symbol, "halted": False} for symbol in self._symbols],
                "default_fill": {"behaviour": "marketable"},
                "fills": [],
            }
        )
        if self._world.ledger.switch("default").at is not None:
            self._switch(TradingState.ACTIVE)

    # --- the kinds ---------------------------------------------------------------------------------------

    def _foreign_order(self) -> None:
        body = {
            "symbol": self._chance.choice(self._symbols),
            "qty": "1",
            "side": self._chance.choice(("buy", "sell")),
            "type": "market",
            "time_in_force": "day",
        }
        try:
            self._world.exchange.submit_order(body)
        except BrokerError:
            return

    def _broker_ends(self) -> None:
        self._world.exchange.advance()
        for order in self._world.checker.orders():
            if order.is_open:
                self._world.exchange.force_end(order.id, self._chance.choice(("canceled", "expired")))
                return

    def _broker_fills(self) -> None:
        self._world.exchange.advance()
        for order in self._world.checker.orders():
            if order.is_open:
                try:
                    self._world.exchange.force_fill(order.id)
                except ValueError:  # it is not working yet
                    continue
                return

    def _market_moves(self) -> None:
        symbol = self._chance.choice(self._symbols)
        told = self._world.exchange.latest_quotes([symbol])["quotes"][symbol]
        self._world.exchange.merge({"quotes": {symbol: generators.moved(told, self._chance)}})

    def _no_quote(self) -> None:
        symbol = self._chance.choice(self._symbols)
        told = self._world.exchange.latest_quotes([symbol])["quotes"][symbol]
        bid = told["bp"] or told["ap"]
        broken = self._chance.choice(({"bid": str(bid), "ask": "0"}, {"bid": str(bid), "ask": str(bid / 2)}))
        self._world.exchange.merge({"quotes": {symbol: broken}})

        def mend() -> None:
            self._world.exchange.merge({"quotes": {symbol: {"bid": str(bid), "ask": str(bid)}}})

        self._later(mend, (1, 3, 60))

    def _later(self, mend: Callable[[], None], seconds: Sequence[int]) -> None:
        self._world.clock.later(timedelta(seconds=self._chance.choice(seconds)), mend)

    def _halt(self, symbol: str) -> None:
        self._world.exchange.merge({"assets": [{"symbol": symbol, "halted": True}]})
        self._later(lambda: self._world.exchange.merge({"assets": [{"symbol": symbol, "halted": False}]}), (3, 60, 900))

    def _block_account(self) -> None:
        self._world.exchange.merge({"account": {"trading_blocked": True}})
        self._later(lambda: self._world.exchange.merge({"account": {"trading_blocked": False}}), (3, 60, 900))

    def _expire_records(self) -> None:
        for stored in self._world.records.stored.values():
            stored.expires_at = self._world.clock.now()

    def _take_down(self, what: str) -> None:
        self._world.down[what] = self._world.clock.world() + timedelta(seconds=self._chance.choice((3, 20, 100)))

    def _set_switch(self) -> None:
        self._switch(self._chance.choice(tuple(TradingState)))

    def _switch(self, state: TradingState) -> None:
        switch = KillSwitchRecord(state, by="a person", reason="simulated", at=self._world.clock.now())
        self._world.ledger.set_kill_switch("default", switch)
