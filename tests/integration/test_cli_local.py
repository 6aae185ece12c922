"""``rebalance local`` end to end: real servers on loopback, the real handler, in a directory of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner, Result

from rebalance_cli.main import app
from rebalance_sandbox.servers import process_start_time


def item(symbol: str, action: str, trade: str, current: str, target: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "action": action,
        "trade_amount": trade,
        "current_weight": "0.1",
        "target_weight": "0.1",
        "weight_diff": "0",
        "target_value": target,
        "current_value": current,
        "priority": 2,
    }


PLAN = {
    "plan_id": "local-1",
    "correlation_id": "c",
    "causation_id": "c",
    "timestamp": "2026-01-26T15:00:00Z",
    "total_portfolio_value": "20000",
    "total_trade_value": "5000",
    "items": [
        item("ZZA", "SELL", "-2000", "2000", "0"),
        item("ZZB", "SELL", "-1000", "3000", "2000"),
        item("ZZC", "BUY", "2500", "500", "3000"),
        item("ZZD", "HOLD", "0", "1000", "1000"),
    ],
}


class Terminal:
    """Types ``rebalance local …`` in a directory of its own; servers and function are processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        """Plain text, and orders that are filled at once: nobody waits for a ladder here."""
        config = '{"order_style": "marketable_limit"}'
        home = str(self.home)
        return {"NO_COLOR": "1", "COLUMNS": "80", "REBALANCE_LOCAL_HOME": home, "EXECUTION_CONFIG": config}

    def type(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["local", *words], env=self.environment)

    def type_in_a_shell(self, *words: str) -> subprocess.CompletedProcess[str]:
        """In a process that ends, as what it started goes on."""
        return subprocess.run(
            [sys.executable, "-m", "rebalance_cli.main", "local", *words],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def event(self, content: object) -> str:
        path = self.folder / "event.json"
        path.write_text(json.dumps(content))
        return str(path)

    def pids(self) -> list[int]:
        records = [json.loads(path.read_text()) for path in (self.home / "run").glob("*.json")]
        return [record["pid"] for record in records if "pid" in record and process_start_time(record["pid"]) == record["born"]]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.type("down")


def test_a_plan_is_executed_once_and_its_repeat_is_answered_from_the_record(terminal: Terminal) -> None:
    event = terminal.event({"source": "planner", "detail-type": "RebalancePlanned", "detail": PLAN})

    first = terminal.type("run", event)
    servers_after_first = terminal.pids()
    again = terminal.type("run", event, "--json")

    assert first.exit_code == 0, first.stdout + first.stderr
    assert "SUCCESS" in first.stdout
    assert "it adds up" in first.stdout
    assert "3 new orders (0 before, 3 after)" in first.stdout
    assert "prices are invented" in first.stderr
    assert max(map(len, first.stdout.splitlines())) <= 80
    assert servers_after_first == []
    assert again.exit_code == 0
    assert "Already executed" in again.stderr
    assert "no new order (3 before, 3 after)" in again.stderr
    answer = json.loads(again.stdout)
    assert (answer["plan_id"], answer["status"], answer["orders_succeeded"]) == ("local-1", "success_with_skips", 3)


def test_servers_left_running_are_used_and_stopped_by_down(terminal: Terminal) -> None:
    up = terminal.type_in_a_shell("up")
    started = terminal.pids()
    healthy = terminal.type("run", terminal.event({"health": True}))

    assert up.returncode == 0, up.stderr
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:" in up.stdout
    assert len(started) == 2
    assert healthy.exit_code == 0, healthy.stdout + healthy.stderr
    assert "plans can be executed" in healthy.stdout
    assert terminal.pids() == started
    assert "Stopped: aws, broker" in terminal.type("down").stdout
    assert terminal.pids() == []
    assert terminal.type("reset", "--yes").exit_code == 0
    assert not (terminal.home / "aws").exists()


def test_a_plan_sent_to_the_queue_here_is_to_be_applied_because_no_function_reads_it(terminal: Terminal) -> None:
    terminal.type_in_a_shell("up")
    path = terminal.event(PLAN)

    sent = CliRunner().invoke(app, ["submit", path, "--home", str(terminal.home)], env=terminal.environment)

    assert sent.exit_code == 0, sent.stderr
    told = " ".join(sent.stdout.split())
    assert "Next rebalance apply" in told
    assert "no function reads queue or bus" in told


def test_an_event_file_that_is_not_there_ends_with_a_sentence_and_code_2(terminal: Terminal) -> None:
    missing = terminal.type("run", "nothing.json")

    assert missing.exit_code == 2
    assert "The event file nothing.json does not exist." in missing.stderr
    assert not terminal.home.exists()


def test_the_kill_switch_on_the_brokers_page_halts_what_runs_here(terminal: Terminal) -> None:
    page = json.loads(terminal.type_in_a_shell("up", "--json").stdout)["page"]

    def pull(*, on: bool) -> dict[str, object]:
        told = requests.post(f"{page}admin/levers", json={"name": "Kill switch", "on": on}, timeout=20)
        return dict(told.json())

    halted = pull(on=True)
    denied = terminal.type("run", terminal.event({"source": "planner", "detail": PLAN}))
    released = pull(on=False)

    assert (halted["on"], released["on"]) == (True, False)
    assert str(halted["text"]).startswith("HALTED by ")
    assert denied.exit_code in (4, 6), denied.stdout + denied.stderr
    assert "the paper broker's page" in denied.stdout
    assert "no new order" in denied.stdout
