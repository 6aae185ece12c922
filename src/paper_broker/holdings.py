"""Positions and cash of the account at earlier times, from its executions and from the changes by scenario."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from paper_broker.formats import SECOND, ZERO, JsonObject, parse_instant
from paper_broker.ledger import Ledger

_KEPT = 65 * 86_400 * SECOND
"""Age from which changes by scenario are forgotten, as daily prices are."""


class Holdings(NamedTuple):
    """Cash in dollars, and shares and their average cost by symbol."""

    cash: Decimal
    shares: dict[str, Decimal]
    costs: dict[str, Decimal]

    def after(self, activity: JsonObject) -> "Holdings":
        """Return the holdings after an execution."""
        qty, price, symbol = Decimal(activity["qty"]), Decimal(activity["price"]), activity["symbol"]
        signed = qty if activity["side"] == "buy" else -qty
        shares = self.shares | {symbol: self.shares.get(symbol, ZERO) + signed}
        return Holdings(self.cash - signed * price, shares, {symbol: price} | self.costs)


@dataclass(frozen=True, slots=True)
class Mark:
    """The holdings that a scenario set."""

    at: int
    """Nanoseconds since the epoch."""
    executions: int
    """Number of executions before it."""
    holdings: Holdings

    def dump(self) -> list[Any]:
        """Return the mark as :meth:`load` accepts it, ready for JSON."""
        cash, shares, costs = self.holdings
        return [
            self.at,
            self.executions,
            str(cash),
            *({s: str(n) for s, n in held.items()} for held in (shares, costs)),
        ]

    @classmethod
    def load(cls, values: list[Any]) -> "Mark":
        """Return a dumped mark."""
        at, executions, cash, *held = values
        shares, costs = ({symbol: Decimal(number) for symbol, number in numbers.items()} for numbers in held)
        return cls(at, executions, Holdings(Decimal(cash), shares, costs))


class HoldingsHistory:
    """The holdings since the start of the scenario, at most 65 days back."""

    def __init__(self) -> None:
        self._marks: list[Mark] = []

    def mark(self, at: int, executions: int, ledger: Ledger) -> None:
        """Record that a scenario changed cash or positions."""
        positions = ledger.positions.values()
        shares, costs = {p.symbol: p.qty for p in positions}, {p.symbol: p.avg_entry_price for p in positions}
        self._marks.append(Mark(at, executions, Holdings(ledger.cash, shares, costs)))
        while len(self._marks) > 1 and self._marks[1].at <= at - _KEPT:
            del self._marks[0]

    @property
    def are_known(self) -> bool:
        """True after the first mark."""
        return bool(self._marks)

    @property
    def begins_at(self) -> int:
        """Time from which the holdings are known."""
        return self._marks[0].at

    def at(self, times: Sequence[int], activities: Sequence[JsonObject]) -> Iterator[Holdings]:
        """Return the holdings at each of several times.

        Args:
            times: ascending times, from :attr:`begins_at` on.
            activities: all executions, oldest first.
        """
        changes = list(self._changes(activities))
        number, applies = 0, self._marks[0].holdings
        for at in times:
            while number < len(changes) and changes[number][0] <= at:
                change = changes[number][1]
                applies = change if isinstance(change, Holdings) else applies.after(change)
                number += 1
            yield applies

    def _changes(self, activities: Sequence[JsonObject]) -> Iterator[tuple[int, Holdings | JsonObject]]:
        ends = [mark.executions for mark in self._marks[1:]] + [len(activities)]
        for mark, end in zip(self._marks, ends, strict=True):
            yield mark.at, mark.holdings
            for activity in activities[mark.executions : end]:
                yield parse_instant(activity["transaction_time"]), activity

    def dump(self) -> JsonObject:
        """Return the changes by scenario, ready for JSON."""
        return {"marks": [mark.dump() for mark in self._marks]}

    def load(self, state: JsonObject) -> None:
        """Restore dumped changes, in place of those recorded since."""
        self._marks = list(map(Mark.load, state["marks"]))
