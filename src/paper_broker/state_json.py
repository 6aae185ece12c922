"""The state of the exchange as JSON text, at a cost that depends on the open orders and not on the whole history.

The state is written after every change. Settled orders and executions never change again, assets and quotes rarely
do: their text is built once and cached. Text is passed in pieces, which avoids building one large string.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from paper_broker.formats import JsonObject
from paper_broker.orders import Order

type Pieces = Iterable[str]
"""Pieces of JSON text, to be concatenated in order."""


class Revisioned(Protocol):
    """An object with a counter that increases with every change of what it dumps."""

    @property
    def revision(self) -> int: ...
    def dump(self) -> JsonObject:
        """Return the state, ready for JSON."""


def json_text(value: Any) -> list[str]:
    """Return compact JSON in one piece. Decimals become strings."""
    return [json.dumps(value, separators=(",", ":"), default=str)]


def json_object(members: Mapping[str, Pieces]) -> Iterator[str]:
    """Return a JSON object whose values are JSON text already."""
    separator = "{"
    for name, pieces in members.items():
        yield f'{separator}"{name}":'
        yield from pieces
        separator = ","
    yield "}"


class StateJsonCache:
    """Cached JSON text of the parts of one exchange that no longer change."""

    def __init__(self) -> None:
        self._orders = _JsonArray()
        self._activities = _JsonArray()
        self._finished: dict[str, str] = {}
        """Text by order ID of settled orders that follow one that may change."""
        self._revisions: dict[int, tuple[int, dict[str, list[str]]]] = {}
        """Text of objects by their position, with the revision that it is of."""

    def orders(self, orders: Iterable[Order]) -> Iterator[str]:
        """Return all orders as a JSON array.

        Args:
            orders: oldest first; between two calls, orders may only be appended.
        """
        uncached = list(islice(orders, self._orders.length, None))
        done = next((n for n, order in enumerate(uncached) if not order.is_settled), len(uncached))
        self._orders.extend(self._finished.pop(order.id, "") or _order_text(order) for order in uncached[:done])
        return self._orders.pieces(map(self._order, uncached[done:]))

    def _order(self, order: Order) -> str:
        if (cached := self._finished.get(order.id)) is not None:
            return cached
        text = _order_text(order)
        if order.is_settled:
            self._finished[order.id] = text
        return text

    def activities(self, activities: Sequence[JsonObject]) -> Iterator[str]:
        """Return all executions as a JSON array. Between two calls, executions may only be appended."""
        self._activities.extend(text for item in activities[self._activities.length :] for text in json_text(item))
        return self._activities.pieces(())

    def revisions(self, *sources: Revisioned) -> Mapping[str, Pieces]:
        """Return the values that these objects dump as JSON text. Pass the same objects at every call."""
        members: dict[str, list[str]] = {}
        for number, source in enumerate(sources):
            revision, texts = self._revisions.get(number, (-1, {}))
            if revision != source.revision:
                texts = {name: json_text(value) for name, value in source.dump().items()}
                self._revisions[number] = (source.revision, texts)
            members |= texts
        return members


def _order_text(order: Order) -> str:
    return "".join(json_text(order.dump()))


class _JsonArray:
    """The permanent leading elements of a JSON array."""

    def __init__(self) -> None:
        self.length = 0
        self._text = ""

    def extend(self, texts: Iterable[str]) -> None:
        """Append elements that never change."""
        new = list(texts)
        self._text = ",".join([self._text, *new] if self.length else new) if new else self._text
        self.length += len(new)

    def pieces(self, more: Iterable[str]) -> Iterator[str]:
        """Return the array, with ``more`` elements after the permanent ones."""
        yield "["
        yield self._text
        separator = "," if self.length else ""
        for text in more:
            yield separator + text
            separator = ","
        yield "]"
