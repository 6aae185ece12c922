"""``rebalance status | watch | explain | report`` on what a real run journalled."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from rebalance_executor.domain.errors import PlanYielded
from tests.support.terminal import Terminal
from tests.support.world import HandlerWorld, a_world, buy, hold, plan, sell

DAY = ("--day", "2026-01-26")
PLAN = plan(sell("AAA", "1000", current_value="5000"), buy("BBB", "2000"), buy("ZZZ", "10"), hold("CCC"))


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world(positions={"AAA": "50"}) as world:
        yield world


@pytest.fixture
def desk(world: HandlerWorld, tmp_path: Path) -> Terminal:
    return Terminal(world, tmp_path, {})


@pytest.fixture
def executed(world: HandlerWorld, desk: Terminal) -> Terminal:
    """After a plan with a sell, a buy, a denied buy and a hold."""
    world.deliver(PLAN)
    return desk


def test_the_status_of_a_day_lists_its_plans_and_the_kill_switch(executed: Terminal) -> None:
    answer = executed.json("cli/status", "status", *DAY)
    shown = executed.type("status", *DAY)

    assert [(p["plan_id"], p["status"], p["runs"]) for p in answer["plans"]] == [("plan-1", "partial_success", 1)]
    assert answer["switch"]["state"] == "ACTIVE"
    assert answer["lease"] is None
    assert "partial_success" in shown.stdout
    assert "At work" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_a_day_without_plans_says_so(executed: Terminal) -> None:
    assert "No plan was begun" in executed.type("status", "--day", "2026-01-25").stdout
    assert executed.json("cli/status", "status", "--day", "2026-01-27", "--days", "2")["plans"]


def test_the_status_of_a_plan_tells_by_its_exit_code_how_it_ended(executed: Terminal) -> None:
    answer = executed.json("cli/status-plan", "status", "plan-1", code=3)

    assert answer["progress"] == "finished"
    assert [(o["symbol"], o["stage"]) for o in answer["orders"]] == [
        ("AAA", "filled"),
        ("BBB", "filled"),
        ("ZZZ", "denied"),
    ]
    assert executed.type("status", executed.file(PLAN)).exit_code == 3, "a file names the plan, too"


def test_a_plan_that_was_never_begun_ends_with_the_next_command(desk: Terminal) -> None:
    done = desk.type("status", "nothing")

    assert done.exit_code == 2
    assert "Plan nothing has not started on account default." in done.stderr
    assert "rebalance status --days 30" in done.stderr
    assert done.stdout == ""


def test_a_plan_that_waits_for_its_next_delivery_is_in_progress(desk: Terminal) -> None:
    world = desk.world
    world.broker.change({"fills": [{"symbol": "AAA", "behaviour": "never"}]})
    with pytest.raises(PlanYielded):
        world.deliver(PLAN, seconds=8)

    answer = desk.json("cli/status-plan", "status", "plan-1", code=5)

    assert answer["progress"] == "waiting"
    assert answer["runs"][0]["end"] == "YIELDED"
    assert "waiting for its next delivery" in desk.type("status", "plan-1").stdout
    assert desk.type("report", "plan-1").exit_code == 5


def test_a_watched_plan_is_followed_to_its_result(executed: Terminal) -> None:
    shown = executed.type("watch", "plan-1")

    assert shown.exit_code == 3
    assert "AAA filled, BBB filled, ZZZ denied" in shown.stdout
    assert "PARTIAL SUCCESS" in shown.stdout
    assert executed.json("cli/status-plan", "watch", "plan-1", code=3)["progress"] == "finished"


def test_the_story_of_a_filled_order_is_told_from_its_plan_to_its_cost(executed: Terminal) -> None:
    answer = executed.json("cli/explain", "explain", "plan-1", "bbb")
    events = [step["event"] for step in answer["steps"]]
    shown = " ".join(executed.type("explain", "plan-1", "BBB").stdout.split())

    assert answer["verdict"].startswith("FILLED")
    assert answer["order"]["outcome"] == "FILLED"
    assert [e for e in events if e.startswith("order")] == [
        "order.intended",
        "order.submitted",
        "order.filled",
        "order.settled",
    ]
    assert "the plan asks to buy $2,000.00; quote at arrival 99.99 / 100.01" in shown
    assert "attempt 1: limit 100.01 for 20 shares" in shown
    assert "worse than arrival mid" in shown


def test_the_story_of_a_denied_order_says_what_its_code_means(executed: Terminal) -> None:
    answer = executed.json("cli/explain", "explain", "plan-1", "ZZZ")

    assert answer["verdict"] == "DENIED (NOT_TRADABLE); 0 of 0 shares filled"
    assert answer["meaning"] == "The asset is unknown, no US stock or fund, inactive or not tradable."


def test_the_story_takes_from_the_log_what_the_journal_does_not_hold(tmp_path: Path) -> None:
    lost = {"method": "POST", "path": "/v2/orders", "kind": "drop", "when": "after", "count": 1}
    with a_world(faults=[lost]) as world:
        desk = Terminal(world, tmp_path, {})
        world.deliver(plan(buy("BBB", "2000")))
        log = tmp_path / "lines.jsonl"
        log.write_text(world.lines.getvalue())

        steps = desk.json("cli/explain", "explain", "plan-1", "BBB", "--log", str(log))["steps"]

    assert {"order.outcome_unknown", "order.found"} <= {step["event"] for step in steps if step["source"] == "log"}


def test_an_order_that_the_plan_does_not_have_ends_with_those_it_has(executed: Terminal) -> None:
    done = executed.type("explain", "plan-1", "XYZ")

    assert done.exit_code == 2
    assert "AAA BBB ZZZ" in done.stderr


def test_the_report_is_the_stored_result(executed: Terminal) -> None:
    answer = executed.json("execution-result", "report", "plan-1", code=3)
    shown = executed.type("report", "plan-1")

    assert answer["plan_id"] == "plan-1"
    assert answer["status"] == "partial_success"
    assert "PARTIAL SUCCESS" in shown.stdout


def test_the_csv_has_a_row_for_each_order_at_the_broker(executed: Terminal) -> None:
    done = executed.type("report", "plan-1", "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))

    assert [(r["symbol"], r["outcome"], r["child_filled_qty"]) for r in rows] == [
        ("AAA", "FILLED", "10"),
        ("BBB", "FILLED", "20"),
        ("ZZZ", "DENIED", ""),
        ("CCC", "SKIPPED", ""),
    ]
    assert rows[0]["success"] == "true"


def test_the_report_of_a_day_holds_every_plan_and_the_worst_exit_code(executed: Terminal) -> None:
    executed.world.deliver(plan(buy("CCC", "500"), plan_id="plan-2"))

    answer = executed.json("cli/report-day", "report", *DAY, code=3)

    assert [r["plan_id"] for r in answer["results"]] == ["plan-1", "plan-2"]
    assert answer["unfinished"] == []
    assert executed.type("report").exit_code == 2, "neither a plan nor a day"


def test_a_command_that_leads_nowhere_says_how_to_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_world() as world:
        nowhere = Terminal(world, tmp_path, {"EXECUTION_TABLE": ""})

        done = nowhere.type("status")

    assert done.exit_code == 2
    assert "rebalance init --local" in done.stderr


def test_who_watches_a_plan_that_is_not_begun_is_told_so_once(desk: Terminal, world: HandlerWorld) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            world.deliver(PLAN)

    with patch("time.sleep", wait):
        done = desk.type("watch", "plan-1")

    assert done.exit_code == 3
    assert done.stderr.count("plan-1 is not begun yet") == 1
    assert done.stdout.count("\nfinished: ") == 1


# --- what goes wrong -------------------------------------------------------------------------------------


def test_with_json_an_error_is_a_document_too(executed: Terminal) -> None:
    told = executed.json("cli/failure", "status", "never-begun", code=2)

    assert (told["code"], told["exit_code"]) == ("USAGE", 2)
    assert "rebalance status --days 30" in told["next"]
    assert "never-begun has not started" in told["error"]


@pytest.mark.parametrize("target", [".", "missing/page.html"])
def test_a_page_that_cannot_be_written_ends_with_a_sentence(executed: Terminal, target: str) -> None:
    path = str(executed.folder / target)

    told = executed.json("cli/failure", "report", "plan-1", "--html", path, code=2)

    assert path.rstrip("/.") in told["error"]


def test_names_and_reasons_are_shown_as_they_are_and_never_read_as_markup(world: HandlerWorld, desk: Terminal) -> None:
    name, reason = "plan [/bold] :fire:", "see [red]ticket[/] :x:"
    world.deliver(plan(buy("BBB", "2000"), plan_id=name))
    desk.type("halt", "--reason", reason)

    for words in (("status", name), ("watch", name), ("report", name), ("explain", name, "BBB"), ("status", *DAY)):
        done = desk.type(*words)
        assert done.exit_code == 0, done.exception
        assert name in done.stdout
    assert reason in desk.type("doctor").stdout
