"""Signals and closed pipes stop ``rebalance apply`` safely: real processes, with orders that never fill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.support.builders import an_item_document
from tests.support.processes import clean_environment

_SECONDS = 60
PLAN = {
    "plan_id": "stopped",
    "correlation_id": "c",
    "causation_id": "c",
    "timestamp": "2026-01-26T15:00:00Z",
    "total_portfolio_value": "20000",
    "total_trade_value": "3500",
    "items": [
        an_item_document("ZZA", "SELL", "-2000", current_value="2000", target_value="0"),
        an_item_document("ZZC", "BUY", "1500", current_value="500", target_value="2000"),
    ],
}


class Desk:
    """A terminal with servers that keep running between its commands."""

    def __init__(self, folder: Path) -> None:
        self.plan = folder / "plan.json"
        self.plan.write_text(json.dumps(PLAN))
        self._processes: list[subprocess.Popen[str]] = []
        self.logs = folder / "data" / "log"
        self._environment = clean_environment(
            NO_COLOR="1", COLUMNS="80", REBALANCE_LOCAL_HOME=str(folder / "data"), PYTHONPATH=os.pathsep.join(sys.path)
        )

    def start(self, *words: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "rebalance_cli.main", *words]
        process = subprocess.Popen(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            cwd=self.plan.parent,
        )
        self._processes.append(process)
        return process

    def close(self) -> None:
        """Stop the servers, and close the pipes that a test left open."""
        self.run("local", "down")
        for process in self._processes:
            for stream in filter(None, (process.stdout, process.stderr)):
                stream.close()

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=_SECONDS)
        return process.returncode, out, err

    def serve(self) -> None:
        """Start the servers and let ZZC never fill; ZZA fills after a second."""
        code, out, err = self.run("local", "up", "--json")
        assert code == 0, err
        self.broker = str(json.loads(out)["broker"])
        code, _, err = self.run("preview", str(self.plan))
        assert code == 0, err
        fills = {"fills": [{"symbol": "ZZC", "behaviour": "never"}]}
        requests.post(f"{self.broker}/admin/world", json=fills, timeout=_SECONDS).raise_for_status()

    def open_orders(self) -> list[str]:
        keys = {"APCA-API-KEY-ID": "local", "APCA-API-SECRET-KEY": "local"}
        response = requests.get(f"{self.broker}/v2/orders?status=open", headers=keys, timeout=_SECONDS)
        return [order["symbol"] for order in response.json()]

    def last_log_line(self) -> dict[str, str]:
        log = max(self.logs.glob("*-plan.jsonl"))
        return dict(json.loads(log.read_text().splitlines()[-1]))

    def working_apply(self, **streams: int) -> tuple[subprocess.Popen[str], list[str]]:
        """Start ``apply`` and return it, with its first lines, when ZZA is filled and ZZC has an order."""
        process = self.start("apply", str(self.plan), "--timeout", "50", **streams)
        progress = process.stderr or process.stdout
        assert progress is not None
        lines = []
        for line in progress:
            lines.append(line)
            if "filled" in line and "ZZA" in line:  # printed with the next event, which is one of ZZC's order
                return process, lines
        raise AssertionError("".join(lines))


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
    out, _ = process.communicate(timeout=_SECONDS)

    assert process.returncode == 5
    assert desk.open_orders() == []
    assert "Stopped. Fills in 1 of 2 orders ($2,0" in " ".join(out.split())
    assert f"Continue: rebalance apply {desk.plan}" in out
    assert [word for word in out.split() if word in ("ZZA", "ZZC")] == ["ZZA", "ZZC"]
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

    assert process.wait(timeout=_SECONDS) == 5
    assert desk.open_orders() == []
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

    _, errors = process.communicate(timeout=_SECONDS)

    assert (process.returncode, errors) == (141, "")
