"""The rate limiter waits for the rate limit, but not beyond the deadline."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebalance_executor.adapters.alpaca.rate_limiter import RateLimiter
from rebalance_executor.domain.errors import RateLimited
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW

LATER = NOW + timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def test_requests_below_the_limit_do_not_wait() -> None:
    clock = SimulatedClock()
    limiter = RateLimiter(3, clock)
    for _ in range(3):
        limiter.acquire(LATER)

    assert clock.slept == []


def test_no_minute_has_more_requests_than_the_limit() -> None:
    clock = SimulatedClock()
    limiter = RateLimiter(3, clock)
    sent = []
    for _ in range(10):
        limiter.acquire(LATER)
        sent.append(clock.now())
        clock.advance(timedelta(seconds=7))

    assert all(later - earlier >= MINUTE for earlier, later in zip(sent, sent[3:], strict=False))


@pytest.mark.parametrize(
    ("sent", "requests", "waited", "allowed"),
    [(0, 60, 0, 60), (30, 60, 0, 30), (38, 60, 0, 2), (39, 60, 21, 2), (39, 1, 0, 1), (40, 1, 20, 1)],
    ids=["all", "as many as are left", "just enough", "a twentieth of the limit", "the last one", "one more"],
)
def test_wait_lasts_until_some_requests_are_allowed(sent: int, requests: int, waited: float, allowed: int) -> None:
    """One request per second was sent, up to now."""
    clock = SimulatedClock()
    limiter = RateLimiter(60 if sent < 38 else 40, clock)
    for _ in range(sent):
        limiter.acquire(LATER)
        clock.advance(timedelta(seconds=1))
    started = clock.now()

    assert limiter.wait(LATER, requests) == allowed
    assert (clock.now() - started).total_seconds() == waited


def test_wait_beyond_the_deadline_raises_with_the_time() -> None:
    clock = SimulatedClock()
    limiter = RateLimiter(1, clock)
    limiter.acquire(LATER)
    with pytest.raises(RateLimited) as caught:
        limiter.acquire(NOW + timedelta(seconds=30))

    assert caught.value.retry_at == NOW + MINUTE
    assert clock.slept == []


@pytest.mark.parametrize(
    ("headers", "is_rate_limited", "seconds"),
    [
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 20)}, False, 20),
        ({"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 20)}, False, 0),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 20)}, True, 20),
        ({"Retry-After": "7", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 20)}, True, 7),
        ({}, True, 1),
        ({"X-RateLimit-Reset": "soon"}, True, 1),
        ({"X-RateLimit-Reset": "99999999999"}, True, 1),
        ({"X-RateLimit-Reset": "1"}, True, 1),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "invalid"}, False, 0),
        ({"Retry-After": "86400"}, True, 1),
    ],
)
def test_headers_close_the_window(headers: dict[str, str], is_rate_limited: bool, seconds: int) -> None:
    clock = SimulatedClock()
    limiter = RateLimiter(200, clock)
    limiter.observe_headers(headers, is_rate_limited=is_rate_limited)
    limiter.acquire(LATER)

    assert clock.now() - NOW == timedelta(seconds=seconds)
