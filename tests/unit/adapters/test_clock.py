"""The system clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from rebalance_executor.adapters.clock import SystemClock


def test_now_is_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()

    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta(0)


def test_sleep_waits_for_positive_spans_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)

    SystemClock().sleep(timedelta(milliseconds=1500))
    SystemClock().sleep(timedelta(seconds=-1))

    assert slept == [1.5, 0]
