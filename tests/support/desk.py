"""A terminal on this machine whose commands are real processes, with servers that keep running between them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from tests.support.builders import an_item_document
from tests.support.processes import clean_environment

SECONDS = 60
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
        self.data_dir = folder / "data"
        self.logs = self.data_dir / "log"
        self._environment = clean_environment(
            NO_COLOR="1", COLUMNS="80", REBALANCE_LOCAL_HOME=str(folder / "data"), PYTHONPATH=os.pathsep.join(sys.path)
        )

    def start(
        self,
        *words: str,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start a command."""
        command = [sys.executable, "-m", "rebalance_cli.main", *words]
        process = subprocess.Popen(
            command,
            env=self._environment,
            stdin=stdin,
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
        """Run a command without a terminal; return its exit code, stdout and stderr."""
        process = self.start(*words)
        out, err = process.communicate(timeout=SECONDS)
        return process.returncode, out, err

    def answer(self, text: str, *words: str) -> tuple[int, str, str]:
        """Run a command whose input is a terminal on which a person types this text; return code, stdout, stderr."""
        person, terminal = pty.openpty()
        try:
            os.write(person, text.encode())
            process = self.start(*words, stdin=terminal)
            out, err = process.communicate(timeout=SECONDS)
        finally:
            os.close(person)
            os.close(terminal)
        return process.returncode, out, err

    def up(self) -> None:
        """Start the servers."""
        code, out, err = self.run("local", "up", "--json")
        assert code == 0, err
        self.broker = str(json.loads(out)["broker"])

    def serve(self) -> None:
        """Start the servers and let ZZC never fill; ZZA fills after a second."""
        self.up()
        code, _, err = self.run("preview", str(self.plan))
        assert code == 0, err
        self._set_fills([{"symbol": "ZZC", "behaviour": "never"}])

    def fill_all(self) -> None:
        """Let every order fill after a second."""
        self._set_fills([])

    def _set_fills(self, fills: list[dict[str, str]]) -> None:
        requests.post(f"{self.broker}/admin/world", json={"fills": fills}, timeout=SECONDS).raise_for_status()

    def orders(self, status: str) -> list[str]:
        """Return the symbols of the orders at the broker, of status ``open`` or ``all``."""
        return [order["symbol"] for order in self.read(f"/v2/orders?status={status}")]

    def holdings(self) -> dict[str, Decimal]:
        """Return the dollars of each holding at the broker."""
        return {one["symbol"]: Decimal(one["market_value"]) for one in self.read("/v2/positions")}

    def read(self, path: str) -> Any:
        """Return the broker's answer."""
        keys = {"APCA-API-KEY-ID": "local", "APCA-API-SECRET-KEY": "local"}
        return requests.get(self.broker + path, headers=keys, timeout=SECONDS).json()

    def file(self, name: str, document: object) -> str:
        """Write a JSON file and return its path."""
        path = self.plan.parent / name
        path.write_text(json.dumps(document))
        return str(path)

    def last_log_line(self) -> dict[str, str]:
        """Return the last line of the latest run's log."""
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
