"""``rebalance local`` end to end: real servers on loopback and the real handler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner, Result

from rebalance_cli.main import app
from rebalance_sandbox.running import running_servers
from tests.support.builders import an_item_document

PLAN = {
    "plan_id": "local-1",
    "correlation_id": "c",
    "causation_id": "c",
    "timestamp": "2026-01-26T15:00:00Z",
    "total_portfolio_value": "20000",
    "total_trade_value": "5000",
    "items": [
        an_item_document("ZZA", "SELL", "-2000", current_value="2000", target_value="0"),
        an_item_document("ZZB", "SELL", "-1000", current_value="3000", target_value="2000"),
        an_item_document("ZZC", "BUY", "2500", current_value="500", target_value="3000"),
        an_item_document("ZZD", "HOLD", "0", current_value="1000", target_value="1000"),
    ],
}


class LocalTerminal:
    """Terminal that types ``rebalance local …`` in its own directory. Servers and function are real processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"

    @property
    def environment(self) -> dict[str, str]:
        """Plain text, and marketable orders, which fill at once."""
        config = '{"order_style": "marketable_limit"}'
        data_dir = str(self.data_dir)
        return {"NO_COLOR": "1", "COLUMNS": "80", "REBALANCE_LOCAL_HOME": data_dir, "EXECUTION_CONFIG": config}

    def type(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["local", *words], env=self.environment)

    def type_in_a_shell(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Type a command in a process that ends while the servers it started keep running."""
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
        return [server.pid for server in running_servers(self.data_dir).values()]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[LocalTerminal]:
    terminal = LocalTerminal(tmp_path)
    yield terminal
    terminal.type("down")


def test_plan_executes_once_and_its_repetition_returns_the_stored_result(terminal: LocalTerminal) -> None:
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


def test_run_uses_servers_that_up_started_and_down_stops_them(terminal: LocalTerminal) -> None:
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
    assert not (terminal.data_dir / "aws").exists()


def test_local_submit_recommends_apply_because_no_function_reads_the_queue(terminal: LocalTerminal) -> None:
    terminal.type_in_a_shell("up")
    path = terminal.event(PLAN)

    sent = CliRunner().invoke(app, ["submit", path, "--data-dir", str(terminal.data_dir)], env=terminal.environment)

    assert sent.exit_code == 0, sent.stderr
    assert f"Nextrebalanceapply{path}" in "".join(sent.stdout.split())


def test_apply_shows_the_fills_of_an_unfinished_plan_and_continues_it_later(terminal: LocalTerminal) -> None:
    page = json.loads(terminal.type_in_a_shell("up", "--json").stdout)["page"]
    command = ["apply", terminal.event(PLAN), "--timeout", "6", "--data-dir", str(terminal.data_dir), "--json"]

    requests.post(f"{page}admin/world", json={"fills": [{"symbol": "ZZC", "behaviour": "never"}]}, timeout=20)
    unfinished = CliRunner().invoke(app, command, env=terminal.environment)
    requests.post(f"{page}admin/world", json={"fills": []}, timeout=20)
    finished = CliRunner().invoke(app, command, env=terminal.environment)

    failure = json.loads(unfinished.stdout)
    assert (unfinished.exit_code, failure["code"]) == (5, "PLAN_YIELDED")
    assert "2 of 3 orders" in failure["error"]
    assert failure["next"] == f"Continue: rebalance apply {command[1]}"
    assert json.loads(finished.stdout)["runs"] == 2


def test_missing_event_file_ends_with_exit_code_2(terminal: LocalTerminal) -> None:
    missing = terminal.type("run", "nothing.json")

    assert missing.exit_code == 2
    assert "nothing.json does not exist" in missing.stderr
    assert not terminal.data_dir.exists()


def test_kill_switch_on_the_broker_page_halts_local_runs(terminal: LocalTerminal) -> None:
    page = json.loads(terminal.type_in_a_shell("up", "--json").stdout)["page"]

    def press(*, on: bool) -> dict[str, object]:
        response = requests.post(f"{page}admin/operator_buttons", json={"name": "Kill switch", "on": on}, timeout=20)
        return dict(response.json())

    halted = press(on=True)
    denied = terminal.type("run", terminal.event({"source": "planner", "detail": PLAN}))
    released = press(on=False)

    assert (halted["on"], released["on"]) == (True, False)
    assert str(halted["text"]).startswith("HALTED by ")
    assert denied.exit_code in (4, 6), denied.stdout + denied.stderr
    assert "the simulated broker's page" in denied.stdout
    assert "no new order" in denied.stdout
