"""The exchange's state as JSON text, at a cost that grows with what is open and not with what ever was.

The state is written after every change. Finished orders and executions never change again, and assets and quotes
seldom do; their text is made once and kept. Text travels in pieces, so that nobody builds one large string.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from paper_broker.formats import Wire
from paper_broker.market import Market
from paper_broker.orders import Order

type Pieces = Iterable[str]
"""JSON text, in order; to be joined."""


def json_text(value: Any) -> list[str]:
    """Compact JSON in one piece; decimals become strings."""
    return [json.dumps(value, separators=(",", ":"), default=str)]


def json_object(members: Mapping[str, Pieces]) -> Iterator[str]:
    """A JSON object whose values are JSON already."""
    before = "{"
    for name, pieces in members.items():
        yield f'{before}"{name}":'
        yield from pieces
        before = ","
    yield "}"


class Archive:
    """Remembers the text of what will not change any more; belongs to one exchange."""

    def __init__(self) -> None:
        self._orders = _Array()
        self._activities = _Array()
        self._finished: dict[str, str] = {}
        """Orders that finished before an earlier one did."""
        self._market: tuple[int, dict[str, list[str]]] = (-1, {})

    def orders(self, orders: Iterable[Order]) -> Iterator[str]:
        """All orders, oldest first: those of the last call in the same order, and newer ones after them."""
        rest = list(islice(orders, self._orders.length, None))
        done = next((n for n, order in enumerate(rest) if order.is_open), len(rest))
        self._orders.extend(self._finished.pop(order.id, "") or _order_text(order) for order in rest[:done])
        return self._orders.pieces(map(self._order, rest[done:]))

    def _order(self, order: Order) -> str:
        if (known := self._finished.get(order.id)) is not None:
            return known
        text = _order_text(order)
        if not order.is_open:
            self._finished[order.id] = text
        return text

    def activities(self, activities: Sequence[Wire]) -> Iterator[str]:
        """All executions; none of those seen before may have changed."""
        self._activities.extend(text for item in activities[self._activities.length :] for text in json_text(item))
        return self._activities.pieces(())

    def market(self, market: Market) -> Mapping[str, Pieces]:
        """The values of :meth:`~paper_broker.market.Market.dump`, each as JSON."""
        revision, texts = self._market
        if revision != market.revision:
            texts = {name: json_text(value) for name, value in market.dump().items()}
            self._market = (market.revision, texts)
        return texts


def _order_text(order: Order) -> str:
    return "".join(json_text(order.dump()))


class _Array:
    """The leading elements of a JSON array, for good."""

    def __init__(self) -> None:
        self.length = 0
        self._text = ""

    def extend(self, texts: Iterable[str]) -> None:
        """Add elements that will never change."""
        new = list(texts)
        self._text = ",".join([self._text, *new] if self.length else new) if new else self._text
        self.length += len(new)

    def pieces(self, rest: Iterable[str]) -> Iterator[str]:
        """The array with elements after those that were added for good."""
        yield "["
        yield self._text
        before = "," if self.length else ""
        for text in rest:
            yield before + text
            before = ","
        yield "]"
