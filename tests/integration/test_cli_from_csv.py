"""``rebalance plan from-csv``: a spreadsheet becomes a plan that is executed as it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.terminal import Terminal
from tests.support.world import a_world


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Terminal]:
    with a_world(positions={"AAA": "50"}, cash="5000") as world:
        yield Terminal(world, tmp_path, {})


def made(desk: Terminal, sheet: str, *words: str) -> dict[str, Any]:
    path = desk.folder / "sheet.csv"
    path.write_text(sheet)
    done = desk.type("plan", "from-csv", str(path), *words)
    assert done.exit_code == 0, done.stderr
    plan: dict[str, Any] = json.loads(done.stdout)
    return plan


def trades(plan: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {item["symbol"]: (item["action"], item["trade_amount"]) for item in plan["items"]}


def test_target_weights_lead_from_the_accounts_positions_to_the_target(desk: Terminal) -> None:
    plan = made(desk, "symbol,target_weight\nAAA,20%\nbbb,0.25\nCCC,0\n")

    assert plan["total_portfolio_value"] == "10000"
    assert trades(plan) == {"AAA": ("SELL", "-3000"), "BBB": ("BUY", "2500"), "CCC": ("HOLD", "0")}
    assert desk.json("cli/validate", "validate", desk.file(plan))["problems"] == []


def test_dollars_are_taken_as_they_are_and_need_no_account(desk: Terminal) -> None:
    plan = made(
        desk, 'Symbol,Trade_Amount,Priority\nAAA,-500,2\nBBB,"$1,500.50",\n', "--value", "10000", "--id", "mine"
    )

    assert trades(plan) == {"AAA": ("SELL", "-500"), "BBB": ("BUY", "1500.5")}
    assert plan["plan_id"] == "mine"
    assert [item["target_value"] for item in plan["items"]] != ["0", "0"], "nothing asks for a full exit"


def test_a_plan_in_a_file_names_the_next_command(desk: Terminal) -> None:
    (desk.folder / "s.csv").write_text("symbol,trade_amount\nBBB,100\n")
    target = desk.folder / "made.json"

    words = ("plan", "from-csv", str(desk.folder / "s.csv"), "--value", "1000", "-o", str(target))
    done = desk.type(*words)

    assert done.exit_code == 0
    assert "rebalance preview" in done.stdout
    assert desk.json("cli/written", *words) == {"path": str(target), "next": f"rebalance preview {target}"}
    assert json.loads(target.read_text())["items"][0]["symbol"] == "BBB"


@pytest.mark.parametrize(
    ("sheet", "said"),
    [
        ("ticker,amount\nA,1\n", "needs the columns symbol"),
        ("symbol,trade_amount\nA,lots\n", "line 2: trade_amount 'lots' is not a number"),
        ("symbol,trade_amount,target_weight\nA,1,1\n", "line 2: a symbol, and either"),
        ("symbol,trade_amount\nA,1\nA,2\n", "symbol A appears twice"),
        ("symbol,trade_amount\n", "at least one item"),
        ("symbol,trade_amount,priority\nA,1,2.5\n", "line 2: priority '2.5' is not a whole number"),
        (
            "symbol,trade_amount,priority\nA,1,8\nB C,1,1\n",
            "than or equal to 5; items.1.symbol: ",
        ),
    ],
)
def test_a_sheet_that_makes_no_plan_ends_with_a_sentence(desk: Terminal, sheet: str, said: str) -> None:
    path = desk.folder / "sheet.csv"
    path.write_text(sheet)

    done = desk.type("plan", "from-csv", str(path), "--value", "1000")

    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())
