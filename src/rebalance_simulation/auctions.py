"""Auctions in histories: plans shortly before an auction, how the broker runs it, and the settings for it.

They are drawn from random numbers of their own, so that histories without auctions do not depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any, cast

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_simulation.clock import START
from rebalance_simulation.generators import Message

_PROBABILITY = 0.2
"""Part of the histories that have auctions."""
_STARTS = (
    *(timedelta(minutes=minutes) for minutes in (300, 335, 340, 347, 349.9, 351)),  # 15:00 to 15:51 New York
    *(timedelta(minutes=-minutes) for minutes in (60, 45, 33, 32.1, 31, 29)),  # 09:00 to 09:31
    timedelta(hours=-14.5),  # 19:30 of the day before
)
"""Starts of a history, counted from 10:00 New York."""
_CLOSE, _OPEN = ("market_on_close", "limit_on_close"), ("market_on_open", "limit_on_open")
_RULES: tuple[Mapping[str, object], ...] = (
    {},
    {},
    {"fill_fraction": 0.4},
    {"fill_fraction": 0},
    {"fill_fraction": 0.4, "unfilled": "canceled"},
    {"volume": 3},
    {"accepts": False},
    {"expire_all": True},
    {"delay_seconds": 45},
    {"delay_seconds": 300},
    {"delay_seconds": 900},
    {"unfilled_seconds": 900},
)
_SETTINGS: Mapping[str, tuple[object, ...]] = {
    "close_cutoff_minutes": (10, 10, 15),
    "open_cutoff_minutes": (2, 2, 5),
    "auction_report_minutes": (2, 10),
    "auction_fraction": ("work", "leave"),
    "auction_remainder": ("leave", "work"),
    "limit_on_auction_collar": ("0.01", "0.0001"),
}


class AuctionDraws:
    """The auctions of one history.

    Args:
        seed: of the history.
    """

    def __init__(self, seed: int) -> None:
        self._rng = Random(f"auctions {seed}")  # noqa: S311 - reproducible on purpose
        self.applies = self._rng.random() < _PROBABILITY
        """True if the history has auctions."""
        self._styles: tuple[str, ...] = ()

    def start(self) -> datetime:
        """Draw the start of the history."""
        after = self._rng.choice(_STARTS)
        # Mostly the auction that is near.
        self._styles = (*_CLOSE * 4, *_OPEN, "work") if after > timedelta() else (*_OPEN * 4, *_CLOSE, "work")
        return START + after

    def scenario(self, scenario: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scenario in a market with trading days, with drawn rules of the auctions."""
        rules = [dict(self._rng.choice(_RULES)) | {"symbol": symbol} for symbol in scenario["quotes"]]
        return {**scenario, "clock": {"sessions": "nyse"}, "auctions": rules}

    def config(self, config: ExecutionConfig) -> ExecutionConfig:
        """Return the configuration with drawn settings of the auctions."""
        names = {name: self._rng.randrange(len(values)) for name, values in _SETTINGS.items()}
        return config.model_copy(update={name: _valid(name, number) for name, number in names.items()})

    def add_to(self, message: Message, scenario: Mapping[str, Any]) -> Message:
        """Return the message with drawn execution styles, and some limits of the plan itself."""
        document = message.document | {"execution_style": self._rng.choice(self._styles)}
        items = []
        for item in cast("list[dict[str, object]]", document["items"]):
            style = self._rng.choice((None, None, *self._styles))
            own: dict[str, object] = {} if style is None else {"execution_style": style}
            used = str(style or document["execution_style"])
            if used.startswith("limit") and self._rng.random() < 0.5:
                bid = Decimal(str(scenario["quotes"][str(item["symbol"])]["bid"]))
                own["limit_price"] = str((bid * self._rng.choice((Decimal("0.99"), Decimal("1.01")))).quantize(bid))
            items.append(item | own)
        return Message(message.plan_id, document | {"items": items}, message.trigger)


@cache
def _valid(name: str, number: int) -> object:
    """Return a setting as a field of the configuration. Validated once."""
    return getattr(ExecutionConfig.model_validate({name: _SETTINGS[name][number]}), name)
