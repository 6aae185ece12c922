"""Faults of one request to the broker: what its client receives, before or after the effect of the request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, NoReturn

from requests.exceptions import ReadTimeout, RequestException

from rebalance_executor.adapters.alpaca.client import APIError
from rebalance_simulation.broker_record import BrokerRecord
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.faults import Fault

Timeouts = Callable[[], tuple[float, float]]
"""Function that returns the connect and read timeouts of the next request, in seconds."""
_HTML = "<html><body><h1>Blocked</h1></body></html>"
_NOT_FOUND = (404, '{"code": 40410000, "message": "endpoint not found"}')
_BEFORE: Mapping[Fault, tuple[tuple[int, str], ...]] = {
    Fault.RATE_LIMIT: ((429, '{"code": 42910000, "message": "rate limit exceeded"}'),),
    Fault.SERVER_ERROR: ((503, '{"code": 50310000, "message": "service unavailable"}'),),
    Fault.UNAUTHORIZED: ((401, '{"code": 40110000, "message": "request is not authorized"}'),),
    Fault.FORBIDDEN: ((403, '{"message": "forbidden."}'),),
    Fault.FIREWALL: ((403, _HTML), (400, _HTML), (406, ""), (404, _HTML)),
    Fault.PATH_NOT_FOUND: (_NOT_FOUND,),
    Fault.BAD_ASSET: (
        (422, '{"code": 42210000, "message": "request cannot be processed"}'),
        (400, '{"code": 40010000, "message": "request body format is invalid"}'),
    ),
}
"""Status and body of errors that come before the effect. Several are used in turn."""
_GATEWAY = '{"message": "Forbidden"}'
_AFTER: Mapping[Fault, tuple[tuple[int, str], ...]] = {
    Fault.HTML: ((502, _HTML),),
    Fault.GATEWAY: ((400, _GATEWAY), (403, _GATEWAY), (409, _GATEWAY), (499, _GATEWAY)),
    Fault.REQUEST_TIMEOUT: ((408, '{"message": "request timeout"}'), (408, _HTML)),
}
"""Status and body of errors that come after the effect. Several are used in turn."""
_IMPOSSIBLE_TIME = "0001-01-01T00:00:00+14:00"
IMPOSSIBLE_NUMBER = "1e9999999999999999999"
"""Replacement of every number of a damaged answer: the program cannot use such an answer."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT")
_NUMBER = re.compile(r"-?\d+(\.\d+)?$")


class SimulatedApiError(APIError):
    """An API response with a status other than 2xx."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)  # type: ignore[no-untyped-call]
        self._status = status

    @property
    def status_code(self) -> int:
        """HTTP status."""
        return self._status


class AnswerFaults:
    """Faults of the answers that one client receives.

    Args:
        clock: advances while an answer is awaited.
        record: chooses between the variants of a fault.
        timeouts: the timeouts of the next request.
        observe: receives the status and headers of every response.
    """

    def __init__(
        self, clock: SimulatedClock, record: BrokerRecord, timeouts: Timeouts, observe: Callable[[Any], None]
    ) -> None:
        self._clock = clock
        self._record = record
        self._timeouts = timeouts
        self._observe = observe
        self._longest: timedelta | None = None
        """Longest wait for one of the answers that are awaited together; None while there is one request at a time."""

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send all requests within before any answer is awaited: the waits pass at the same time, at the end."""
        self._longest = timedelta()
        try:
            yield
        finally:
            longest, self._longest = self._longest, None
            self._clock.advance(longest)

    def _wait(self, seconds: float) -> None:
        wait = timedelta(seconds=seconds)
        if self._longest is None:
            self._clock.advance(wait)
        else:
            self._longest = max(self._longest, wait)

    def before(self, fault: Fault) -> None:
        """Raise a fault that precedes the effect of the request."""
        if fault is Fault.NO_ANSWER:
            self.time_out()
        if fault in _BEFORE:
            headers = {"Retry-After": "3"} if fault is Fault.RATE_LIMIT else {}
            raise self.error(*self._variant(_BEFORE[fault]), headers)

    def after(self, fault: Fault, response: Any) -> Any:
        """Raise a fault that follows the effect of the request, or return the response, damaged if need be."""
        if fault in (Fault.LOST_ANSWER, Fault.HIDDEN):
            self.time_out()
        if fault in _AFTER:
            raise self.error(*self._variant(_AFTER[fault]))
        if fault is Fault.GARBLED:
            return {"id": "garbled"} if isinstance(response, dict) else [{"garbled": True}]
        if fault is Fault.UNTYPED:
            damage = self._variant((_with_impossible_times, _with_impossible_numbers, _nested_too_deeply))
            return damage(response)
        if fault is Fault.SLOW:
            self._wait(self._timeouts()[1] * 0.9)
        return response

    def cancel_without_effect(self) -> None:
        """Answer a cancel that has no effect: with 200, or with a redirect."""
        if self._variant((False, True)):
            raise RequestException("HTTP 302: a redirect, which is not followed")

    def time_out(self) -> NoReturn:
        """Wait for an answer until the request times out."""
        self._wait(self._timeouts()[1])
        raise ReadTimeout("no answer")

    def error(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> SimulatedApiError:
        """Return the error of a response, after it was observed."""
        self._observe(SimpleNamespace(status_code=status, headers=headers or {}))
        return SimulatedApiError(status, text)

    def _variant[T](self, variants: tuple[T, ...]) -> T:
        return variants[self._record.requests % len(variants)]


def _replaced(value: Any, pattern: re.Pattern[str], by: str) -> Any:
    """Return a JSON value with every text that matches the pattern replaced."""
    if isinstance(value, dict):
        return {name: _replaced(entry, pattern, by) for name, entry in value.items()}
    if isinstance(value, list):
        return [_replaced(entry, pattern, by) for entry in value]
    return by if isinstance(value, str) and pattern.match(value) else value


def _with_impossible_times(response: Any) -> Any:
    return _replaced(response, _TIME, _IMPOSSIBLE_TIME)


def _with_impossible_numbers(response: Any) -> Any:
    return _replaced(response, _NUMBER, IMPOSSIBLE_NUMBER)


def _nested_too_deeply(_: Any) -> NoReturn:
    raise RecursionError("maximum recursion depth exceeded while decoding a JSON array")
