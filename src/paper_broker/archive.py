"""The exchange's state as JSON text, at a cost that grows with what is open and not with what ever was.

The state is written after every change. Finished orders and executions never change again, and assets and quotes
seldom do; their text is made once and kept.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from paper_broker.market import Market
from paper_broker.orders import Order
from paper_broker.wire import Wire


def json_text(value: Any) -> str:
    """Compact JSON; decimals become strings."""
    return json.dumps(value, separators=(",", ":"), default=str)


def json_object(texts: Mapping[str, str]) -> str:
    """A JSON object whose values are JSON already."""
    return "{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}"


class Archive:
    """Remembers the text of what will not change any more; belongs to one exchange."""

    def __init__(self) -> None:
        self._finished: dict[str, str] = {}
        self._activities: list[str] = []
        self._market = (-1, {"": ""})

    def orders(self, orders: Iterable[Order]) -> str:
        """All orders, in the order given."""
        return "[" + ",".join(map(self._order, orders)) + "]"

    def _order(self, order: Order) -> str:
        if (known := self._finished.get(order.id)) is not None:
            return known
        text = json_text(order.dump())
        if not order.is_open:
            self._finished[order.id] = text
        return text

    def activities(self, activities: Sequence[Wire]) -> str:
        """All executions; none of those seen before may have changed."""
        self._activities += map(json_text, activities[len(self._activities) :])
        return "[" + ",".join(self._activities) + "]"

    def market(self, market: Market) -> Mapping[str, str]:
        """The values of :meth:`~paper_broker.market.Market.dump`, each as JSON."""
        revision, texts = self._market
        if revision != market.revision:
            texts = {name: json_text(value) for name, value in market.dump().items()}
            self._market = (market.revision, texts)
        return texts
