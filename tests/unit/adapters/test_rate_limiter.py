"""The rate limit is kept by waiting, and never waited for beyond the run's patience."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebalance_executor.adapters.alpaca.rate_limiter import RateLimiter
from rebalance_executor.domain.errors import RateLimited
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW

FAR = NOW + timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def test_requests_below_the_limit_do_not_wait() -> None:
    clock = SimulatedClock()
    pacer = RateLimiter(3, clock)
    for _ in range(3):
        pacer.acquire(FAR)

    assert clock.slept == []


def test_in_no_minute_are_there_more_requests_than_allowed() -> None:
    clock = SimulatedClock()
    pacer = RateLimiter(3, clock)
    sent = []
    for _ in range(10):
        pacer.acquire(FAR)
        sent.append(clock.now())
        clock.advance(timedelta(seconds=7))

    assert all(later - earlier >= MINUTE for earlier, later in zip(sent, sent[3:], strict=False))


def test_a_wait_beyond_the_runs_patience_is_refused_with_the_time() -> None:
    clock = SimulatedClock()
    pacer = RateLimiter(1, clock)
    pacer.acquire(FAR)
    with pytest.raises(RateLimited) as caught:
        pacer.acquire(NOW + timedelta(seconds=30))

    assert caught.value.retry_at == NOW + MINUTE
    assert clock.slept == []


@pytest.mark.parametrize(
    ("headers", "refused", "waits"),
    [
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 20)}, False, 20),
        ({"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 20)}, False, 0),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 20)}, True, 20),
        ({"Retry-After": "7", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 20)}, True, 7),
        ({}, True, 1),
        ({"X-RateLimit-Reset": "soon"}, True, 1),
        ({"X-RateLimit-Reset": "99999999999"}, True, 1),
        ({"X-RateLimit-Reset": "1"}, True, 1),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "nonsense"}, False, 0),
        ({"Retry-After": "86400"}, True, 1),
    ],
)
def test_what_the_brokers_headers_say(headers: dict[str, str], refused: bool, waits: int) -> None:
    clock = SimulatedClock()
    pacer = RateLimiter(200, clock)
    pacer.observe_headers(headers, is_rate_limited=refused)
    pacer.acquire(FAR)

    assert clock.now() - NOW == timedelta(seconds=waits)
