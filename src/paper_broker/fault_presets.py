"""Fault presets: faults that the page can turn on and off, to see how a program handles them.

The state of a preset is read from the broker, not stored. Turning a preset off leaves the faults and fill rules of a
scenario unchanged.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paper_broker.app import App

_SLOW = {"kind": "latency", "seconds": 1.5, "count": None}
_DOWN = {"kind": "status", "status": 503, "body": "html", "count": None}
_REFUSED_KEYS = {"kind": "status", "status": 403, "code": None, "message": "forbidden.", "count": None}
_NO_AUCTIONS = {"accepts": False}
_REJECT = {"error": {"status": 403, "code": 40310000, "message": "order rejected by the fault preset"}}


@dataclass(frozen=True, slots=True)
class FaultPreset:
    """One fault with its title and description on the page."""

    title: str
    description: str
    is_on: Callable[[App], bool]
    turn_on: Callable[[App], None]
    turn_off: Callable[[App], None]

    def set(self, app: App, *, on: bool) -> None:
        """Turn the preset on or off. Idempotent."""
        if self.is_on(app) is not on:
            (self.turn_on if on else self.turn_off)(app)


def _fault(title: str, description: str, spec: Mapping[str, Any]) -> FaultPreset:
    return FaultPreset(
        title,
        description,
        is_on=lambda app: app.faults.is_armed(spec),
        turn_on=lambda app: app.faults.arm([spec]),
        turn_off=lambda app: app.faults.disarm(spec),
    )


def _other_rules(app: App) -> list[Mapping[str, Any]]:
    return [rule for rule in app.exchange.fill_rules if rule != _REJECT]


def _other_auction_rules(app: App) -> list[Mapping[str, Any]]:
    return [rule for rule in app.exchange.auction_rules if rule != _NO_AUCTIONS]


FAULT_PRESETS: Mapping[str, FaultPreset] = {
    "slow": _fault("Slow", "every response is delayed by 1.5 seconds", _SLOW),
    "down": _fault("Down", "every request fails with HTTP 503 and an HTML body", _DOWN),
    "keys": _fault("Reject keys", "every request fails with HTTP 403, as with invalid API keys", _REFUSED_KEYS),
    "reject": FaultPreset(
        "Reject",
        "every new order is rejected with HTTP 403",
        is_on=lambda app: _REJECT in app.exchange.fill_rules,
        turn_on=lambda app: app.merge({"fills": [_REJECT, *_other_rules(app)]}),
        turn_off=lambda app: app.merge({"fills": _other_rules(app)}),
    ),
    "auctions": FaultPreset(
        "Reject auctions",
        "every new order for an auction is rejected with HTTP 403",
        is_on=lambda app: _NO_AUCTIONS in app.exchange.auction_rules,
        turn_on=lambda app: app.merge({"auctions": [_NO_AUCTIONS, *_other_auction_rules(app)]}),
        turn_off=lambda app: app.merge({"auctions": _other_auction_rules(app)}),
    ),
    "halt": FaultPreset(
        "Halt",
        "orders are accepted but not executed",
        is_on=lambda app: app.exchange.is_halted,
        turn_on=lambda app: app.merge({"halted": True}),
        turn_off=lambda app: app.merge({"halted": False}),
    ),
}
"""Presets by the name that the admin API takes."""
