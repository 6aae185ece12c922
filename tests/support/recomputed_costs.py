"""Costs recomputed from the journal's items alone, with fractions: nothing of the program's arithmetic is used."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from rebalance_executor.adapters.dynamodb import journal_items
from rebalance_executor.adapters.dynamodb.cost_store import benchmarks_item
from rebalance_executor.domain.journal import PlanJournal

BENCHMARKS = ("vwap", "close", "previous_close")
HORIZONS = ("1s", "30s", "5min", "close")
PARTS = ("delay", "timing", "spread", "waiting", "impact", "unseparated")


def items_of(journal: PlanJournal) -> list[dict[str, Any]]:
    """Return the items of a finished plan as the journal's table has them."""
    state = journal.plan
    assert journal.result is not None
    return [
        journal_items.plan_item(state, 1, journal.result),
        *(journal_items.parent_item(state, parent) for parent in journal.parents.values()),
        *(benchmarks_item(state, read) for read in journal.benchmarks.values()),
        *journal_items.result_items(state, journal.result),
    ]


def cents(exact: Fraction) -> Decimal:
    """Return dollars to the cent, half to even."""
    return Decimal(round(exact * 100)) / 100


def bps(amount: Fraction, dollars: Fraction) -> Decimal | None:
    """Return basis points to four decimals, half to even."""
    return Decimal(round(amount / dollars * 10**8)) / 10**4 if dollars else None


def orders(items: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the exact figures of each order with fills, from one plan's items."""
    listed = list(items)
    (plan,) = (item for item in listed if item["sk"] == "PLAN")
    read = {item["symbol"]: json.loads(item["benchmarks"]) for item in listed if item["sk"].startswith("COSTS#")}
    parents = [_unpacked(item["parent"]) for item in listed if item["sk"].startswith("PARENT#")]
    found = [_order(plan, parent, read.get(parent["symbol"])) for parent in parents]
    return sorted((one for one in found if one is not None), key=lambda one: one["symbol"])


def _unpacked(body: bytes) -> dict[str, Any]:
    """Return a packed parent with the defaults of what is left out: no children, no shares, otherwise nothing."""
    parent: dict[str, Any] = defaultdict(lambda: None, json.loads(gzip.decompress(body)))
    children = [defaultdict(lambda: None, {"filled_qty": "0"} | child) for child in parent["children"] or ()]
    return parent | {"children": children, "forecast": _optional(parent["forecast"])}


def _optional(document: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if document is None else defaultdict(lambda: None, document)


def _number(text: str | None) -> Fraction:
    assert text is not None
    return Fraction(text)


def _order(plan: Mapping[str, Any], parent: Mapping[str, Any], read: Mapping[str, Any] | None) -> dict[str, Any] | None:
    fills = [child for child in parent["children"] if Fraction(child["filled_qty"])]
    if not fills:
        return None
    sign = 1 if parent["side"] == "buy" else -1
    shares = sum(Fraction(child["filled_qty"]) for child in fills)
    dollars = sum((Fraction(child["filled_qty"]) * _number(child["filled_avg_price"]) for child in fills), Fraction())
    order: dict[str, Any] = {
        "plan_id": plan["plan_id"],
        "broker": plan["broker"],
        "urgency": plan["urgency"],
        "day": plan["trading_day"],
        "symbol": parent["symbol"],
        "style": "ladder" if any(c["spread_fraction"] is not None for c in parent["children"]) else "market",
        "shares": shares,
        "dollars": dollars,
        "cost": None,
        "forecast": None,
        "benchmarks": {},
        "markouts": {},
        "rungs": _rungs(fills, sign),
        "is_read": read is not None,
    }
    arrival = parent["arrival"]
    if arrival is not None:
        mid = (Fraction(arrival["bid"]) + Fraction(arrival["ask"])) / 2
        order["cost"] = sign * (dollars - mid * shares)
        order["parts"] = _parts(parent, fills, sign, mid)
        forecast = parent["forecast"]
        if forecast is not None and forecast["bps"] is not None:
            names = {"expected": "bps", "low": "low_bps", "high": "high_bps"}
            order["forecast"] = {name: Fraction(forecast[one]) * mid * shares / 10_000 for name, one in names.items()}
    if read is not None:
        known = {name: Fraction(read[name]) for name in BENCHMARKS if read[name] is not None}
        order["benchmarks"] = {name: sign * (dollars - price * shares) for name, price in known.items()}
        order["markouts"] = _markouts(fills, read, sign)
    return order


def _mid(child: Mapping[str, Any]) -> Fraction:
    return (Fraction(child["bid"]) + Fraction(child["ask"])) / 2


def _parts(
    parent: Mapping[str, Any], fills: Iterable[Mapping[str, Any]], sign: int, arrival_mid: Fraction
) -> dict[str, Fraction]:
    priced = [child for child in parent["children"] if child["bid"] is not None]
    parts = dict.fromkeys(PARTS, Fraction())
    for child in fills:
        qty, price = Fraction(child["filled_qty"]), Fraction(child["filled_avg_price"])
        if child["bid"] is None:
            parts["unseparated"] += sign * qty * (price - arrival_mid)
            continue
        half = (Fraction(child["ask"]) - Fraction(child["bid"])) / 2
        beyond = sign * qty * (price - _mid(child)) - qty * half
        parts["delay"] += sign * qty * (_mid(priced[0]) - arrival_mid)
        parts["timing"] += sign * qty * (_mid(child) - _mid(priced[0]))
        parts["spread"] += qty * half
        parts["impact" if beyond > 0 else "waiting"] += beyond
    return parts


def parts_in_cents(parts: Mapping[str, Fraction]) -> dict[str, Decimal]:
    """Return parts whose running sums are the rounded running sums."""
    rounded: dict[str, Decimal] = {}
    for number, name in enumerate(PARTS, 1):
        until = cents(sum((parts[one] for one in PARTS[:number]), Fraction()))
        rounded[name] = until - sum(rounded.values())
    return rounded


def _rungs(fills: Iterable[Mapping[str, Any]], sign: int) -> dict[str | None, dict[str, Fraction]]:
    rungs: dict[str | None, dict[str, Fraction]] = {}
    for child in fills:
        if child["bid"] is not None:
            qty, price = Fraction(child["filled_qty"]), Fraction(child["filled_avg_price"])
            rung = rungs.setdefault(child["spread_fraction"], dict.fromkeys(("half_spread", "paid"), Fraction()))
            rung["half_spread"] += qty * (Fraction(child["ask"]) - Fraction(child["bid"])) / 2
            rung["paid"] += sign * qty * (price - _mid(child))
    return rungs


def _markouts(fills: list[Mapping[str, Any]], read: Mapping[str, Any], sign: int) -> dict[str, Fraction]:
    mids = {fill["attempt"]: fill["mids"] for fill in read["fills"]}
    markouts = {}
    for horizon in HORIZONS:
        later = [read["close"] if horizon == "close" else mids[child["attempt"]].get(horizon) for child in fills]
        if None not in later:
            pairs = zip(fills, later, strict=True)
            moves = (Fraction(c["filled_qty"]) * (Fraction(p) - Fraction(c["filled_avg_price"])) for c, p in pairs)
            markouts[horizon] = sign * sum(moves, Fraction())
    return markouts
