"""Answers that the simulated broker really gave, as evidence for the invariants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

_EXPLAINED = "insufficient buying power"
"""A rejection that the plan itself explains: it bought more than the account can pay."""
_DUPLICATE = "client_order_id must be unique"
"""Message for a repeated submission: the order exists, so it is no rejection."""


class SubmissionAnswer(StrEnum):
    """The answer to a submission that reached the program."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXPLAINED = "rejected, explained by the plan"
    DUPLICATE = "not accepted again, because the order exists"


@dataclass(slots=True)
class BrokerRecord:
    """Answers of one broker account to all processes."""

    refused: dict[str, SubmissionAnswer] = field(default_factory=dict)
    """Orders that the exchange rejected with Alpaca's code, by client order ID."""
    answers: dict[str, SubmissionAnswer] = field(default_factory=dict)
    """The last answer to a submission that reached the program, by client order ID."""
    cancels: dict[str, int] = field(default_factory=dict)
    """Number of cancels that were answered without an error, by order ID."""
    cancel_requests: Counter[str] = field(default_factory=Counter)
    """Number of cancels that the program requested, by order ID."""
    requests: int = 0
    """Number of requests so far; chooses between the variants of a fault, so that sweeps try them all."""
    together: frozenset[str] = frozenset()
    """Client order IDs of the submissions that are sent now, before the answer to any of them is read."""
    is_within_group: bool = False
    """True while several requests are sent at one moment: no process freezes between them."""
    quotes: dict[tuple[str, Decimal, Decimal], datetime] = field(default_factory=dict)
    """Time at which this quote (symbol, bid, ask) last reached the program, if it was of that moment."""

    closes: set[tuple[str, Decimal]] = field(default_factory=set)
    """Previous closes (symbol, price) that an answer contained when they were those of the last session."""

    def note_refusal(self, client_order_id: str, message: str) -> None:
        """Record that the exchange rejected this order."""
        answer = SubmissionAnswer.REJECTED
        if _EXPLAINED in message:
            answer = SubmissionAnswer.EXPLAINED
        elif _DUPLICATE in message:
            answer = SubmissionAnswer.DUPLICATE
        self.refused[client_order_id] = answer

    def note_error(self, client_order_id: str) -> None:
        """Record that the reject of this order reached the program."""
        self.answers[client_order_id] = self.refused[client_order_id]

    def note_answer(self, response: Any) -> None:
        """Record the answer to a submission."""
        is_rejected = response["status"] == "rejected"
        answer = SubmissionAnswer.REJECTED if is_rejected else SubmissionAnswer.ACCEPTED
        self.answers[response["client_order_id"]] = answer

    def note_closes(self, snapshots: Mapping[str, Mapping[str, Any]], clock: Mapping[str, Any]) -> None:
        """Record the previous closes in these snapshots, which were answered at this time of the market's clock.

        In a session it is that of ``prevDailyBar``, otherwise that of ``dailyBar``. Between the close and midnight it
        depends on the session that the program has in mind.
        """
        for symbol, snapshot in snapshots.items():
            daily, before = snapshot["dailyBar"], snapshot["prevDailyBar"]
            is_of_today = daily is not None and daily["t"][:10] == clock["timestamp"][:10]
            if daily is not None and not clock["is_open"]:
                self.closes.add((symbol, Decimal(str(daily["c"]))))
            if before is not None and (clock["is_open"] or is_of_today):
                self.closes.add((symbol, Decimal(str(before["c"]))))

    def note_positions(self, positions: Iterable[Mapping[str, Any]]) -> None:
        """Record the previous closes of these positions."""
        self.closes |= {(row["symbol"], Decimal(row["lastday_price"])) for row in positions if row["lastday_price"]}

    def note_quotes(self, quotes: Mapping[str, Mapping[str, Any]], at: datetime) -> None:
        """Record quotes, or trades, that reached the program and were of that moment."""
        for symbol, quote in quotes.items():
            bid = Decimal(str(quote.get("bp", quote.get("p"))))
            ask = Decimal(str(quote.get("ap", quote.get("p"))))
            self.quotes[symbol, bid, ask] = at
