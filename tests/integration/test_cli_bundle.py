"""``rebalance report PLAN --bundle``: everything for a bug report, without account data."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rebalance_executor.domain.errors import PlanYielded
from tests.support.terminal import Terminal
from tests.support.world import HandlerWorld, a_world, buy, plan, sell

ACCOUNT = "growth-7"
NUMBER = "987654321"
PLAN = plan(sell("AAA", "1000", current_value="5000"), buy("BBB", "2000"), account=ACCOUNT, metadata={"owner": "Ana"})


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world(positions={"AAA": "50"}, account={"account_number": NUMBER}) as world:
        yield world


@pytest.fixture
def terminal(world: HandlerWorld, tmp_path: Path) -> Terminal:
    """Provide a terminal on a machine with the log of the executed plan."""
    secret = json.dumps({"api_key": "growth-key", "secret_key": "secret", "account_number": NUMBER})
    world.session.client("secretsmanager").create_secret(Name=f"alpaca/{ACCOUNT}", SecretString=secret)
    world.deliver(PLAN)
    log = tmp_path / "log" / "run.jsonl"
    log.parent.mkdir()
    log.write_text(world.lines.getvalue())
    return Terminal(world, tmp_path, {})


def report(terminal: Terminal, plan: str, *words: str) -> Path:
    """Write a bundle and return its path."""
    path = terminal.folder / "bundle.zip"
    options = ("--account", ACCOUNT, "--data-dir", str(terminal.folder), "--bundle", str(path))
    done = terminal.type("report", plan, *options, *words)
    assert done.exit_code == 0, done.output
    return path


def texts(path: Path) -> dict[str, str]:
    """Return the files of a bundle."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def decoded(path: Path, name: str) -> Any:
    return json.loads(texts(path)[name])


def test_bundle_has_plan_result_journal_and_log(terminal: Terminal) -> None:
    path = report(terminal, terminal.file(PLAN))

    assert [item["symbol"] for item in decoded(path, "plan.json")["items"]] == ["AAA", "BBB"]
    assert decoded(path, "result.json")["status"] == "success"
    assert set(decoded(path, "journal.json")["journal"]["parents"]) == {"AAA", "BBB"}
    assert len(decoded(path, "journal.json")["runs"]) == 1
    events = [json.loads(line)["message"] for line in texts(path)["log.jsonl"].splitlines()]
    assert {"plan.started", "order.submitted", "plan.finished"} <= set(events)
    assert decoded(path, "versions.json")["python"]


def test_no_file_contains_account_data(terminal: Terminal, world: HandlerWorld) -> None:
    account_data = {ACCOUNT, NUMBER, "Ana"}
    account_data |= {order[name] for order in world.orders for name in ("id", "client_order_id")}
    before = world.lines.getvalue() + json.dumps(PLAN)
    assert {value for value in account_data if value in before} >= {ACCOUNT, "Ana", world.orders[0]["id"]}

    content = texts(report(terminal, terminal.file(PLAN)))

    assert {(name, value) for name, text in content.items() for value in account_data if value in text} == set()


def test_pseudonym_of_an_order_is_the_same_in_all_files(terminal: Terminal) -> None:
    path = report(terminal, "plan-1")

    (child,) = decoded(path, "journal.json")["journal"]["parents"]["AAA"]["children"]
    lines = [json.loads(line) for line in texts(path)["log.jsonl"].splitlines()]
    submitted = next(line for line in lines if line["message"] == "order.submitted" and line["symbol"] == "AAA")
    assert child["order_id"] == submitted["order_id"]
    assert child["order_id"].startswith("order-")


def test_removed_lists_the_pseudonyms_and_no_value(terminal: Terminal) -> None:
    removed = decoded(report(terminal, terminal.file(PLAN)), "removed.json")

    assert {"account-1", "order-1", "order-2", "client-order-1", "removed"} <= set(removed)
    assert all(count > 0 for count in removed.values())


def test_plan_that_is_not_finished_has_a_bundle_without_result(world: HandlerWorld, terminal: Terminal) -> None:
    world.broker.change({"fills": [{"symbol": "CCC", "behaviour": "never"}]})
    with pytest.raises(PlanYielded):
        world.deliver(plan(buy("CCC", "500"), plan_id="stuck", account=ACCOUNT), seconds=8)

    path = report(terminal, "stuck")

    assert "result.json" not in texts(path)
    assert decoded(path, "plan.json")["plan_id"] == "stuck"


def test_existing_file_is_kept(terminal: Terminal) -> None:
    path = terminal.folder / "bundle.zip"
    path.write_text("mine")

    done = terminal.type("report", "plan-1", "--account", ACCOUNT, "--bundle", str(path))

    assert done.exit_code == 2
    assert "exists" in done.output
    assert path.read_text() == "mine"


def test_bundle_needs_one_plan(terminal: Terminal) -> None:
    done = terminal.type("report", "--day", "2026-01-26", "--bundle", str(terminal.folder / "day.zip"))

    assert done.exit_code == 2
    assert not (terminal.folder / "day.zip").exists()


def test_answer_names_files_and_pseudonyms(terminal: Terminal) -> None:
    words = ("--account", ACCOUNT, "--bundle", str(terminal.folder / "b.zip"))

    answer = terminal.json("cli/report-bundle", "report", "plan-1", *words)
    assert set(answer["files"]) == set(texts(terminal.folder / "b.zip"))
    assert "account-1" in answer["replaced"]
