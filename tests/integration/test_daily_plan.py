"""The recipes of ``docs/daily-plan.md``: its commands and scripts run, its schedules parse."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import boto3
import pytest
import yaml  # type: ignore[import-untyped]

from rebalance_sandbox.servers import Servers
from tests.support.documents import blocks, run_all, shell
from tests.support.own_account import KEYS, machine
from tests.support.processes import clean_environment
from tests.support.terminal import Terminal
from tests.support.world import a_world

ROOT = Path(__file__).parents[2]
DAILY = ROOT / "examples" / "daily"
DOCUMENT = ROOT / "docs" / "daily-plan.md"
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Provide the variables of a shell that finds ``rebalance``, and an ``aws`` that copies to a folder."""
    programs = {
        "rebalance": f'exec {sys.executable} -m rebalance_cli.main "$@"',
        "aws": f'echo "$@" > {tmp_path}/aws.txt && cp "$3" {tmp_path}/uploaded.json',
    }
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, command in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{command}\n")
        (folder / name).chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    own = {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    return clean_environment(PYTHONPATH=str(ROOT / "src"), NO_COLOR="1", COLUMNS="92", PATH=path, **own)


@pytest.fixture
def folder(tmp_path: Path, environment: dict[str, str]) -> Iterator[Path]:
    """Provide a folder with the sheet, configured for an own account; the broker stands in for Alpaca."""
    folder = tmp_path / "rebalance"
    folder.mkdir()
    (folder / "weights.csv").write_text((DAILY / "weights.csv").read_text())
    with machine(tmp_path) as own:
        init = ["rebalance", "init", "--alpaca-paper", "--trading-url", own.broker.url]
        done = run(init, {**environment, **KEYS}, folder)
        assert done.returncode == 0, done.stderr
        yield folder


def run(command: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with the ``PATH`` of the environment and return its output."""
    return subprocess.run(
        ["/bin/sh", "-c", '"$@"', "sh", *command],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


# --- the page --------------------------------------------------------------------------------------------


def test_every_command_of_the_page_prints_what_is_shown(tmp_path: Path, environment: dict[str, str]) -> None:
    with shell(tmp_path, environment) as terminal:
        try:
            terminal.run("rebalance local up")  # so that not every command starts the servers
            run_all(DOCUMENT, terminal)
        finally:
            Servers.of(tmp_path / ".local").stop()


def test_shown_files_equal_the_files_in_examples() -> None:
    shown = {str(block.title): block.text for block in blocks(DOCUMENT) if block.title is not None}
    files = {f"examples/daily/{path.name}": path.read_text(encoding="utf-8") for path in DAILY.iterdir()}

    assert shown.pop("weights.csv") == files.pop("examples/daily/weights.csv")
    assert shown == files


# --- the scripts -----------------------------------------------------------------------------------------


def test_script_trades_once_a_day(folder: Path, environment: dict[str, str]) -> None:
    script = [str(DAILY / "run.sh"), str(folder)]

    first, second = run(script, environment, folder.parent), run(script, environment, folder.parent)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "SUCCESS" in first.stdout
    assert "Already executed" in second.stdout
    status = json.loads(run(["rebalance", "status", "--json"], environment, folder).stdout)
    assert [(plan["status"], plan["runs"]) for plan in status["plans"]] == [("success", 1)]

    (folder / "weights.csv").write_text("symbol,target_weight\nAAPL,10%\n")
    halted = run(["rebalance", "halt", "--reason", "drill"], environment, folder)
    stopped = run(script, {**environment, "STRATEGY": "other"}, folder.parent)
    assert (halted.returncode, stopped.returncode) == (0, 6)


def test_script_stops_at_an_invalid_sheet(folder: Path, environment: dict[str, str]) -> None:
    (folder / "weights.csv").write_text("symbol,target_weight\nAAPL,30\n")

    done = run([str(DAILY / "run.sh"), str(folder)], environment, folder.parent)

    assert done.returncode == 2
    assert "line 2, column target_weight" in done.stderr
    assert not (folder / "plan.json").exists()


def test_script_uploads_the_plan_as_the_object_of_the_schedule(folder: Path, environment: dict[str, str]) -> None:
    script = [str(DAILY / "upload.sh"), str(folder)]

    done = run(script, {**environment, "PLAN_BUCKET": "plans-of-ana"}, folder.parent)

    assert done.returncode == 0, done.stderr
    key = _template_parameter("ScheduledPlanKey")
    assert (folder.parent / "aws.txt").read_text().split() == ["s3", "cp", "plan.json", f"s3://plans-of-ana/{key}"]
    assert json.loads((folder.parent / "uploaded.json").read_text())["strategy_id"] == "daily"


def _template_parameter(name: str) -> str:
    lines = (ROOT / "template.yaml").read_text(encoding="utf-8").split(f"\n  {name}:\n")[1].splitlines()
    return next(line.split("Default: ")[1] for line in lines if "Default: " in line)


# --- the schedules ---------------------------------------------------------------------------------------


def test_cron_runs_the_script_on_weekdays_before_the_close() -> None:
    (line,) = [line for line in (DAILY / "crontab").read_text().splitlines() if line[:1].isdigit()]
    minute, hour, day, month, weekday, command = line.split(maxsplit=5)

    assert (minute, hour, day, month, weekday) == ("45", "15", "*", "*", "1-5")
    assert "run.sh" in command
    assert subprocess.run(["/bin/sh", "-n", "-c", command], check=False).returncode == 0
    assert "%" not in command, "cron reads it as a line break"


def test_systemd_runs_the_script_once_and_stops_it_safely() -> None:
    timer, service = _unit("rebalance-daily.timer"), _unit("rebalance-daily.service")

    assert timer["Timer"]["OnCalendar"] == "Mon..Fri *-*-* 15:45:00 America/New_York"
    assert timer["Timer"]["Persistent"] == "false"
    assert timer["Install"]["WantedBy"] == "timers.target"
    assert service["Service"]["Type"] == "oneshot"
    assert service["Service"]["ExecStart"].endswith("run.sh %h/rebalance")
    assert (service["Service"]["KillSignal"], service["Service"]["KillMode"]) == ("SIGINT", "mixed")


def _unit(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string((DAILY / name).read_text(encoding="utf-8"))
    return unit


def test_windows_task_runs_the_script_on_weekdays() -> None:
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    task = ET.parse(DAILY / "windows-task.xml").getroot()  # noqa: S314 - a file of this repository
    days = task.find(".//t:DaysOfWeek", space)
    assert days is not None

    assert [day.tag.split("}")[1] for day in days] == WEEKDAYS
    assert str(task.findtext(".//t:StartBoundary", None, space)).endswith("T15:45:00")
    assert task.findtext(".//t:StartWhenAvailable", None, space) == "false"
    assert "run.sh" in str(task.findtext(".//t:Arguments", None, space))


def test_workflow_is_due_at_one_of_its_two_times_in_each_season() -> None:
    workflow: dict[Any, Any] = yaml.safe_load((DAILY / "github-actions.yml").read_text(encoding="utf-8"))
    schedules = [entry["cron"] for entry in workflow[True]["schedule"]]  # YAML 1.1 reads "on" as true

    assert schedules == ["40 19 * * 1-5", "40 20 * * 1-5"], "15:40 in New York in summer and in winter"
    first, *others = workflow["jobs"]["plan"]["steps"]
    assert "TZ=America/New_York" in first["run"]
    assert {step["if"] for step in others} == {"steps.time.outputs.due == 'yes'"}
    assert "rebalance submit plan.json" in others[-1]["run"]
    for step in (first, others[-1]):
        assert subprocess.run(["/bin/sh", "-n", "-c", step["run"]], check=False).returncode == 0


# --- permissions -----------------------------------------------------------------------------------------


@pytest.fixture
def policy() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DAILY / "plan-writer-policy.json").read_text(encoding="utf-8"))
    return {statement["Sid"]: statement for statement in document["Statement"]}


def test_writer_may_write_the_object_of_the_schedule_only(policy: dict[str, Any]) -> None:
    statement = policy["WriteThePlanOfTheDay"]

    assert statement["Action"] == "s3:PutObject"
    assert statement["Resource"] == f"arn:aws:s3:::PLAN_BUCKET/{_template_parameter('ScheduledPlanKey')}"


def test_policy_allows_exactly_the_requests_of_the_command(tmp_path: Path, policy: dict[str, Any]) -> None:
    requests: Counter[str] = Counter()
    sheet = tmp_path / "weights.csv"
    sheet.write_text("symbol,weight\nAAA,20%\nBBB,20%\n")
    with a_world(positions={"AAA": "50"}, cash="5000") as world:
        boto3.setup_default_session()
        session: Any = boto3.DEFAULT_SESSION
        session._session.register(
            "before-call", lambda model, **_: requests.update([f"{model.service_model.service_name}:{model.name}"])
        )
        terminal = Terminal(world, tmp_path, {})
        assert terminal.type("plan", "from-weights", str(sheet)).exit_code == 0
        made = terminal.type("plan", "from-weights", str(sheet), "-o", str(tmp_path / "plan.json"))
        assert made.exit_code == 0
        world.deliver(json.loads((tmp_path / "plan.json").read_text()))
        terminal.type("plan", "from-weights", str(sheet), "-o", str(tmp_path / "plan.json"))
    allowed = {
        action
        for statement in policy.values()
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }

    assert requests
    assert requests.keys() <= allowed
