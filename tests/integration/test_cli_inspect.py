"""``rebalance status | watch | explain | report`` on what a real run journalled."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from rebalance_cli.enum_docs import code_meanings
from rebalance_cli.main import app
from rebalance_executor.domain.errors import PlanYielded
from tests.support.terminal import Terminal
from tests.support.world import BUCKET, HandlerWorld, a_world, buy, hold, plan, sell

DAY = ("--day", "2026-01-26")
PLAN = plan(sell("AAA", "1000", current_value="5000"), buy("BBB", "2000"), buy("ZZZ", "10"), hold("CCC"))


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world(positions={"AAA": "50"}) as world:
        yield world


@pytest.fixture
def terminal(world: HandlerWorld, tmp_path: Path) -> Terminal:
    return Terminal(world, tmp_path, {})


@pytest.fixture
def executed(world: HandlerWorld, terminal: Terminal) -> Terminal:
    """Return a terminal after a plan with a sell, a buy, a denied buy and a hold."""
    world.deliver(PLAN)
    return terminal


def test_status_of_a_day_lists_its_plans_and_the_kill_switch(executed: Terminal) -> None:
    answer = executed.json("cli/status", "status", *DAY)
    shown = executed.type("status", *DAY)

    assert [(p["plan_id"], p["status"], p["runs"]) for p in answer["plans"]] == [("plan-1", "partial_success", 1)]
    assert answer["switch"]["state"] == "ACTIVE"
    assert answer["lease"] is None
    assert "partial_success" in shown.stdout
    assert "Running" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_status_of_a_day_without_plans_prints_that(executed: Terminal) -> None:
    assert "No plan started" in executed.type("status", "--day", "2026-01-25").stdout
    assert executed.json("cli/status", "status", "--day", "2026-01-27", "--days", "2")["plans"]


@pytest.mark.parametrize(
    "words", [("--days", "999999999999"), ("--days", "3661"), ("--day", "0001-01-01"), ("--day", "9999-12-31")]
)
def test_status_of_days_that_no_calendar_needs_is_a_usage_error(executed: Terminal, words: tuple[str, ...]) -> None:
    assert executed.type("status", *words).exit_code == 2


def test_status_of_a_plan_ends_with_the_exit_code_of_its_result(executed: Terminal) -> None:
    answer = executed.json("cli/status-plan", "status", "plan-1", code=3)

    assert answer["progress"] == "finished"
    assert [(o["symbol"], o["stage"]) for o in answer["orders"]] == [
        ("AAA", "filled"),
        ("BBB", "filled"),
        ("ZZZ", "denied"),
    ]
    assert executed.type("status", executed.file(PLAN)).exit_code == 3, "a file can name the plan"


def test_every_command_says_that_a_buy_was_cut_by_cash(tmp_path: Path) -> None:
    """Reproduction U4: the terminal printed "5 of 5 orders as planned" and ended with 0."""
    with a_world(cash="1000") as world:
        assert world.deliver(plan(buy("AAA", "500", priority=1), buy("BBB", "900", priority=2)))["success"] is False
        terminal = Terminal(world, tmp_path, {})
        result = terminal.json("execution-result", "report", "plan-1", code=3)
        status = terminal.json("cli/status-plan", "status", "plan-1", code=3)
        story = terminal.json("cli/explain", "explain", "plan-1", "BBB")
        printed = {name: terminal.type(name, "plan-1") for name in ("report", "watch")}
        page = tmp_path / "report.html"
        written = terminal.type("report", "plan-1", "--html", str(page))

    words = "1 of 2 orders as planned; BBB cut to 54 % by cash"
    assert (result["status"], result["orders_succeeded"], result["orders_scaled"]) == ("partial_success", 1, 1)
    order = result["orders"][1]
    assert (order["requested_shares"], order["requested_trade_amount"], order["outcome"]) == ("9", "900", "FILLED")
    shown = [(o["qty"], o["requested_qty"], o["as_planned"]) for o in status["orders"]]
    assert shown == [("5", "5", True), (order["planned_shares"], "9", False)]
    assert "finished: AAA filled, BBB cut" in printed["watch"].stdout
    assert story["order"]["success"] is False
    assert {name: (done.exit_code, words in " ".join(done.stdout.split())) for name, done in printed.items()} == {
        "report": (3, True),
        "watch": (3, True),
    }
    assert (written.exit_code, words in page.read_text(encoding="utf-8")) == (3, True)


def test_status_of_an_unknown_plan_prints_the_next_command(terminal: Terminal) -> None:
    done = terminal.type("status", "nothing")

    assert done.exit_code == 2
    assert "Plan nothing has not started on account default." in done.stderr
    assert "rebalance status --days 30" in done.stderr
    assert done.stdout == ""


def test_plan_that_waits_for_its_next_delivery_is_in_progress(terminal: Terminal) -> None:
    world = terminal.world
    world.broker.change({"fills": [{"symbol": "AAA", "behaviour": "never"}]})
    with pytest.raises(PlanYielded):
        world.deliver(PLAN, seconds=8)

    answer = terminal.json("cli/status-plan", "status", "plan-1", code=5)

    assert answer["progress"] == "waiting"
    assert answer["runs"][0]["end"] == "YIELDED"
    assert "waiting for the next run of its account" in terminal.type("status", "plan-1").stdout
    assert terminal.type("report", "plan-1").exit_code == 5


def test_status_names_the_unfinished_plan_whatever_day_it_was_started(world: HandlerWorld, terminal: Terminal) -> None:
    world.broker.change({"fills": [{"symbol": "AAA", "behaviour": "never"}]})
    with pytest.raises(PlanYielded):
        world.deliver(PLAN, seconds=8)
    world.advance(86_400)

    answer = terminal.json("cli/status", "status")
    shown = terminal.type("status").stdout

    assert answer["plans"] == []
    assert {name: answer["unfinished"][name] for name in ("plan_id", "phase", "runs", "source")} == {
        "plan_id": "plan-1",
        "phase": "SELLS",
        "runs": 1,
        "source": None,
    }
    assert "plan-1, unfinished since 2026-01-26" in " ".join(shown.split())
    assert "rebalance status plan-1" in shown


def test_status_of_an_account_without_an_unfinished_plan_names_none(executed: Terminal) -> None:
    assert executed.json("cli/status", "status", *DAY)["unfinished"] is None
    assert "unfinished" not in executed.type("status", *DAY).stdout


def test_object_version_that_a_plan_was_read_from_is_shown(world: HandlerWorld, terminal: Terminal) -> None:
    stored = world.session.client("s3").put_object(Bucket=BUCKET, Key="plan.json", Body=json.dumps(PLAN))
    world.deliver({"plan_s3": {"bucket": BUCKET, "key": "plan.json"}})
    source = f"s3://{BUCKET}/plan.json?versionId={stored['VersionId']}"

    assert terminal.json("cli/status-plan", "status", "plan-1", code=3)["source"] == source
    assert terminal.json("cli/explain", "explain", "plan-1", "BBB")["source"] == source
    for words in (("status", "plan-1"), ("explain", "plan-1", "BBB")):
        assert source in terminal.type(*words).stdout.replace("\n", "").replace(" ", "")


def test_watch_follows_a_plan_to_its_result(executed: Terminal) -> None:
    shown = executed.type("watch", "plan-1")

    assert shown.exit_code == 3
    assert "AAA filled, BBB filled, ZZZ denied" in shown.stdout
    assert "PARTIAL SUCCESS" in shown.stdout
    assert executed.json("cli/status-plan", "watch", "plan-1", code=3)["progress"] == "finished"


def test_explain_shows_a_filled_order_from_its_plan_to_its_cost(executed: Terminal) -> None:
    answer = executed.json("cli/explain", "explain", "plan-1", "bbb")
    events = [step["event"] for step in answer["steps"]]
    shown = " ".join(executed.type("explain", "plan-1", "BBB").stdout.split())

    assert answer["verdict"].startswith("FILLED")
    assert answer["order"]["outcome"] == "FILLED"
    assert [event for event in events if event.startswith(("order", "item"))] == [
        "order.intended",
        "order.submitted",
        "order.filled",
        "item.filled",
    ]
    assert "99.99 / 100.01" in shown, "the quote at arrival"
    assert "limit 100.01" in shown
    assert "worse than arrival" in shown


def test_explain_prints_the_meaning_of_the_code_of_a_denied_order(executed: Terminal) -> None:
    answer = executed.json("cli/explain", "explain", "plan-1", "ZZZ")

    assert answer["verdict"].startswith("DENIED (NOT_TRADABLE)")
    assert answer["meaning"] == code_meanings()["NOT_TRADABLE"]


def test_explain_adds_events_from_the_log_that_the_journal_does_not_store(tmp_path: Path) -> None:
    lost = {"method": "POST", "path": "/v2/orders", "kind": "drop", "when": "after", "count": 1}
    with a_world(faults=[lost]) as world:
        terminal = Terminal(world, tmp_path, {})
        world.deliver(plan(buy("BBB", "2000")))
        log = tmp_path / "lines.jsonl"
        log.write_text(world.lines.getvalue())

        steps = terminal.json("cli/explain", "explain", "plan-1", "BBB", "--log-file", str(log))["steps"]

    assert {"order.outcome_unknown", "order.found"} <= {step["event"] for step in steps if step["source"] == "log"}


def test_explain_of_an_unknown_symbol_lists_the_symbols_of_the_plan(executed: Terminal) -> None:
    done = executed.type("explain", "plan-1", "XYZ")

    assert done.exit_code == 2
    assert "AAA BBB ZZZ" in done.stderr


def test_report_prints_the_stored_result(executed: Terminal) -> None:
    answer = executed.json("execution-result", "report", "plan-1", code=3)
    shown = executed.type("report", "plan-1")

    assert answer["plan_id"] == "plan-1"
    assert (answer["status"], answer["broker"]) == ("partial_success", "simulated")
    assert "PARTIAL SUCCESS" in shown.stdout


@pytest.mark.parametrize("words", [["report"], ["status"], ["explain", "AAA"]])
def test_fills_of_a_simulated_broker_are_marked_where_they_are_shown(executed: Terminal, words: list[str]) -> None:
    command, *symbol = words
    shown = executed.type(command, "plan-1", *symbol).stdout
    assert "simulated, its fills say nothing about live costs" in " ".join(shown.split())
    schema = {"report": "execution-result", "status": "cli/status-plan", "explain": "cli/explain"}[command]
    code = 0 if command == "explain" else 3
    assert executed.json(schema, command, "plan-1", *symbol, code=code)["broker"] == "simulated"


def test_csv_report_has_one_row_per_order_at_the_broker(executed: Terminal) -> None:
    done = executed.type("report", "plan-1", "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))

    assert [(r["symbol"], r["outcome"], r["child_filled_qty"]) for r in rows] == [
        ("AAA", "FILLED", "10"),
        ("BBB", "FILLED", "20"),
        ("ZZZ", "DENIED", ""),
        ("CCC", "SKIPPED", ""),
    ]
    assert (rows[0]["success"], rows[0]["size_by"], rows[0]["broker"]) == ("true", "trade_amount", "simulated")


def test_report_of_a_day_contains_every_plan_and_ends_with_the_worst_exit_code(executed: Terminal) -> None:
    executed.world.deliver(plan(buy("CCC", "500"), plan_id="plan-2"))

    answer = executed.json("cli/report-day", "report", *DAY, code=3)

    assert [r["plan_id"] for r in answer["results"]] == ["plan-1", "plan-2"]
    assert answer["unfinished"] == []
    assert answer["need_attention"] == 1
    shown = executed.type("report", *DAY)
    assert shown.exit_code == 3
    assert shown.stdout.splitlines()[0] == "1 needs attention, 1 of 2 plans as planned"
    assert "Next      rebalance explain plan-1 ZZZ" in shown.stdout.splitlines()
    assert executed.type("report").exit_code == 2, "neither a plan nor a day"


def test_command_without_a_target_names_rebalance_init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    unset = dict.fromkeys(("REBALANCE_CONFIG", "REBALANCE_LOCAL_HOME", "EXECUTION_TABLE"))

    done = CliRunner().invoke(app, ["status"], env=unset)

    assert done.exit_code == 2
    assert "rebalance init --local" in done.stderr


def test_watch_reports_once_that_a_plan_has_not_started(terminal: Terminal, world: HandlerWorld) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            world.deliver(PLAN)

    with patch("time.sleep", wait):
        done = terminal.type("watch", "plan-1")

    assert done.exit_code == 3
    assert done.stderr.count("plan-1 has not started") == 1
    assert done.stdout.count("\nfinished: ") == 1


def test_watch_names_the_unfinished_plan_that_comes_first(terminal: Terminal, world: HandlerWorld) -> None:
    world.broker.change({"fills": [{"symbol": "AAA", "behaviour": "never"}]})
    with pytest.raises(PlanYielded):
        world.deliver(PLAN, seconds=8)

    def wait(_: float) -> None:
        world.broker.change({"fills": []})
        world.deliver(plan(buy("CCC", "500"), plan_id="plan-2"))

    with patch("time.sleep", wait):
        done = terminal.type("watch", "plan-2")

    assert "Plan plan-1 is finished first" in " ".join(done.stderr.split())
    assert done.exit_code == 0


# --- errors --------------------------------------------------------------------------------------------


def test_error_with_json_is_a_document(executed: Terminal) -> None:
    failure = executed.json("cli/failure", "status", "never-started", code=2)

    assert (failure["code"], failure["exit_code"]) == ("USAGE", 2)
    assert "rebalance status --days 30" in failure["next"]
    assert "never-started has not started" in failure["error"]


@pytest.mark.parametrize("target", [".", "missing/page.html"])
def test_html_report_that_cannot_be_written_names_the_path(executed: Terminal, target: str) -> None:
    path = str(executed.folder / target)

    failure = executed.json("cli/failure", "report", "plan-1", "--html", path, code=2)

    assert path.rstrip("/.") in failure["error"]


def test_names_and_reasons_are_printed_literally(world: HandlerWorld, terminal: Terminal) -> None:
    name, reason = "plan [/bold] :fire:", "see [red]ticket[/] :x:"
    world.deliver(plan(buy("BBB", "2000"), plan_id=name))
    terminal.type("halt", "--reason", reason)

    for words in (("status", name), ("watch", name), ("report", name), ("explain", name, "BBB"), ("status", *DAY)):
        done = terminal.type(*words)
        assert done.exit_code == 0, done.exception
        assert name in done.stdout
    assert reason in terminal.type("doctor").stdout


def test_status_of_an_account_that_does_not_exist_says_so(terminal: Terminal) -> None:
    unknown, known = terminal.type("status", "--account", "nosuch"), terminal.type("status")

    assert (unknown.exit_code, known.exit_code) == (2, 0)
    assert "There is no account nosuch" in " ".join(unknown.stderr.split())
    assert unknown.stdout == ""


@pytest.mark.parametrize("width", ["40", "80", "120"])
def test_no_line_ends_with_blanks(terminal: Terminal, width: str) -> None:
    narrow = Terminal(terminal.world, terminal.folder, {"COLUMNS": width})

    for words in (["status"], ["doctor"], ["halt", "--reason", "drill"]):
        done = narrow.type(*words)
        lines = (done.stdout + done.stderr).splitlines()
        assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize("option", ["--reason", "--by"])
def test_a_missing_name_or_reason_of_a_halt_is_asked_for(terminal: Terminal, option: str) -> None:
    words = {"--reason": "drill", "--by": "ada"} | {option: " "}

    done = terminal.type("halt", *(word for pair in words.items() for word in pair))

    assert done.exit_code == 2
    assert f"Give it with {option}." in " ".join(done.stderr.split())
