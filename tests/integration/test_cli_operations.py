"""``rebalance init | doctor | halt | resume | bind | reconcile`` after real runs."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from rebalance_executor.domain.errors import PlanYielded
from tests.support.terminal import Terminal
from tests.support.world import KEYS, HandlerWorld, a_world, buy, outcomes, plan

DAY = {"prices": {"AAA": "100", "BBB": "100", "CCC": "100", "SPY": "600"}}


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world(positions={"AAA": "50"}, prices=DAY["prices"]) as world:
        yield world


@pytest.fixture
def terminal(world: HandlerWorld, tmp_path: Path) -> Terminal:
    return Terminal(world, tmp_path, {"REBALANCE_OPERATOR": "ada"})


# --- halt and resume -------------------------------------------------------------------------------------


def test_halted_account_trades_nothing_until_an_operator_resumes_it(world: HandlerWorld, terminal: Terminal) -> None:
    switch = terminal.json("cli/switch", "halt", "--reason", "prices look wrong")
    halted = world.deliver(plan(buy("AAA", "1000"), plan_id="halted"))

    assert (switch["state"], switch["by"], switch["reason"]) == ("HALTED", "ada", "prices look wrong")
    assert outcomes(halted) == {"AAA": ("DENIED", "HALTED")}

    shown = terminal.type("resume", "--reason", "feed is back", "--by", "grace")
    assert shown.exit_code == 0
    assert "HALTED  by ada" in shown.stdout
    assert "ACTIVE  by grace" in shown.stdout
    assert outcomes(world.deliver(plan(buy("AAA", "1000"), plan_id="later"))) == {"AAA": ("FILLED", None)}


def test_reducing_account_denies_buys(world: HandlerWorld, terminal: Terminal) -> None:
    assert terminal.json("cli/switch", "halt", "--reducing", "--reason", "margin call")["state"] == "REDUCING"
    assert outcomes(world.deliver(plan(buy("AAA", "1000")))) == {"AAA": ("DENIED", "REDUCING_ONLY")}


def test_kill_switch_needs_a_reason(terminal: Terminal) -> None:
    assert terminal.type("halt").exit_code == 2
    rejected = terminal.type("halt", "--reason", " ")
    assert rejected.exit_code == 2
    assert "reason" in rejected.stderr
    assert terminal.json("cli/status", "status")["switch"]["state"] == "ACTIVE"


# --- broker account and account name ---------------------------------------------------------------------


@pytest.fixture
def growth(world: HandlerWorld, terminal: Terminal) -> Terminal:
    """Return the terminal after a plan of the default account; the account growth has the same keys."""
    world.session.client("secretsmanager").create_secret(Name="alpaca/growth", SecretString=json.dumps(KEYS))
    world.deliver(plan(buy("AAA", "1000")))
    return terminal


def codes(result: Mapping[str, Any]) -> set[str | None]:
    return {code for _, code in outcomes(result).values()}


def test_broker_account_is_moved_to_another_account_name(world: HandlerWorld, growth: Terminal) -> None:
    assert codes(world.deliver(plan(buy("BBB", "500"), plan_id="a", account="growth"))) == {"ACCOUNT_MISMATCH"}

    moved = growth.json("cli/bind", "bind", "--account", "growth", "--reason", "renamed", "--by", "ada", "--yes")

    assert (moved["former"], moved["account"], moved["by"], moved["reason"]) == ("default", "growth", "ada", "renamed")
    assert codes(world.deliver(plan(buy("BBB", "500"), plan_id="b", account="growth"))) == {None}
    assert codes(world.deliver(plan(buy("CCC", "500"), plan_id="c"))) == {"ACCOUNT_MISMATCH"}


def test_binding_is_shown_before_it_is_moved_and_kept_without_confirmation(growth: Terminal) -> None:
    words = ("bind", "--account", "growth", "--reason", "renamed")

    for answers in ("n\n", ""):
        rejected = growth.type(*words, answers=answers)
        assert rejected.exit_code == 2
        assert "account default, bound 2026-01-26" in " ".join(rejected.stderr.split())
    assert growth.json("cli/bind", "bind", "--reason", "look")["account"] == "default"

    shown = growth.type(*words, answers="y\n")
    assert shown.exit_code == 0
    assert "account growth, bound 2026-01-26" in " ".join(shown.stdout.split())


def test_broker_account_of_another_deployment_is_moved_by_an_operator(world: HandlerWorld, tmp_path: Path) -> None:
    world.deliver(plan(buy("AAA", "1000")))
    other = Terminal(world, tmp_path, {"DEPLOYMENT": "000000000000/us-east-1/other"})

    (failing,) = [check for check in other.json("cli/doctor", "doctor", code=1)["checks"] if not check["ok"]]
    assert (failing["name"], failing["detail"].partition(":")[0]) == ("account", "ACCOUNT_MISMATCH")
    assert "rebalance bind" in failing["fix"]

    moved = other.json("cli/bind", "bind", "--reason", "the former stack was deleted", "--by", "ada", "--yes")
    assert (moved["former"], moved["account"], moved["by"]) == ("default", "default", "ada")
    assert other.json("cli/doctor", "doctor")["healthy"]


def test_binding_needs_a_reason(growth: Terminal) -> None:
    failure = growth.json("cli/failure", "bind", "--account", "growth", "--reason", " ", "--yes", code=2)
    assert failure["error"].startswith("INVALID_INPUT  reason:")


def test_binding_stays_while_a_plan_of_the_former_name_is_unfinished(world: HandlerWorld, growth: Terminal) -> None:
    world.broker.change({"default_fill": {"behaviour": "never"}})
    with pytest.raises(PlanYielded):
        world.deliver(plan(buy("BBB", "500"), plan_id="unfinished"), seconds=5)

    failure = growth.json("cli/failure", "bind", "--account", "growth", "--reason", "renamed", "--yes", code=2)

    assert failure["error"].startswith("INVALID_INPUT  account:")


# --- the doctor ------------------------------------------------------------------------------------------


def test_doctor_reports_healthy(terminal: Terminal) -> None:
    diagnosis = terminal.json("cli/doctor", "doctor")

    assert diagnosis["healthy"]
    assert [check["name"] for check in diagnosis["checks"]][:3] == ["configuration", "idempotency", "journal"]
    assert "Healthy" in terminal.type("doctor").stdout


def test_doctor_names_what_fails_and_how_to_fix_it(world: HandlerWorld, tmp_path: Path) -> None:
    broken = Terminal(world, tmp_path, {"IDEMPOTENCY_TABLE": "missing"})

    diagnosis = broken.json("cli/doctor", "doctor", code=1)
    failing = [check for check in diagnosis["checks"] if not check["ok"]]

    assert [check["name"] for check in failing] == ["idempotency"]
    assert "IDEMPOTENCY_TABLE" in failing[0]["fix"]
    assert "→" in broken.type("doctor").stdout


def test_unavailable_broker_is_not_reported_as_wrong_keys_or_clock(world: HandlerWorld, tmp_path: Path) -> None:
    world.broker.change({"faults": [{"kind": "status", "status": 503, "count": None}]})

    diagnosis = Terminal(world, tmp_path, {}).json("cli/doctor", "doctor", code=1)

    fixes = {check["name"]: check["fix"] for check in diagnosis["checks"] if not check["ok"]}
    assert set(fixes) == {"account", "clock", "quotes"}
    assert all("Alpaca is up" in fix for fix in fixes.values())


def test_doctor_names_the_account_and_its_missing_credentials(terminal: Terminal) -> None:
    diagnosis = terminal.json("cli/doctor", "doctor", "--account", "growth", code=1)

    fixes = {check["name"]: check["fix"] for check in diagnosis["checks"] if not check["ok"]}
    assert "account growth" in diagnosis["checks"][0]["detail"]
    assert set(fixes) == {"account", "clock", "quotes"}
    assert all("its keys" in fix for fix in fixes.values())


def test_doctor_and_health_report_a_broker_account_of_another_name(world: HandlerWorld, growth: Terminal) -> None:
    diagnosis = growth.json("cli/doctor", "doctor", "--account", "growth", code=1)

    (failing,) = [check for check in diagnosis["checks"] if not check["ok"]]
    assert failing["name"] == "account"
    assert failing["detail"].startswith("ACCOUNT_MISMATCH: ")
    assert "rebalance bind --account growth" in failing["fix"]
    assert growth.json("cli/doctor", "doctor")["healthy"]
    assert world.deliver({"health": True})["healthy"]


def test_doctor_warns_of_short_selling_and_margin(world: HandlerWorld, terminal: Terminal) -> None:
    world.broker.change({"account": {"shorting_enabled": True, "multiplier": "4"}})

    diagnosis = terminal.json("cli/doctor", "doctor")

    warnings = {check["name"]: check["fix"] for check in diagnosis["checks"] if check["warning"]}
    assert diagnosis["healthy"]
    assert set(warnings) == {"short selling", "margin"}
    assert "no_shorting" in warnings["short selling"]
    assert "Healthy, 2 warnings" in terminal.type("doctor").stdout


def test_doctor_distinguishes_a_halt_from_a_failure(terminal: Terminal) -> None:
    terminal.type("halt", "--reason", "holiday")
    diagnosis = terminal.json("cli/doctor", "doctor", code=6)
    assert [check["name"] for check in diagnosis["checks"] if not check["ok"]] == ["kill switch"]


def test_doctor_names_an_invalid_setting(world: HandlerWorld, tmp_path: Path) -> None:
    diagnosis = Terminal(world, tmp_path, {"EXECUTION_CONFIG": '{"cash_buffer": 2}'}).json(
        "cli/doctor", "doctor", code=1
    )
    assert "cash_buffer" in diagnosis["checks"][0]["detail"]


# --- broker against journal ------------------------------------------------------------------------------


def test_finished_plan_agrees_with_the_broker(world: HandlerWorld, terminal: Terminal) -> None:
    world.deliver(plan(buy("BBB", "1000")))
    answer = terminal.json("cli/reconcile", "reconcile", "plan-1")
    assert (answer["agrees"], answer["compared"], answer["differences"]) == (True, 1, [])


def test_trade_by_another_program_is_reported(world: HandlerWorld, terminal: Terminal) -> None:
    world.deliver(plan(buy("BBB", "1000")))
    world.change_after(1, {"positions": [{"symbol": "BBB", "qty": "3"}]})
    world.advance(2)

    answer = terminal.json("cli/reconcile", "reconcile", "plan-1", code=7)

    assert [difference["symbol"] for difference in answer["differences"]] == ["BBB"]
    assert "3 shares" in answer["differences"][0]["problem"]


def test_trade_by_a_later_plan_is_not_a_difference(world: HandlerWorld, terminal: Terminal) -> None:
    world.deliver(plan(buy("BBB", "1000")))
    world.advance(3600)
    world.deliver(plan(buy("BBB", "500"), plan_id="plan-2", timestamp=world.clock.now().isoformat()))
    assert terminal.json("cli/reconcile", "reconcile", "plan-1")["agrees"]


# --- init ------------------------------------------------------------------------------------------------


def test_init_writes_a_file_once(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "new.toml"

    assert terminal.type("init", "--local", "--config", str(file)).exit_code == 0
    assert tomllib.loads(file.read_text()) == {"target": "local"}
    again = terminal.type("init", "--local", "--config", str(file))
    assert again.exit_code == 2
    assert "--force" in again.stderr


def test_init_needs_a_target(terminal: Terminal) -> None:
    assert terminal.type("init").exit_code == 2


def test_init_of_a_stack_reads_account_and_variables_of_the_live_version(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise ``rebalance halt`` would halt the account default instead of the stack's account."""
    outputs = {"FunctionAlias": "arn:f:live", "PlanQueueUrl": "https://queue/plans.fifo"}
    stack_outputs = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
    copied = {"ACCOUNT": "growth", "EXECUTION_TABLE": "execution", "DEPLOYMENT": "000000000000/us-east-1/rebalance"}
    variables = {**copied, "LIVE_TRADING": "yes"}
    versions = {"arn:f:live": {"Environment": {"Variables": variables}}}
    aws = SimpleNamespace(
        describe_stacks=lambda StackName: {"Stacks": [{"Outputs": stack_outputs}]},  # noqa: N803, ARG005 - boto3's names
        get_function_configuration=lambda FunctionName: versions[FunctionName],  # noqa: N803
    )
    monkeypatch.setattr(boto3, "client", lambda *_, **__: aws)
    file = tmp_path / "new.toml"

    assert terminal.type("init", "--stack", "rebalance", "--config", str(file)).exit_code == 0
    assert tomllib.loads(file.read_text())["environment"] == {
        **copied,
        "PLAN_QUEUE_URL": "https://queue/plans.fifo",
    }
