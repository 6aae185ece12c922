"""Generators of a history's market, account, plans and messages, drawn from its random numbers."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from rebalance_simulation.clock import START
from rebalance_simulation.faults import Trait

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
TRIGGERS = ("direct", "eventbridge", "sqs", "sqs")
"""Triggers by which plans are delivered; half of them by the queue."""
_CENT = Decimal("0.01")
_HALF_CENT = Decimal("0.005")
_REJECTS = (
    {"status": 403, "code": 40310000, "message": "insufficient buying power"},
    {"status": 422, "code": 42210000, "message": "order is not allowed"},
    {"status": 403, "code": 40310000, "message": "order violates a rule of the account"},
)
_SMALL_SIZES = (1, 2, 4, 25)
"""Displayed sizes of which an order is many times as large."""
OTHER_ACCOUNT = "second"
"""Another name of the same broker account."""


def item(symbol: str, action: str, dollars: object, *, is_exit: bool = False, priority: int = 1) -> dict[str, object]:
    """Return an item of a plan, as JSON."""
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


def plan(plan_id: str, items: list[dict[str, object]], start: datetime = START, **fields: object) -> dict[str, object]:
    """Return a plan made at ``start``, as JSON; ``fields`` replace its other fields."""
    return {
        "plan_id": plan_id,
        "correlation_id": "correlation",
        "causation_id": "causation",
        "timestamp": start.isoformat(),
        "items": items,
        "total_portfolio_value": "100000",
        "total_trade_value": "1000",
        "max_drift_tolerance": "1",
        "execution_urgency": "NORMAL",
    } | fields


@dataclass(slots=True)
class Message:
    """A plan to deliver, with the state of its delivery."""

    plan_id: str
    document: dict[str, object]
    trigger: str
    """``direct``, ``eventbridge`` or ``sqs``."""
    done: bool = False
    deliveries: int = 0
    event: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.event = _event(self.document, self.trigger, self.plan_id)

    def point_to(self, bucket: str, key: str) -> None:
        """Deliver a pointer to the plan's object in S3, without a version, in place of the plan."""
        self.event = _event({"plan_s3": {"bucket": bucket, "key": key}}, self.trigger, self.plan_id)


def _event(document: dict[str, Any], trigger: str, plan_id: str) -> dict[str, Any]:
    if trigger == "eventbridge":
        return {"detail-type": "RebalancePlanned", "source": "strategy", "detail": document}
    if trigger == "sqs":
        record = {
            "messageId": f"message of {plan_id}",
            "body": json.dumps(document),
            "eventSource": "aws:sqs",
            "attributes": {"MessageGroupId": "default"},
        }
        return {"Records": [record]}
    return document


def start_time(rng: Random, traits: Collection[Trait]) -> datetime:
    """Draw the start of the history."""
    if Trait.NEAR_CLOSE in traits:
        return START + timedelta(minutes=rng.choice((345, 355, 359)))  # 15:45, 15:55 or 15:59 in New York
    if Trait.NEAR_OPEN in traits:
        return START - timedelta(minutes=rng.choice((120, 35, 31, 29)))  # 08:00, 09:25, 09:29 or 09:31
    return START


def scenario(seed: int, rng: Random, traits: Collection[Trait]) -> dict[str, Any]:
    """Draw a scenario of the simulated broker: quotes, positions, account, hours, assets and fills."""
    quotes: dict[str, dict[str, object]] = {}
    positions, tick_sizes = [], dict.fromkeys(SYMBOLS, _CENT)
    of_snapshots = Random(f"snapshots {seed}")  # noqa: S311 - reproducible on purpose
    for symbol in SYMBOLS:
        bid, tick = Decimal(rng.randint(10_000 if Trait.SUB_SHARE in traits else 100, 40_000)) / 100, _CENT
        if Trait.HALF_CENTS in traits and rng.random() < 0.5:
            bid, tick = bid + rng.choice((0, _HALF_CENT)), _HALF_CENT
            tick_sizes[symbol] = tick
        if rng.random() < 0.1 and Trait.SUB_SHARE not in traits:  # prices below a dollar have four decimals
            bid, tick = Decimal(rng.randint(100, 9_990)) / 10_000, _CENT / 100
        spread = 1 if Trait.ONE_TICK in traits else rng.choice((1, 1, 3, 20))
        quotes[symbol] = {"bid": str(bid), "ask": str(bid + spread * tick)} | _sizes(rng)
        quotes[symbol] |= {"snapshot_bars": of_snapshots.choice(_SNAPSHOT_BARS)}
        if Trait.LARGE in traits:
            quotes[symbol] |= {"bid_size": rng.choice(_SMALL_SIZES), "ask_size": rng.choice(_SMALL_SIZES)}
        if rng.random() < 0.8:
            decimals = 10 if Trait.TEN_DECIMALS in traits else 4
            positions.append(
                {"symbol": symbol, "qty": str(Decimal(rng.randint(1, 40 * 10**decimals)).scaleb(-decimals))}
            )
    return {
        "seed": seed,
        "account": {
            "cash": str(5000 if Trait.MANY_PLANS in traits else rng.choice((0, 500, 20_000, 20_000))),
            "proceeds_lag_seconds": rng.choice((0, 0, 4, 60)),
            "multiplier": rng.choice(
                ("2", "4") if {Trait.MANY_PLANS, Trait.BUSY_PERSON} & set(traits) else ("1", "2", "4")
            ),
            "shorting_enabled": Trait.BUSY_PERSON in traits or rng.random() < 0.5,
            **(_lags(rng) if Trait.LATE_ACCOUNT in traits else {}),
            "duplicate_code": rng.choice((40010001, 42210000)),
        },
        "lists": {
            "delay_seconds": rng.choice((1, 3, 6)) if Trait.LATE_LISTS in traits else 0,
            "foreign_rows": 3 if Trait.FOREIGN_ROWS in traits else 0,
        },
        "clock": {"sessions": "nyse" if {Trait.NEAR_CLOSE, Trait.NEAR_OPEN} & set(traits) else "always_open"},
        "assets": [
            {"symbol": symbol, "fractionable": rng.random() < 0.8, "tick_size": str(tick_sizes[symbol])}
            for symbol in SYMBOLS
        ],
        "quotes": quotes,
        "positions": positions,
        **fill_behaviours(rng, SYMBOLS, traits),
    }


_SNAPSHOT_BARS = ("all",) * 8 + ("today", "none")
"""Daily bars of a symbol's snapshot; few symbols were listed today, or have no bars."""


def _sizes(rng: Random) -> dict[str, object]:
    """Draw the displayed sizes of a symbol, and its daily volumes: usable, malformed, zero, stale or absent."""
    shares = rng.randint(1_000, 5_000_000)
    volumes: tuple[dict[str, object], ...] = (
        {"volume": shares, "volume_age_days": rng.choice((0, 1, 4))},
        {"volume": [shares, "many"]},
        {"volume": "many"},
        {"volume": 0},
        {"volume": shares, "volume_age_days": 12},
        {},
    )
    size = rng.choice((100, 100, 20, 2))
    return {"bid_size": size, "ask_size": size, **rng.choice((volumes[0], *volumes))}


def _lags(rng: Random) -> dict[str, object]:
    return {"account_lag_seconds": rng.choice((0, 0.5, 3)), "positions_lag_seconds": rng.choice((0, 0.5, 3))}


def fill_behaviours(rng: Random, symbols: Collection[str], traits: Collection[Trait]) -> dict[str, Any]:
    """Draw how orders fill, as keys of a scenario: the default, and the first two orders of some symbols."""
    return {
        "default_fill": _fill(rng, traits),
        "fills": [
            {"symbol": symbol, "nth": 1 + nth, **_fill(rng, traits)}
            for symbol in symbols
            for nth in range(2)
            if rng.random() < 0.3
        ],
    }


_LATENESS = (0.3, 1, 1.9)
"""Seconds by which fills come after the end of their order: less than a tick, so that a second reading finds them."""
_SHORT_LATENESS = (0.1, 0.4)
"""Such seconds where a tick may be short."""
_REJECT_AT_ONCE = "reject at once"
_REJECT_IN_ANSWER = "reject in answer"
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
    _REJECT_AT_ONCE,
    _REJECT_IN_ANSWER,
)
"""The simulated broker's behaviours, and rejects in answer to the submission, with an error or a rejected order."""


_FILLS_BY_TRAIT: Mapping[Trait, tuple[str, ...]] = {
    Trait.DISPLAYED_FILLS: ("marketable", "parts"),
    Trait.REJECTS: (_REJECT_AT_ONCE, _REJECT_IN_ANSWER, "reject"),
    Trait.BUSY_PERSON: ("parts", "never"),  # so that other orders follow, after the person's trades
}
"""Behaviours of most orders in histories with such a trait."""


def _fill(rng: Random, traits: Collection[Trait]) -> dict[str, Any]:
    """Draw the behaviour of one order."""
    kinds = next((kinds for trait, kinds in _FILLS_BY_TRAIT.items() if trait in traits and rng.random() < 0.8), _FILLS)
    kind = rng.choice(kinds)
    if kind == _REJECT_AT_ONCE:
        return {"behaviour": "immediate", "error": rng.choice(_REJECTS)}
    if kind == _REJECT_IN_ANSWER:
        return {"behaviour": "immediate", "rejected_in_answer": True}
    fill: dict[str, Any] = {"behaviour": kind}
    if kind in ("later", "cancel", "expire", "reject"):
        fill["after_seconds"] = rng.choice((0, 1, 8, 40))
    if kind in ("cancel", "expire"):
        fill["fraction"] = rng.choice((0, 0.3, 0.9))
    if Trait.DISPLAYED_FILLS in traits and kind in ("marketable", "parts"):
        fill["displayed_seconds"] = rng.choice((1, 4, 20))
    elif kind == "parts":
        fill["parts"] = [{"fraction": 0.4}, {"fraction": 0.3, "after_seconds": rng.choice((1, 5, 60))}]
    for name, (probability, values) in _OPTIONS.items():
        if rng.random() < probability:
            fill[name] = rng.choice(values)
    return fill | _lateness(rng, traits)


_OPTIONS: Mapping[str, tuple[float, tuple[object, ...]]] = {
    "cancel_seconds": (0.3, (0, 1, 5, 90)),
    "fill_beats_cancel": (0.25, (0.5, 1)),
    "price_pending_seconds": (0.2, (1, 4, 30)),
    "pending_new_seconds": (0.15, (1, 20, 300)),
    "cancel_ignored": (0.05, (1,)),
    "status": (0.05, ("held", "calculated", "never_heard_of")),
}
"""Options of a behaviour, each with its probability and its values."""


def _lateness(rng: Random, traits: Collection[Trait]) -> dict[str, Any]:
    """Draw the option that makes the fills of one order late, if any."""
    if Trait.LATE_FILLS not in traits:
        return {}
    seconds = rng.choice(_SHORT_LATENESS if Trait.UNUSUAL_SETTINGS in traits else _LATENESS)
    late_fill = {"fraction": 0.4, "after_seconds": seconds}
    options: tuple[dict[str, Any], ...] = ({"filled_qty_lag_seconds": seconds}, {"late_fill": late_fill}, {})
    return rng.choice(options)


def messages(rng: Random, traits: Collection[Trait], start: datetime) -> list[Message]:
    """Draw the plans of a history, possibly one more with the ID of the first and different content."""
    drawn = []
    has_many = Trait.MANY_PLANS in traits
    for number in range(rng.choice((2, 3) if has_many else (1, 1, 2, 2, 3))):
        amounts = (60, 20) if Trait.SUB_SHARE in traits else (20, 700, 3000)
        items = [_drawn_item(rng, symbol, amounts) for symbol in rng.sample(SYMBOLS, rng.randint(1, len(SYMBOLS)))]
        if has_many or Trait.BUSY_PERSON in traits:
            items = _greedy_items(rng)
        is_patient = Trait.PATIENT in traits and rng.random() < 0.7
        urgency = "PATIENT" if is_patient else rng.choice(("LOW", "NORMAL", "HIGH", "URGENT"))
        fields: dict[str, object] = {"execution_urgency": urgency}
        if Trait.TARGETS in traits:
            fields |= {"size_by": rng.choice(_SIZES), "max_drift_tolerance": rng.choice(("1", "1", "0.03"))}
        if Trait.TWO_NAMES in traits and rng.random() < 0.5:
            fields["account"] = OTHER_ACCOUNT
        document = plan(f"plan-{number}", items, start, **fields)
        drawn.append(Message(f"plan-{number}", document, rng.choice(TRIGGERS)))
    if Trait.OTHER_CONTENT in traits:
        changed = drawn[0].document | {"items": [item(SYMBOLS[0], "BUY", 55)]}
        drawn.append(Message("plan-0", changed, "direct"))
    return drawn


_SIZES = (None, "trade_amount", "target_value", "target_value", "target_weight", "target_weight")
"""Values that size a plan with ``Trait.TARGETS``; None leaves it to the configuration."""


def last_message(lost: Message, at: datetime) -> Message:
    """Return a plan made at ``at``, for the account of a message that is lost."""
    document = plan("plan-last", [item(SYMBOLS[0], "BUY", 60)], at)
    if "account" in lost.document:
        document["account"] = lost.document["account"]
    return Message("plan-last", document, "direct")


def _greedy_items(rng: Random) -> list[dict[str, object]]:
    """Draw the sale of a whole position, and a buy that needs nearly all cash."""
    sold, bought = rng.sample(SYMBOLS, 2)
    sale = [item(sold, "SELL", 3000, is_exit=True)] if rng.random() < 0.5 else []
    return [*sale, item(bought, "BUY", rng.choice((3000, 4800)))]


def _drawn_item(rng: Random, symbol: str, amounts: Sequence[int]) -> dict[str, object]:
    action = rng.choice(("BUY", "BUY", "BUY", "SELL", "SELL", "SELL", "HOLD"))
    is_exit = action == "SELL" and rng.random() < 0.4
    return item(symbol, action, rng.choice(amounts), is_exit=is_exit, priority=rng.randint(1, 3))


def moved_quote(quote: dict[str, Any], tick_size: Decimal, rng: Random) -> dict[str, str]:
    """Draw a quote 0.1 or 3 % above or below this one, two ticks wide."""
    factor = Decimal(rng.choice(("0.97", "0.999", "1.001", "1.03")))
    bid = max((Decimal(str(quote["bp"])) * factor / tick_size).to_integral_value(), Decimal(1)) * tick_size
    return {"bid": str(bid), "ask": str(bid + 2 * tick_size)}
