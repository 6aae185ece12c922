"""What a history is made of, drawn from its seed: a market, an account, a configuration, plans."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from rebalance_simulation.clock import BEGIN
from rebalance_simulation.faults import Trait

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
WAYS_IN = ("direct", "eventbridge", "sqs", "sqs")
"""How plans come in, with their odds."""
_CENT = Decimal("0.01")
_REFUSED = {"status": 403, "code": 40310000, "message": "insufficient buying power"}


def item(symbol: str, action: str, dollars: object, *, is_exit: bool = False, priority: int = 1) -> dict[str, object]:
    """An item of a plan, as JSON."""
    return {
        "symbol": symbol,
        "action": action,
        "trade_amount": f"-{dollars}" if action == "SELL" else str(dollars),
        "current_weight": "0.1",
        "target_weight": "0" if is_exit else "0.2",
        "weight_diff": "0.1",
        "target_value": "0" if is_exit else "1000",
        "current_value": "1000",
        "priority": priority,
    }


def plan(plan_id: str, items: list[dict[str, object]], begin: datetime = BEGIN, **fields: object) -> dict[str, object]:
    """A plan made when the history begins, as JSON."""
    return {
        "plan_id": plan_id,
        "correlation_id": "correlation",
        "causation_id": "causation",
        "timestamp": begin.isoformat(),
        "items": items,
        "total_portfolio_value": "100000",
        "total_trade_value": "1000",
        "max_drift_tolerance": "1",
        "execution_urgency": "NORMAL",
    } | fields


@dataclass(slots=True)
class Message:
    """A plan on its way in, delivered until it is done or dead."""

    plan_id: str
    document: dict[str, object]
    way: str
    """``direct``, ``eventbridge`` or ``sqs``."""
    done: bool = False
    deliveries: int = 0
    event: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.event = _enveloped(self.document, self.way)


def _enveloped(document: dict[str, object], way: str) -> dict[str, Any]:
    if way == "eventbridge":
        return {"detail-type": "RebalancePlanned", "source": "strategy", "detail": document}
    if way == "sqs":
        record = {
            "messageId": f"message of {document['plan_id']}",
            "body": json.dumps(document),
            "eventSource": "aws:sqs",
            "attributes": {"MessageGroupId": "default"},
        }
        return {"Records": [record]}
    return document


def begin(chance: Random, traits: Collection[Trait]) -> datetime:
    """When the history begins."""
    if Trait.NEAR_CLOSE in traits:
        return BEGIN + timedelta(minutes=chance.choice((345, 355, 359)))  # 15:45, 15:55 or 15:59 in New York
    if Trait.EARLY in traits:
        return BEGIN - timedelta(minutes=chance.choice((120, 35, 31, 29)))  # 08:00, 09:25, 09:29 or 09:31
    return BEGIN


def scenario(seed: int, chance: Random, traits: Collection[Trait]) -> dict[str, Any]:
    """The exchange's world."""
    quotes, positions = {}, []
    for symbol in SYMBOLS:
        bid, tick = Decimal(chance.randint(100, 40_000)) / 100, _CENT
        if chance.random() < 0.1:  # below a dollar prices have four decimals
            bid, tick = Decimal(chance.randint(100, 9_990)) / 10_000, _CENT / 100
        quotes[symbol] = {"bid": str(bid), "ask": str(bid + chance.choice((1, 1, 3, 20)) * tick)}
        if chance.random() < 0.8:
            positions.append({"symbol": symbol, "qty": str(Decimal(chance.randint(1, 400_000)) / 10_000)})
    return {
        "seed": seed,
        "account": {
            "cash": str(chance.choice((0, 500, 20_000, 20_000))),
            "proceeds_lag_seconds": chance.choice((0, 0, 4, 60)),
            "multiplier": chance.choice(("1", "2")),
            "duplicate_code": chance.choice((40010001, 42210000)),
        },
        "clock": {"sessions": "nyse" if {Trait.NEAR_CLOSE, Trait.EARLY} & set(traits) else "always_open"},
        "assets": [{"symbol": symbol, "fractionable": chance.random() < 0.8} for symbol in SYMBOLS],
        "quotes": quotes,
        "positions": positions,
        **fates(chance, SYMBOLS),
    }


def fates(chance: Random, symbols: Collection[str]) -> dict[str, Any]:
    """How orders fare, as keys of a scenario: in general, and some symbols' first two."""
    return {
        "default_fill": _fill(chance),
        "fills": [
            {"symbol": symbol, "nth": 1 + nth, **_fill(chance)}
            for symbol in symbols
            for nth in range(2)
            if chance.random() < 0.3
        ],
    }


_FILLS = ("marketable",) * 3 + (
    "immediate",
    "later",
    "parts",
    "parts",
    "random",
    "never",
    "cancel",
    "expire",
    "reject",
    "refuse",
)


def _fill(chance: Random) -> dict[str, Any]:
    """How an order fares."""
    kind = chance.choice(_FILLS)
    if kind == "refuse":
        return {"behaviour": "immediate", "error": _REFUSED}
    fill: dict[str, Any] = {"behaviour": kind}
    if kind in ("later", "cancel", "expire", "reject"):
        fill["after_seconds"] = chance.choice((0, 1, 8, 40))
    if kind in ("cancel", "expire"):
        fill["fraction"] = chance.choice((0, 0.3, 0.9))
    if kind == "parts":
        fill["parts"] = [{"fraction": 0.4}, {"fraction": 0.3, "after_seconds": chance.choice((1, 5, 60))}]
    if chance.random() < 0.3:
        fill["cancel_seconds"] = chance.choice((0, 1, 5, 90))
    if chance.random() < 0.25:
        fill["fill_beats_cancel"] = chance.choice((0.5, 1))
    if chance.random() < 0.2:
        fill["price_pending_seconds"] = chance.choice((1, 4, 30))
    if chance.random() < 0.15:
        fill["pending_new_seconds"] = chance.choice((1, 20, 300))
    if chance.random() < 0.05:
        fill["status"] = chance.choice(("held", "calculated", "never_heard_of"))
    return fill


def messages(chance: Random, traits: Collection[Trait], begin: datetime) -> list[Message]:
    """The plans of a history, some of them under an id that another one has."""
    found = []
    for number in range(chance.choice((1, 1, 2, 2, 3))):
        items = [_drawn_item(chance, symbol) for symbol in chance.sample(SYMBOLS, chance.randint(1, len(SYMBOLS)))]
        urgency = chance.choice(("LOW", "NORMAL", "HIGH", "URGENT"))
        document = plan(f"plan-{number}", items, begin, execution_urgency=urgency)
        found.append(Message(f"plan-{number}", document, chance.choice(WAYS_IN)))
    if Trait.OTHER_CONTENT in traits:
        changed = found[0].document | {"items": [item(SYMBOLS[0], "BUY", 55)]}
        found.append(Message("plan-0", changed, "direct"))
    return found


def _drawn_item(chance: Random, symbol: str) -> dict[str, object]:
    action = chance.choice(("BUY", "BUY", "BUY", "SELL", "SELL", "SELL", "HOLD"))
    is_exit = action == "SELL" and chance.random() < 0.4
    return item(symbol, action, chance.choice((20, 700, 3000)), is_exit=is_exit, priority=chance.randint(1, 3))


def moved(quote: dict[str, Any], chance: Random) -> dict[str, str]:
    """A quote some way from this one."""
    factor = Decimal(chance.choice(("0.97", "0.999", "1.001", "1.03")))
    bid = max((Decimal(str(quote["bp"])) * factor).quantize(_CENT), _CENT)
    return {"bid": str(bid), "ask": str(bid + 2 * _CENT)}
