"""One history: a world, plans, deliveries and faults drawn from a seed; then calm, in which everything must end."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from paper_broker.errors import BrokerError
from rebalance_executor.domain.book import Switch, SwitchState
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import InvalidInput, OverfillGuard, Redeliver
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.testkit.clock import BEGIN
from rebalance_executor.testkit.faults import Crossing, swarm
from rebalance_executor.testkit.faults import World as Happening
from rebalance_executor.testkit.invariants import LIVE, Violation
from rebalance_executor.testkit.world import Delivery, World

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
MOST_DELIVERIES = 6
"""Once faults stop, a plan must be finished within so many."""
_LEASE_LASTS = timedelta(seconds=700)


def item(symbol: str, action: str, dollars: str, held: str, *, exit_: bool = False) -> dict[str, object]:
    """An item of a plan, as JSON."""
    amount = f"-{dollars}" if action == "SELL" else dollars
    return {
        "symbol": symbol,
        "action": action,
        "trade_amount": amount,
        "current_weight": "0.1",
        "target_weight": "0" if exit_ else "0.2",
        "weight_diff": "0.1",
        "target_value": "0" if exit_ else "1000",
        "current_value": held,
        "priority": 1,
    }


def plan(plan_id: str, items: list[dict[str, object]], **fields: object) -> dict[str, object]:
    """A plan made at the beginning of the history, as JSON."""
    return {
        "plan_id": plan_id,
        "correlation_id": "correlation",
        "causation_id": "causation",
        "timestamp": BEGIN.isoformat(),
        "items": items,
        "total_portfolio_value": "100000",
        "total_trade_value": "1000",
        "max_drift_tolerance": "1",
        "execution_urgency": "NORMAL",
    } | fields


@dataclass(slots=True)
class Message:
    """A plan on its way in, delivered until it is done or dead."""

    event: dict[str, object]
    plan_id: str
    done: bool = False
    deliveries: int = 0
    error: str | None = None


@dataclass
class History:
    """A seed's history.

    ``run`` raises ``Violation`` where a promise was broken.
    """

    seed: int
    happened: Counter[str] = field(default_factory=Counter)
    world: World = field(init=False)
    messages: list[Message] = field(init=False)

    def __post_init__(self) -> None:
        self._chance = Random(f"history {self.seed}")  # noqa: S311 - reproducible on purpose
        self._known = {one for one in Happening if self._chance.random() < 0.4}
        crossing = Crossing(self._chance, swarm(self._chance))
        self.world = World(self._scenario(), self._config(), crossing)
        self.world.between = self._in_between
        if Happening.SKEW in self._known:
            self.world.clock.skew = timedelta(seconds=self._chance.randint(-20, 20))
        self.messages = self._plans()

    # --- the story ---------------------------------------------------------------------------------------

    def run(self) -> History:
        """Live through it."""
        for _ in range(self._chance.randint(1, 7)):
            if self._chance.random() < 0.5:
                self._let_happen()
            self._deliver(self._chance.choice(self.messages))
            self.world.clock.sleep(timedelta(seconds=self._chance.choice((1, 30, 700))))
        self._calm()
        for message in self.messages:
            self._end(message)
        self.happened += self.world.crossing.happened
        return self

    def _deliver(self, message: Message, seconds: float | None = None) -> None:
        short = Happening.SHORT_LIFE in self._known
        seconds = seconds or self._chance.choice((12, 30, 60) if short else (60, 300, 600))
        message.deliveries += 1
        self._take(message, self.world.deliver(message.event, seconds))

    def _take(self, message: Message, delivery: Delivery) -> None:
        if delivery.answer is not None:
            self.world.watch.answered(ExecutionResult.model_validate(delivery.answer))
            message.done = True
        elif isinstance(delivery.error, InvalidInput):
            message.done, message.error = True, delivery.error.code
        elif isinstance(delivery.error, OverfillGuard):
            raise Violation(f"the program had to stop itself: {delivery.error}")
        elif delivery.error is not None and not isinstance(delivery.error, Redeliver):
            message.error = delivery.error.code

    def _in_between(self) -> None:
        """Another invocation, while one is interrupted."""
        self._deliver(self._chance.choice(self.messages))

    def _calm(self) -> None:
        """Faults stop, symbols trade again, leases run out."""
        self.world.crossing.is_calm = True
        trading = [{"symbol": symbol, "halted": False} for symbol in SYMBOLS]
        self.world.exchange.merge({"assets": trading, "default_fill": {"behaviour": "marketable"}, "fills": []})
        self._set_switch(SwitchState.ACTIVE)
        self.world.clock.sleep(_LEASE_LASTS)

    def _end(self, message: Message) -> None:
        for _ in range(MOST_DELIVERIES):
            self._deliver(message, 600)
            if message.done:
                return
            self.world.clock.sleep(timedelta(seconds=60))
        raise Violation(f"{message.plan_id} is not finished after {MOST_DELIVERIES} undisturbed deliveries")

    # --- what is drawn -----------------------------------------------------------------------------------

    def _scenario(self) -> dict[str, Any]:
        draw = self._chance
        quotes, positions = {}, []
        for symbol in SYMBOLS:
            bid = Decimal(draw.randint(100, 40_000)) / 100
            quotes[symbol] = {"bid": str(bid), "ask": str(bid + Decimal(draw.choice((1, 1, 3, 20))) / 100)}
            if draw.random() < 0.7:
                positions.append({"symbol": symbol, "qty": str(Decimal(draw.randint(1, 400_000)) / 10_000)})
        return {
            "seed": self.seed,
            "account": {
                "cash": str(draw.choice((0, 500, 20_000))),
                "proceeds_lag_seconds": draw.choice((0, 0, 4, 60)),
                "multiplier": draw.choice(("1", "2")),
            },
            "clock": {"sessions": "always_open"},
            "assets": [{"symbol": s, "fractionable": draw.random() < 0.8} for s in SYMBOLS],
            "quotes": quotes,
            "positions": positions,
            "default_fill": self._fill(),
            "fills": [{"symbol": s, **self._fill()} for s in SYMBOLS if draw.random() < 0.3],
        }

    def _fill(self) -> dict[str, Any]:
        draw = self._chance
        kind = draw.choice(
            (
                "marketable",
                "immediate",
                "later",
                "parts",
                "never",
                "random",
                "random",
                "cancel",
                "expire",
                "reject",
                "no",
            )
        )
        if kind == "no":
            error = {"status": 403, "code": 40310000, "message": "insufficient buying power"}
            return {"behaviour": "immediate", "error": error}
        fill: dict[str, Any] = {"behaviour": kind}
        if kind in ("later", "cancel", "expire", "reject"):
            fill["after_seconds"] = draw.choice((0, 1, 8, 40))
        if kind in ("cancel", "expire"):
            fill["fraction"] = draw.choice((0, 0.3, 0.9))
        if kind == "parts":
            fill["parts"] = [{"fraction": 0.4}, {"fraction": 0.3, "after_seconds": draw.choice((1, 5, 60))}]
        if draw.random() < 0.3:
            fill["cancel_seconds"] = draw.choice((0, 1, 5, 90))
        if draw.random() < 0.2:
            fill["fill_beats_cancel"] = draw.choice((0.5, 1))
        if draw.random() < 0.2:
            fill["price_pending_seconds"] = draw.choice((1, 4, 30))
        if draw.random() < 0.1:
            fill["pending_new_seconds"] = draw.choice((1, 20))
        return fill

    def _config(self) -> ExecutionConfig:
        draw = self._chance
        return ExecutionConfig.model_validate(
            {
                "order_style": draw.choice(("ladder", "marketable_limit", "market")),
                "child_wait_seconds": draw.choice((2, 6)),
                "max_children": draw.choice((2, 4)),
                "tick_seconds": 2,
                "last_rung_seconds": 4,
                "quote_wait_seconds": 2,
                "proceeds_wait_seconds": 12,
                "cancel_wait_seconds": 20,
                "price_wait_seconds": 8,
                "arrival_horizon_seconds": 40,
                "reconcile_wait_seconds": 5,
                "plan_time_limit_minutes": draw.choice((5, 60)),
                "max_plan_age_minutes": 90,
                "max_spread": "0.5",
                "limit_collar": "0.5",
                "duplicate_window_minutes": 0,
                "previous_close_collar": "10",
            }
        )

    def _plans(self) -> list[Message]:
        draw = self._chance
        held = {p["symbol"]: Decimal(p["qty"]) for p in self.world.exchange.positions()}
        messages = []
        for number in range(draw.choice((1, 1, 1, 2, 3))):
            items = []
            for symbol in draw.sample(SYMBOLS, draw.randint(1, len(SYMBOLS))):
                action = draw.choice(("BUY", "SELL", "SELL", "HOLD"))
                exit_ = action == "SELL" and draw.random() < 0.4
                items.append(
                    item(
                        symbol,
                        action,
                        str(draw.choice((20, 700, 3000))),
                        "0" if symbol not in held else "1",
                        exit_=exit_,
                    )
                )
            document = plan(f"plan-{number}", items, execution_urgency=draw.choice(("LOW", "NORMAL", "HIGH", "URGENT")))
            messages.append(Message(document, f"plan-{number}"))
        if Happening.OTHER_CONTENT in self._known and draw.random() < 0.5:
            changed = messages[0].event | {"items": [item(SYMBOLS[0], "BUY", "55", "0")]}
            messages.append(Message(changed, "plan-0 with other content"))
        return messages

    # --- what happens between deliveries -----------------------------------------------------------------

    def _let_happen(self) -> None:
        possible = sorted(self._known - {Happening.SKEW, Happening.SHORT_LIFE, Happening.OTHER_CONTENT})
        if not possible:
            return
        what = self._chance.choice(possible)
        self.happened[what] += 1
        getattr(self, f"_{what.name.lower()}")()

    def _foreign_order(self) -> None:
        self.world.watch.others_trade = True
        body = {
            "symbol": self._chance.choice(SYMBOLS),
            "qty": "1",
            "side": self._chance.choice(("buy", "sell")),
            "type": "market",
            "time_in_force": "day",
        }
        self._ask(lambda: self.world.exchange.submit_order(body))

    def _broker_cancel(self) -> None:
        for order in self.world.watch.orders():
            if order["status"] in LIVE:
                status = self._chance.choice(("canceled", "expired"))
                self._ask(lambda: self.world.exchange.force_end(order["id"], status))  # noqa: B023 - called at once
                return

    def _market_moves(self) -> None:
        symbol = self._chance.choice(SYMBOLS)
        told = self.world.exchange.latest_quotes([symbol])["quotes"][symbol]
        bid = (Decimal(str(told["bp"])) * Decimal(self._chance.choice(("0.97", "0.999", "1.001", "1.03")))).quantize(
            Decimal("0.01")
        )
        self.world.exchange.merge({"quotes": {symbol: {"bid": str(bid), "ask": str(bid + Decimal("0.02"))}}})

    def _halt(self) -> None:
        self.world.exchange.merge({"assets": [{"symbol": self._chance.choice(SYMBOLS), "halted": True}]})

    def _record_lost(self) -> None:
        self.world.records.stored.clear()

    def _duplicate(self) -> None:
        self._deliver(self._chance.choice(self.messages))

    def _kill_switch(self) -> None:
        self._set_switch(self._chance.choice(list(SwitchState)))

    def _set_switch(self, state: SwitchState) -> None:
        switch = Switch(state, by="operator", reason="simulated", at=self.world.clock.now())
        self.world.journal.book.settings.setdefault("default", []).append(switch)

    def _long_pause(self) -> None:
        self.world.clock.sleep(timedelta(days=self._chance.choice((1, 5))))

    def _ask(self, request: Any) -> None:
        try:
            request()
        except BrokerError:
            self.happened["refused by the broker"] += 1

    # --- to be read --------------------------------------------------------------------------------------

    def timeline(self) -> str:
        """Everything that happened, a line each."""
        lines = []
        for at, name, fields in self.world.ledger.lines:
            told = " ".join(f"{key}={value}" for key, value in fields.items() if value is not None)
            lines.append(f"{(at - BEGIN).total_seconds():10.2f}  {name:24} {told}"[:240])
        for order in self.world.watch.orders():
            shown = {k: order[k] for k in ("client_order_id", "side", "qty", "limit_price", "status", "filled_qty")}
            lines.append(f"{'broker':>10}  {json.dumps(shown)}")
        return "\n".join(lines)

    def outcomes(self) -> Counter[Outcome]:
        """How the orders of all plans ended."""
        found: Counter[Outcome] = Counter()
        for text in self.world.watch.results.values():
            found.update(order.outcome for order in ExecutionResult.model_validate_json(text).orders)
        return found
