"""``rebalance init | doctor | halt | resume | reconcile``, typed into a world after real runs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest

from tests.support.terminal import Terminal
from tests.support.world import HandlerWorld, a_world, buy, outcomes, plan

DAY = {"prices": {"AAA": "100", "BBB": "100", "CCC": "100", "SPY": "600"}}


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world(positions={"AAA": "50"}, prices=DAY["prices"]) as world:
        yield world


@pytest.fixture
def desk(world: HandlerWorld, tmp_path: Path) -> Terminal:
    return Terminal(world, tmp_path, {"REBALANCE_OPERATOR": "ada"})


# --- halt and resume -------------------------------------------------------------------------------------


def test_a_halted_account_trades_nothing_until_a_named_person_resumes_it(world: HandlerWorld, desk: Terminal) -> None:
    switch = desk.json("cli/switch", "halt", "--reason", "prices look wrong")
    halted = world.deliver(plan(buy("AAA", "1000"), plan_id="halted"))

    assert (switch["state"], switch["by"], switch["reason"]) == ("HALTED", "ada", "prices look wrong")
    assert outcomes(halted) == {"AAA": ("DENIED", "HALTED")}

    shown = desk.type("resume", "--reason", "feed is back", "--by", "grace")
    assert shown.exit_code == 0
    assert "HALTED  by ada" in shown.stdout
    assert "ACTIVE  by grace" in shown.stdout
    assert outcomes(world.deliver(plan(buy("AAA", "1000"), plan_id="later"))) == {"AAA": ("FILLED", None)}


def test_an_account_that_may_only_reduce_buys_nothing(world: HandlerWorld, desk: Terminal) -> None:
    assert desk.json("cli/switch", "halt", "--reducing", "--reason", "margin call")["state"] == "REDUCING"
    assert outcomes(world.deliver(plan(buy("AAA", "1000")))) == {"AAA": ("DENIED", "REDUCING_ONLY")}


def test_a_switch_needs_a_reason(desk: Terminal) -> None:
    assert desk.type("halt").exit_code == 2
    refused = desk.type("halt", "--reason", " ")
    assert refused.exit_code == 2
    assert "reason" in refused.stderr
    assert desk.json("cli/status", "status")["switch"]["state"] == "ACTIVE"


# --- the doctor ------------------------------------------------------------------------------------------


def test_the_doctor_finds_everything_well(desk: Terminal) -> None:
    told = desk.json("cli/doctor", "doctor")

    assert told["healthy"]
    assert [check["name"] for check in told["checks"]][:3] == ["configuration", "front door", "journal"]
    assert "Healthy" in desk.type("doctor").stdout


def test_the_doctor_says_what_is_wrong_and_how_to_mend_it(world: HandlerWorld, tmp_path: Path) -> None:
    sick = Terminal(world, tmp_path, {"IDEMPOTENCY_TABLE": "missing"})

    told = sick.json("cli/doctor", "doctor", code=1)
    wrong = [check for check in told["checks"] if not check["ok"]]

    assert [check["name"] for check in wrong] == ["front door"]
    assert "IDEMPOTENCY_TABLE" in wrong[0]["mend"]
    assert "→" in sick.type("doctor").stdout


def test_a_broker_that_does_not_answer_is_not_mistaken_for_wrong_keys_or_clocks(
    world: HandlerWorld, tmp_path: Path
) -> None:
    world.broker.change({"faults": [{"kind": "status", "status": 503, "count": None}]})

    told = Terminal(world, tmp_path, {}).json("cli/doctor", "doctor", code=1)

    mended = {check["name"]: check["mend"] for check in told["checks"] if not check["ok"]}
    assert set(mended) == {"account", "clock", "quotes"}
    assert all("Alpaca is up" in mend for mend in mended.values())


def test_the_doctor_tells_a_halt_apart_from_what_is_broken(desk: Terminal) -> None:
    desk.type("halt", "--reason", "holiday")
    told = desk.json("cli/doctor", "doctor", code=6)
    assert [check["name"] for check in told["checks"] if not check["ok"]] == ["kill switch"]


def test_the_doctor_names_a_setting_that_cannot_work(world: HandlerWorld, tmp_path: Path) -> None:
    told = Terminal(world, tmp_path, {"EXECUTION_CONFIG": '{"cash_buffer": 2}'}).json("cli/doctor", "doctor", code=1)
    assert "cash_buffer" in told["checks"][0]["detail"]


# --- broker against journal ------------------------------------------------------------------------------


def test_a_finished_plan_agrees_with_the_broker(world: HandlerWorld, desk: Terminal) -> None:
    world.deliver(plan(buy("BBB", "1000")))
    told = desk.json("cli/reconcile", "reconcile", "plan-1")
    assert (told["agrees"], told["compared"], told["differences"]) == (True, 1, [])


def test_what_somebody_else_traded_is_named(world: HandlerWorld, desk: Terminal) -> None:
    world.deliver(plan(buy("BBB", "1000")))
    world.change_after(1, {"positions": [{"symbol": "BBB", "qty": "3"}]})
    world.advance(2)

    told = desk.json("cli/reconcile", "reconcile", "plan-1", code=7)

    assert [one["symbol"] for one in told["differences"]] == ["BBB"]
    assert "3 shares are held" in told["differences"][0]["problem"]


def test_what_a_later_plan_traded_is_no_difference(world: HandlerWorld, desk: Terminal) -> None:
    world.deliver(plan(buy("BBB", "1000")))
    world.advance(3600)
    world.deliver(plan(buy("BBB", "500"), plan_id="plan-2", timestamp=world.clock.now().isoformat()))
    assert desk.json("cli/reconcile", "reconcile", "plan-1")["agrees"]


# --- init ------------------------------------------------------------------------------------------------


def test_init_writes_a_file_once(desk: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "rebalance.toml"

    assert desk.type("init", "--local", "--config", str(file)).exit_code == 0
    assert tomllib.loads(file.read_text()) == {"target": "local"}
    again = desk.type("init", "--local", "--config", str(file))
    assert again.exit_code == 2
    assert "--force" in again.stderr


def test_init_wants_to_know_where_to(desk: Terminal) -> None:
    assert desk.type("init").exit_code == 2


def test_init_of_a_stack_leads_to_its_own_account_and_to_the_version_in_force(
    desk: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise halting the account of the stack would halt one that is called default."""
    outputs = {"FunctionAlias": "arn:f:live", "PlanQueueUrl": "https://queue/plans.fifo"}
    told = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
    variables = {"ACCOUNT": "growth", "EXECUTION_TABLE": "execution", "RESULT_TOPIC": "arn:topic"}
    versions = {"arn:f:live": {"Environment": {"Variables": variables}}}
    aws = SimpleNamespace(
        describe_stacks=lambda StackName: {"Stacks": [{"Outputs": told}]},  # noqa: N803, ARG005 - boto3's names
        get_function_configuration=lambda FunctionName: versions[FunctionName],  # noqa: N803
    )
    monkeypatch.setattr(boto3, "client", lambda *_, **__: aws)
    file = tmp_path / "rebalance.toml"

    assert desk.type("init", "--stack", "rebalance", "--config", str(file)).exit_code == 0
    assert tomllib.loads(file.read_text())["environment"] == {
        "ACCOUNT": "growth",
        "EXECUTION_TABLE": "execution",
        "PLAN_QUEUE_URL": "https://queue/plans.fifo",
    }
