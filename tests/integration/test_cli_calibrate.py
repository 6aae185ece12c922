"""``rebalance calibrate`` on orders that a real run journalled, and on synthetic journals in the execution table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rebalance_executor.adapters.dynamodb import journal_items
from rebalance_executor.adapters.dynamodb.table import to_attributes
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.plan import Urgency
from tests.support.builders import a_child, a_parent
from tests.support.synthetic_fills import Market, journals
from tests.support.terminal import CONFIG, Terminal
from tests.support.world import EXECUTION, HandlerWorld, a_world, buy, plan

WAITING_PAYS = Market(lambda _: 0.08, ticks=10, places=("0", "0.1", "0.3", "0.5", "1"))


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world() as world:
        yield world


@pytest.fixture
def terminal(world: HandlerWorld, tmp_path: Path) -> Terminal:
    return Terminal(world, tmp_path, {"COLUMNS": "100"})


def store(world: HandlerWorld, stored: list[PlanJournal]) -> None:
    """Write plans without a result, as an unfinished run leaves them."""
    client = world.session.client("dynamodb")
    for journal in stored:
        parents = [journal_items.parent_item(journal.plan, parent) for parent in journal.parents.values()]
        for item in (journal_items.plan_item(journal.plan, 1), *parents):
            client.put_item(TableName=EXECUTION, Item=to_attributes(item))


def calibrate(terminal: Terminal, *words: str) -> Any:
    return terminal.json("cli/calibrate", "calibrate", *words)


def verdicts(answer: Any) -> dict[str, str]:
    (only,) = answer["classes"]
    return {one["urgency"]: one["verdict"] for one in only["proposals"]}


def test_account_without_orders_has_no_class_and_no_proposal(terminal: Terminal) -> None:
    answer = calibrate(terminal)
    shown = terminal.type("calibrate").stdout

    assert (answer["plans"], answer["orders"], answer["classes"]) == (0, 0, [])
    assert answer["execution_config"] is None
    assert "nothing is applied" in shown


def test_orders_of_a_real_run_are_used_and_too_few(terminal: Terminal) -> None:
    terminal.world.deliver(plan(buy("AAA", "500"), buy("BBB", "500")))
    answer = calibrate(terminal)

    assert (answer["plans"], answer["orders"], answer["broker"]) == (1, 2, "simulated")
    assert set(verdicts(answer).values()) == {"not_enough_data", "not_applicable"}


def test_proposal_is_a_configuration_that_the_program_accepts(terminal: Terminal) -> None:
    store(terminal.world, journals(WAITING_PAYS, plans=30, symbols=8, broker=BrokerKind.SIMULATED))
    answer = calibrate(terminal)

    assert verdicts(answer)["HIGH"] == "propose"
    config = ExecutionConfig.model_validate(answer["execution_config"])
    proposed = config.for_symbol("S0").ladder
    (only,) = answer["classes"]
    best = next(one["best"] for one in only["proposals"] if one["urgency"] == "HIGH")
    assert [str(place) for place in proposed[Urgency.HIGH].spread_fractions] == best["aims"]
    assert proposed[Urgency.URGENT] == config.ladder[Urgency.URGENT]
    assert set(config.per_symbol) == {f"S{number}" for number in range(8)}


def test_configured_values_are_kept_and_own_ladders_are_not_replaced(world: HandlerWorld, tmp_path: Path) -> None:
    own = {"NORMAL": {"aims": [0.5, 1], "wait_seconds": 9}}
    configured = {
        "cash_buffer": 0.01,
        "ladder": {"PATIENT": {"aims": [0.1, 1], "wait_seconds": 90}},
        "per_symbol": {"S0": {"ladder": own}, "S1": {"max_spread": 0.08}, "ZZZ": {"max_spread": 0.1}},
    }
    store(world, journals(WAITING_PAYS, plans=30, symbols=8, broker=BrokerKind.SIMULATED))
    terminal = Terminal(world, tmp_path, {"EXECUTION_CONFIG": json.dumps(configured)})
    proposed = calibrate(terminal)["execution_config"]

    assert proposed["cash_buffer"] == 0.01
    assert proposed["per_symbol"]["S0"] == {"ladder": own}
    assert proposed["per_symbol"]["S1"]["max_spread"] == 0.08
    assert proposed["per_symbol"]["ZZZ"] == {"max_spread": 0.1}
    ladder = ExecutionConfig.model_validate(proposed).for_symbol("S1").ladder
    assert str(ladder[Urgency.PATIENT]) == "0.1 → 1, 90 s", "the configured one, not the default"


def test_fills_of_other_kinds_of_brokers_are_left_out_and_counted(terminal: Terminal) -> None:
    store(terminal.world, journals(WAITING_PAYS, plans=2, broker=BrokerKind.SIMULATED))
    store(terminal.world, journals(WAITING_PAYS, plans=3, seed=2, broker=BrokerKind.PAPER))

    configured, paper = calibrate(terminal), calibrate(terminal, "--broker", "paper")

    assert (configured["plans"], configured["other_plans"]) == (2, {"paper": 3})
    assert (paper["plans"], paper["other_plans"]) == (3, {"simulated": 2})
    assert "paper, its fills say nothing about live costs" in terminal.type("calibrate", "--broker", "paper").stdout


def test_only_the_days_that_are_asked_for_are_read(terminal: Terminal) -> None:
    store(terminal.world, journals(WAITING_PAYS, plans=1, broker=BrokerKind.SIMULATED))
    assert calibrate(terminal, "--days", "1")["plans"] == 1
    assert calibrate(terminal, "--day", "2026-01-25")["plans"] == 0


def test_open_order_of_an_unfinished_plan_is_left_out(terminal: Terminal) -> None:
    (journal,) = journals(WAITING_PAYS, plans=1, symbols=1, broker=BrokerKind.SIMULATED)
    store(terminal.world, [replace(journal, parents={"S0": a_parent(a_child(), symbol="S0")})])
    answer = calibrate(terminal)
    assert (answer["orders"], answer["left_out"]) == (0, {"open": 1})


def test_printed_answer_fits_and_ends_with_the_configuration_on_one_line(terminal: Terminal) -> None:
    store(terminal.world, journals(WAITING_PAYS, plans=30, symbols=8, broker=BrokerKind.SIMULATED))
    for width in ("80", "100"):
        shown = Terminal(terminal.world, terminal.folder, {"COLUMNS": width}).type("calibrate").stdout
        *lines, last = shown.splitlines()
        assert max(map(len, lines)) <= int(width)
        assert "…" not in "".join(lines)
        name, _, value = last.removeprefix("Next      ").partition("=")
        assert name == "EXECUTION_CONFIG"
        assert json.loads(shlex.split(value)[0]) == calibrate(terminal)["execution_config"]
        assert "Nothing is applied." in shown


def test_calibrate_writes_nothing(terminal: Terminal) -> None:
    store(terminal.world, journals(WAITING_PAYS, plans=30, symbols=8, broker=BrokerKind.SIMULATED))
    client = terminal.world.session.client("dynamodb")
    before = client.scan(TableName=EXECUTION)["Items"]
    terminal.type("calibrate")
    assert client.scan(TableName=EXECUTION)["Items"] == before
    assert terminal.config.read_text() == CONFIG
