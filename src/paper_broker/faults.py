"""Faults of the way to the broker, armed in advance: slow, hanging, cut or failing requests.

A plan only says which fault a request meets; whoever carries the request out lets it happen, before the request takes
effect or after it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

_KINDS = ("latency", "hang", "drop", "status")
_TIMES = ("before", "after")
_STATUSES = (429, 500, 502, 503, 504)
_BODIES = ("json", "html", "empty")


@dataclass(frozen=True, slots=True)
class Fault:
    """One way for requests to go wrong, and the requests it meets.

    Attributes:
        kind: ``latency`` answers late; ``hang`` never answers; ``drop`` closes the connection; ``status`` fails.
        when: ``before`` the request takes effect, or ``after`` it did.
        seconds: how long latency (without it one second) and hanging (without it for ever) take.
        status: the HTTP status of a ``status`` fault.
        body: its body: ``json``, ``html`` or ``empty``.
        method: of the requests it meets; none is any.
        path: a regular expression, searched in the path; none is any.
        client_order_id: a prefix, looked for in body and query; none is any.
        symbol: as in the body, or among those of the query; none is any.
        nth: the first matching request it meets, counted from 1.
        count: how many it meets from there on; none is all.
        seen: matching requests so far.
    """

    kind: str
    when: str = "before"
    seconds: float | None = None
    status: int = 503
    body: str = "json"
    method: str | None = None
    path: str | None = None
    client_order_id: str | None = None
    symbol: str | None = None
    nth: int = 1
    count: int | None = 1
    seen: int = 0

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> "Fault":
        """Read a fault from a scenario.

        Raises:
            ValueError: for an unknown field or value.
        """
        if unknown := spec.keys() - set(cls.__slots__):
            raise ValueError(f"Unknown fault fields {sorted(unknown)}.")
        fault = cls(**spec)
        if problem := fault._problem():
            raise ValueError(f"A fault is {dict(spec)}: {problem}.")
        return fault

    def _problem(self) -> str | None:
        for name, value, known in (
            ("kind", self.kind, _KINDS),
            ("when", self.when, _TIMES),
            ("status", self.status, _STATUSES),
            ("body", self.body, _BODIES),
        ):
            if value not in known:
                return f"{name} is one of {known}"
        if any(not isinstance(number, int) or number < 1 for number in (self.nth, self.count or 1)) or self.count == 0:
            return "nth and count are at least 1"
        if self.seconds is not None and (not isinstance(self.seconds, int | float) or self.seconds < 0):
            return "seconds are a number, and not negative"
        try:
            re.compile(self.path or "")
        except re.error as error:
            return f"path is no regular expression: {error}"
        return None

    def dump(self) -> dict[str, Any]:
        """What :meth:`parse` takes."""
        return {name: getattr(self, name) for name in self.__slots__}

    def matches(self, method: str, path: str, body: Mapping[str, Any]) -> bool:
        """Whether this request is one of those it speaks of."""
        return (
            self.method in (None, method)
            and (self.path is None or re.search(self.path, path) is not None)
            and (self.symbol is None or self.symbol in {body.get("symbol"), *str(body.get("symbols", "")).split(",")})
            and (
                self.client_order_id is None or str(body.get("client_order_id") or "").startswith(self.client_order_id)
            )
        )

    @property
    def wait_seconds(self) -> float | None:
        """How long the request waits; none is for ever."""
        return 1.0 if self.seconds is None and self.kind == "latency" else self.seconds

    @property
    def due(self) -> bool:
        """Whether the last request it saw meets it."""
        return self.seen >= self.nth and (self.count is None or self.seen < self.nth + self.count)

    @property
    def spent(self) -> bool:
        """Whether it will meet no further request."""
        return self.count is not None and self.seen >= self.nth + self.count - 1


class FaultPlan:
    """The armed faults, first armed first; a request meets one at most."""

    def __init__(self, specs: Iterable[Mapping[str, Any]] = ()) -> None:
        self._faults = [Fault.parse(spec) for spec in specs]

    def arm(self, specs: Iterable[Mapping[str, Any]]) -> None:
        """Add faults.

        Raises:
            ValueError: for an unknown field or value; then none is added.
        """
        self._faults += [Fault.parse(spec) for spec in specs]

    def disarm(self, spec: Mapping[str, Any]) -> None:
        """Remove the faults that were armed with just this."""
        gone = Fault.parse(spec)
        self._faults = [fault for fault in self._faults if replace(fault, seen=0) != gone]

    def holds(self, spec: Mapping[str, Any]) -> bool:
        """Whether such a fault is armed."""
        wanted = Fault.parse(spec)
        return any(replace(fault, seen=0) == wanted for fault in self._faults)

    def clear(self) -> None:
        """Disarm all."""
        self._faults = []

    def next(self, method: str, path: str, body: Mapping[str, Any]) -> Fault | None:
        """The fault that this request meets; a match counts, so ask once for each request.

        Args:
            method: of the request.
            path: without the query.
            body: the JSON body, and the query for requests without one.
        """
        met: Fault | None = None
        for n, fault in enumerate(self._faults):
            if fault.matches(method, path, body):
                self._faults[n] = seen = replace(fault, seen=fault.seen + 1)
                if met is None and seen.due:
                    met = seen
        self._faults = [fault for fault in self._faults if not fault.spent]
        return met

    def dump(self) -> list[dict[str, Any]]:
        """The faults still armed, ready for JSON."""
        return [fault.dump() for fault in self._faults]
