"""Faults between client and broker, armed in advance: slow, hanging, dropped or failing requests.

A :class:`FaultPlan` only selects the fault for a request. The server produces it, before or after the request takes
effect.
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
    """One fault, and the requests it applies to. A filter of None matches any request.

    Attributes:
        kind: ``latency`` delays the response, ``hang`` never responds, ``drop`` closes the connection, ``status``
            responds with an HTTP error.
        when: ``before`` or ``after`` the request takes effect.
        seconds: duration of a latency (default 1) or of a hang (default: forever).
        status: HTTP status of a ``status`` fault.
        body: its body: ``json``, ``html`` or ``empty``.
        method: HTTP method.
        path: regular expression, searched in the path.
        client_order_id: prefix of the client order ID in body or query.
        symbol: symbol in the body, or one of the symbols in the query.
        nth: the first matching request it applies to, counted from 1.
        count: number of matching requests it applies to from there on; None is all.
        match_count: matching requests so far.
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
    match_count: int = 0

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> "Fault":
        """Parse a fault from a scenario.

        Raises:
            ValueError: an unknown field or value.
        """
        if unknown := spec.keys() - set(cls.__slots__):
            raise ValueError(f"Unknown fault fields: {sorted(unknown)}.")
        fault = cls(**spec)
        if problem := fault._problem():
            raise ValueError(f"The fault {dict(spec)} is invalid: {problem}.")
        return fault

    def _problem(self) -> str | None:
        for name, value, known in (
            ("kind", self.kind, _KINDS),
            ("when", self.when, _TIMES),
            ("status", self.status, _STATUSES),
            ("body", self.body, _BODIES),
        ):
            if value not in known:
                return f"{name} must be one of {known}"
        if any(not isinstance(number, int) or number < 1 for number in (self.nth, self.count or 1)) or self.count == 0:
            return "nth and count must be whole numbers from 1"
        if self.seconds is not None and (not isinstance(self.seconds, int | float) or self.seconds < 0):
            return "seconds must be a number from 0"
        try:
            re.compile(self.path or "")
        except re.error as error:
            return f"path is not a regular expression: {error}"
        return None

    def dump(self) -> dict[str, Any]:
        """Return the fault as :meth:`parse` accepts it."""
        return {name: getattr(self, name) for name in self.__slots__}

    def matches(self, method: str, path: str, body: Mapping[str, Any]) -> bool:
        """Return whether the filters match this request."""
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
        """Seconds that the request waits; None is forever."""
        return 1.0 if self.seconds is None and self.kind == "latency" else self.seconds

    @property
    def due(self) -> bool:
        """True if the fault applies to the last request it matched."""
        return self.match_count >= self.nth and (self.count is None or self.match_count < self.nth + self.count)

    @property
    def spent(self) -> bool:
        """True if the fault applies to no further request."""
        return self.count is not None and self.match_count >= self.nth + self.count - 1


class FaultPlan:
    """The armed faults, in the order in which they were armed. At most one applies to a request."""

    def __init__(self, specs: Iterable[Mapping[str, Any]] = ()) -> None:
        self._faults = [Fault.parse(spec) for spec in specs]

    def arm(self, specs: Iterable[Mapping[str, Any]]) -> None:
        """Add faults.

        Raises:
            ValueError: an unknown field or value. No fault is added then.
        """
        self._faults += [Fault.parse(spec) for spec in specs]

    def disarm(self, spec: Mapping[str, Any]) -> None:
        """Remove the faults that were armed with exactly this specification."""
        removed = Fault.parse(spec)
        self._faults = [fault for fault in self._faults if replace(fault, match_count=0) != removed]

    def is_armed(self, spec: Mapping[str, Any]) -> bool:
        """Return whether a fault with exactly this specification is armed."""
        expected = Fault.parse(spec)
        return any(replace(fault, match_count=0) == expected for fault in self._faults)

    def clear(self) -> None:
        """Disarm all faults."""
        self._faults = []

    def next(self, method: str, path: str, body: Mapping[str, Any]) -> Fault | None:
        """Count a request and return the fault that applies to it. Call once per request.

        Args:
            method: HTTP method.
            path: path without the query.
            body: fields of the JSON body and of the query.
        """
        applied: Fault | None = None
        for n, fault in enumerate(self._faults):
            if fault.matches(method, path, body):
                self._faults[n] = counted = replace(fault, match_count=fault.match_count + 1)
                if applied is None and counted.due:
                    applied = counted
        self._faults = [fault for fault in self._faults if not fault.spent]
        return applied

    def dump(self) -> list[dict[str, Any]]:
        """Return the armed faults, ready for JSON."""
        return [fault.dump() for fault in self._faults]
