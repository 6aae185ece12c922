"""Faults between client and broker, armed in advance: requests that are slow, hang, fail or are answered too large.

A :class:`FaultPlan` only selects the fault for a request. The server produces it, before or after the request takes
effect.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

_KINDS = ("latency", "hang", "drop", "status", "redirect", "drip", "oversize")
_TIMES = ("before", "after")
_STATUSES = range(400, 600)
_MAX_MEGABYTES = 1024
_BODIES = ("json", "html", "empty")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, and the requests it applies to. A filter of None matches any request.

    Attributes:
        kind: ``latency`` delays the response, ``hang`` never responds, ``drop`` closes the connection, ``status``
            responds with an HTTP error, ``redirect`` with another location, ``oversize`` with a very large body;
            ``drip`` sends the body of the response byte by byte.
        when: ``before`` or ``after`` the request takes effect.
        seconds: duration of a latency (default 1) or of a hang (default: forever), time between two bytes of a drip
            (default 1).
        status: HTTP status of a ``status`` fault, from 400 to 599.
        body: its body: ``json``, ``html`` or ``empty``.
        code: code in a JSON body, by default derived from the status; None is a body without a code.
        message: text in the body; None is the name of the status.
        megabytes: size of an ``oversize`` body, unpacked.
        gzip: True if the ``oversize`` body is sent compressed.
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
    code: int | None = 50310000
    message: str | None = None
    megabytes: int = 64
    gzip: bool = False
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
        return fault if "code" in spec else replace(fault, code=fault.status * 100_000 + 10_000)

    def _problem(self) -> str | None:
        for name, value, known in (
            ("kind", self.kind, _KINDS),
            ("when", self.when, _TIMES),
            ("body", self.body, _BODIES),
        ):
            if value not in known:
                return f"{name} must be one of {known}"
        if not _is_whole(self.status) or self.status not in _STATUSES:
            return "status must be a whole number from 400 to 599"
        if not (self.code is None or _is_whole(self.code)) or not (
            self.message is None or isinstance(self.message, str)
        ):
            return "code must be a whole number or null, message a text or null"
        if (
            not _is_whole(self.megabytes)
            or not 1 <= self.megabytes <= _MAX_MEGABYTES
            or not isinstance(self.gzip, bool)
        ):
            return f"megabytes must be a whole number from 1 to {_MAX_MEGABYTES}, gzip true or false"
        return self._count_problem()

    def _count_problem(self) -> str | None:
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
        """Seconds that the request, or each byte of a drip, waits; None is forever."""
        return 1.0 if self.seconds is None and self.kind in ("latency", "drip") else self.seconds

    @property
    def due(self) -> bool:
        """True if the fault applies to the last request it matched."""
        return self.match_count >= self.nth and (self.count is None or self.match_count < self.nth + self.count)

    @property
    def spent(self) -> bool:
        """True if the fault applies to no further request."""
        return self.count is not None and self.match_count >= self.nth + self.count - 1


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


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
