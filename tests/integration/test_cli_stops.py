"""Signals and closed pipes stop ``rebalance apply`` safely: real processes, with orders that never fill."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.desk import SECONDS, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.serve()
    yield desk
    desk.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_open_order_and_says_how_to_continue(desk: Desk, number: signal.Signals) -> None:
    process, _ = desk.working_apply()

    process.send_signal(number)
    process.send_signal(number)  # ``timeout`` and a closed terminal signal twice
    out, _ = process.communicate(timeout=SECONDS)

    assert process.returncode == 5
    assert desk.orders("open") == []
    assert "Stopped. Fills in 1 of 2 orders ($2,0" in " ".join(out.split())
    assert f"Continue: rebalance apply {desk.plan}" in out
    assert [word for word in out.split() if word in ("ZZA", "ZZC")] == ["ZZA", "ZZC"]
    _, orders, _ = desk.run("status", "stopped")
    assert "working" not in orders
    _, status, _ = desk.run("status")
    assert "Running   no" in status


def _close_stderr(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    process.stderr.close()


def _close_both(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize(
    ("streams", "close"),
    [({}, _close_stderr), ({"stderr": subprocess.STDOUT}, _close_both)],
    ids=["stderr", "stdout and stderr"],
)
def test_a_closed_pipe_stops_safely(
    desk: Desk, streams: dict[str, int], close: Callable[[subprocess.Popen[str]], None]
) -> None:
    process, _ = desk.working_apply(**streams)

    close(process)
    rest = process.stdout.read() if process.stdout is not None and not process.stdout.closed else ""

    assert process.wait(timeout=SECONDS) == 5
    assert desk.orders("open") == []
    if rest:
        assert f"Continue: rebalance apply {desk.plan}" in rest
    else:  # nothing is left to print to
        line = desk.last_log_line()
        assert line["message"] == "command.output_closed"
        assert f"Continue: rebalance apply {desk.plan}" in line["reason"]


def test_other_commands_end_quietly_when_their_reader_goes_away(desk: Desk) -> None:
    read, write = os.pipe()
    os.close(read)
    process = desk.start("status", stdout=write)
    os.close(write)

    _, errors = process.communicate(timeout=SECONDS)

    assert (process.returncode, errors) == (141, "")
