"""Runs on this machine: requests to stop them, and their logs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from rebalance_sandbox import stop_signals
from rebalance_sandbox.handler_process import Interrupted, _StopRequest
from rebalance_sandbox.invocation import new_log


def test_the_first_interrupt_requests_a_safe_stop_and_the_second_ends_the_run() -> None:
    stop = _StopRequest()
    assert not stop.is_requested()

    stop.on_signal(signal.SIGUSR1, None)
    assert stop.is_requested()

    before = signal.getsignal(signal.SIGUSR1)
    try:
        with pytest.raises(Interrupted):
            stop.on_signal(signal.SIGUSR1, None)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_end_of_the_command_requests_a_safe_stop() -> None:
    assert _StopRequest(command=os.getppid() + 1).is_requested()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_once_and_its_handler_is_restored(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    with stop_signals.as_interrupt():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(number)

    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stop_signals.as_interrupt():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_runs_that_start_at_the_same_time_have_a_log_each(tmp_path: Path) -> None:
    logs = [new_log(tmp_path / "log", "plan") for _ in range(20)]

    assert len(set(logs)) == 20
    assert all(log.is_file() and log.suffix == ".jsonl" for log in logs)
