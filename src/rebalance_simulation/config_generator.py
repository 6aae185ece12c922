"""Generator of execution settings: order styles, waits, ladders and limits of the controls."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from functools import cache
from random import Random

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.plan import Urgency
from rebalance_simulation.faults import Trait

_FIXED = {
    "tick_seconds": 2,
    "last_rung_seconds": 4,
    "quote_wait_seconds": 2,
    "proceeds_wait_seconds": 12,
    "cancel_wait_seconds": 20,
    "price_wait_seconds": 8,
    "arrival_horizon_seconds": 40,
    "reconcile_wait_seconds": 5,
    "max_plan_age_minutes": 90,
    "max_spread": "0.5",
    "limit_collar": "0.5",
    "duplicate_window_minutes": 0,
    "previous_close_collar": "10",
}
"""Short waits keep histories short; wide limits leave orders to send."""

_TIGHT: Mapping[str, tuple[object, ...]] = {
    "restricted_symbols": (("AAA",), ("BBB", "CCC")),
    "allowed_symbols": (("AAA", "BBB"),),
    "max_order_dollars": (100, 1000),
    "max_order_shares": (1, 20),
    "max_share_of_displayed": ("0.1", 3),
    "max_plan_gross_dollars": (800, 4000),
    "max_plan_net_dollars": (800, 3000),
    "max_plan_turnover": ("0.02", "0.2"),
    "max_day_gross_dollars": (700, 3000),
    "max_day_net_dollars": (1000, 3000),
    "max_day_turnover": ("0.02", "0.2"),
    "max_spread": ("0.0005",),
    "limit_collar": ("0.0005", "0.01"),
    "previous_close_collar": ("0.01",),
    "price_collar": ("0.0005", "0.005"),
    "duplicate_window_minutes": (30,),
    "max_plan_messages": (1, 2, 4),
    "max_messages_per_minute": (1, 2, 5),
    "max_runs": (6,),
    "max_plans_per_day": (1, 2),
    "max_rejects_in_a_row": (1, 2),
    "max_broker_failures": (1, 2),
    "minimum_notional": (25, 1000),
    "cash_buffer": ("0.1",),
}
"""Limits that bind. A history with ``Trait.TIGHT_LIMITS`` has two to five of them."""


def _ladder(wait_seconds: int, *fractions: str) -> object:
    return {urgency: {"aims": fractions, "wait_seconds": wait_seconds} for urgency in Urgency}


_UNUSUAL: Mapping[str, tuple[object, ...]] = {
    "tick_seconds": ("0.5", 5),
    "ladder": (_ladder(1, "0", "0.2", "0.4", "0.6", "0.8", "1"), _ladder(30, "0.5", "1")),
    "improvement_threshold": (0, 1),
    "fast_market_spreads": ("0.01", 10),
    "fast_market_wait": (0, 1),
    "shortest_rung_seconds": ("0.1", 10),
    "last_rung_seconds": (1, 60),
    "last_rung_market": (True,),
    "child_wait_seconds": (1, 60),
    "max_children": (1, 10),
    "quote_wait_seconds": (0, 20),
    "quote_refresh_seconds": (0, 30),
    "proceeds_wait_seconds": (0, 60),
    "early_cash_fraction": (0, "0.3"),
    "cancel_wait_seconds": (1, 90),
    "price_wait_seconds": (0, 60),
    "arrival_horizon_seconds": (20, 120),
    "reconcile_wait_seconds": (0, 30),
    "conflicting_orders": ("cancel",),
    "unusable_quote": ("last_trade",),
}
"""Very short and very long waits, unusual ladders, a market order as the last rung."""

_OVERRIDES: tuple[Mapping[str, object], ...] = (
    {"AAA": {"price_collar": "0.002"}},
    {"BBB": {"max_children": 1}, "CCC": {"price_collar": "0.2"}},
    {"AAA": {"order_style": "marketable_limit"}, "DDD": {"last_rung_seconds": 2}},
)


_TARGETS: Mapping[str, tuple[object, ...]] = {
    "size_by": ("target_value", "target_weight"),
    "no_trade_band": ("0.001", "0.02", "0.1"),
    "trade_to": ("band_edge",),
    "minimum_trade_dollars": (30, 800),
    "minimum_trade_weight": ("0.001", "0.03"),
}
"""Bands and minimum trades. A history with ``Trait.TARGETS`` has two to five of these settings."""

_SLICES: Mapping[str, tuple[object, ...]] = {
    "slice_over_displayed": (None, 1, 5),
    "slice_over_volume": (None, "0.0001"),
    "slice_displayed": ("0.5", 1, 3),
    "slice_minutes": ("0.5", 1, 3, 20, 60),
    "slice_seconds": (1, 5, 30),
    "max_participation": ("0.001", "0.02", 1),
}
"""Slices of seconds or minutes. A history with ``Trait.SLICE_SETTINGS`` has two to five of these settings."""
_DISPLAY: Mapping[str, object] = {"display_qty": 100, "display_destination": "NASDAQ"}


@cache
def _base_config(  # noqa: PLR0913 - each argument is drawn
    style: str, wait: int, children: int, minutes: int, conflicting: str, rate: int, lease_wait: int = 0
) -> ExecutionConfig:
    return ExecutionConfig.model_validate(
        {
            **_FIXED,
            "order_style": style,
            "child_wait_seconds": wait,
            "max_children": children,
            "plan_time_limit_minutes": minutes,
            "conflicting_orders": conflicting,
            "rate_limit_per_minute": rate,
            "lease_wait_seconds": lease_wait,
        }
    )


@cache
def _valid(name: str, number: int) -> object:
    """Return an entry of the tables above as a field of the configuration. Validated once."""
    return getattr(
        ExecutionConfig.model_validate({name: {**_TIGHT, **_UNUSUAL, **_TARGETS, **_SLICES}[name][number]}), name
    )


@cache
def _display() -> Mapping[str, object]:
    """Return settings that show a part of large limits, validated once."""
    valid = ExecutionConfig.model_validate(_DISPLAY)
    return {name: getattr(valid, name) for name in _DISPLAY}


@cache
def _overrides(number: int) -> object:
    return ExecutionConfig.model_validate({"per_symbol": _OVERRIDES[number]}).per_symbol


def config(rng: Random, traits: Collection[Trait]) -> ExecutionConfig:
    """Draw execution settings for a history with these traits."""
    drawn = _base_config(
        rng.choice(("ladder", "ladder", "marketable_limit", "marketable_limit", "market")),
        rng.choice((2, 6)),
        rng.choice((2, 4)),
        rng.choice((5, 60)),
        rng.choice(("deny", "cancel")),
        rng.choice((200, 200, 12)),
        rng.choice((0, 0, 12, 150)),
    )
    changed: dict[str, object] = {}
    tables = (
        (Trait.TIGHT_LIMITS, _TIGHT),
        (Trait.UNUSUAL_SETTINGS, _UNUSUAL),
        (Trait.TARGETS, _TARGETS),
        (Trait.SLICE_SETTINGS, _SLICES),
    )
    for trait, table in tables:
        if trait in traits:
            for name in rng.sample(sorted(table), rng.randint(2, 5)):
                changed[name] = _valid(name, rng.randrange(len(table[name])))
    if Trait.SLICE_SETTINGS in traits and rng.random() < 0.4:
        changed |= _display()
    if Trait.REJECTS in traits:
        changed["max_rejects_in_a_row"] = rng.choice((1, 2, 10))
    if Trait.OVERRIDES in traits:
        changed["per_symbol"] = _overrides(rng.randrange(len(_OVERRIDES)))
    if Trait.NEAR_OPEN in traits and drawn.order_style != "market":
        limits_only = not changed.get("last_rung_market", False)
        changed |= {"extended_hours": limits_only and rng.random() < 0.6, "opening_wait_seconds": Decimal(20)}
    return drawn.model_copy(update=changed)


def steady_config(style: str = "marketable_limit") -> ExecutionConfig:
    """Return the settings of scripted histories: two seconds per child order, at most four child orders, one hour."""
    return _base_config(style, 2, 4, 60, "deny", 200)
