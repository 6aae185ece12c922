"""The machine's clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from rebalance_executor.adapters.clock import SystemClock


def test_given_the_machine_when_asked_for_the_time_then_it_is_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()

    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta(0)


def test_given_a_span_when_slept_then_it_is_waited_for_and_one_that_is_over_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)

    SystemClock().sleep(timedelta(milliseconds=1500))
    SystemClock().sleep(timedelta(seconds=-1))

    assert waited == [1.5, 0]
