"""A client-side rate limiter, which delays requests before the broker's limit is reached, to avoid HTTP 429."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from rebalance_executor.domain.errors import RateLimited
from rebalance_executor.execution.ports import Clock

MINUTE = timedelta(minutes=1)
_PART_OF_LIMIT = 20
_FEWEST = 2
"""One order, and one reading of the account before it."""


class RateLimiter:
    """A limit in requests per minute: a sliding window of our own requests and the window in the broker's headers.

    Args:
        per_minute: requests per minute (Alpaca: 200 for trading, 200 for market data).
        clock: the source of time and of waiting.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._sent: deque[datetime] = deque()
        self._closed_until: datetime | None = None

    def wait(self, until: datetime, requests: int = 1) -> int:
        """Wait until some of these requests are allowed; return how many are allowed now.

        A twentieth of the limit is enough: to wait for more would leave open orders without a look for long.

        Raises:
            RateLimited: they are allowed only after ``until``; ``retry_at`` says when.
        """
        self.wait_for_all(until, min(requests, max(_FEWEST, self._per_minute // _PART_OF_LIMIT)))
        return min(requests, self._per_minute - len(self._sent))

    def wait_for_all(self, until: datetime, requests: int) -> None:
        """Wait until all of these requests are allowed.

        Raises:
            RateLimited: as for ``wait``.
        """
        while (opens_at := self._opens_at(requests)) > (now := self._clock.now()):
            if opens_at > until:
                raise RateLimited(
                    f"the rate limit of {self._per_minute} requests per minute is used up", retry_at=opens_at
                )
            self._clock.sleep(opens_at - now)

    def count(self, requests: int) -> None:
        """Count requests that were sent, by now."""
        self._sent.extend([self._clock.now()] * requests)

    def acquire(self, until: datetime) -> None:
        """Wait until one more request is allowed, and count it.

        Raises:
            RateLimited: as for ``wait``.
        """
        self.wait_for_all(until, 1)
        self.count(1)

    def observe_headers(self, headers: Mapping[str, str], *, is_rate_limited: bool) -> None:
        """Update the broker's window from a response. Invalid headers are ignored.

        Args:
            headers: the response's headers.
            is_rate_limited: whether the response is HTTP 429. The window is then closed even without headers.
        """
        now = self._clock.now()
        remaining = _natural_number(headers.get("X-RateLimit-Remaining"))
        if not is_rate_limited and (remaining is None or remaining > 0):
            return
        wait = _natural_number(headers.get("Retry-After"))
        reset = _natural_number(headers.get("X-RateLimit-Reset"))
        if wait is not None and wait <= MINUTE.total_seconds():
            self._closed_until = now + timedelta(seconds=wait)
        elif reset is not None and now < (opens_at := _epoch_time(reset)) <= now + MINUTE:
            self._closed_until = opens_at
        elif is_rate_limited:
            self._closed_until = now + timedelta(seconds=1)

    def _opens_at(self, requests: int) -> datetime:
        """Return the time at which so many more requests are allowed, by our own window and the broker's."""
        now = self._clock.now()
        while self._sent and self._sent[0] <= now - MINUTE:
            self._sent.popleft()
        excess = len(self._sent) + min(requests, self._per_minute) - self._per_minute
        own = self._sent[excess - 1] + MINUTE if excess > 0 else now
        return max(own, self._closed_until or now)

    @property
    def closed_until(self) -> datetime | None:
        """Time at which the broker's window opens again, by its latest response; None if it was never closed."""
        return self._closed_until


def _natural_number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 12 else None


def _epoch_time(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)
