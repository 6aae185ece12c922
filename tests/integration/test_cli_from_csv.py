"""``rebalance plan from-csv``: make a plan from a spreadsheet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.terminal import Terminal
from tests.support.world import a_world


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    with a_world(positions={"AAA": "50"}, cash="5000") as world:
        yield Terminal(world, tmp_path, {})


def made(terminal: Terminal, sheet: str, *words: str) -> dict[str, Any]:
    path = terminal.folder / "sheet.csv"
    path.write_text(sheet)
    done = terminal.type("plan", "from-csv", str(path), *words)
    assert done.exit_code == 0, done.stderr
    plan: dict[str, Any] = json.loads(done.stdout)
    return plan


def trades(plan: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {item["symbol"]: (item["action"], item["trade_amount"]) for item in plan["items"]}


def test_target_weight_trades_the_difference_to_the_accounts_positions(terminal: Terminal) -> None:
    plan = made(terminal, "symbol,target_weight\nAAA,20%\nbbb,0.25\nCCC,0\n")

    assert plan["total_portfolio_value"] == "10000"
    assert trades(plan) == {"AAA": ("SELL", "-3000"), "BBB": ("BUY", "2500"), "CCC": ("HOLD", "0")}
    assert terminal.json("cli/validate", "validate", terminal.file(plan))["problems"] == []


def test_trade_amount_is_used_unchanged_and_needs_no_account(terminal: Terminal) -> None:
    plan = made(
        terminal,
        'Symbol,Trade_Amount,Priority\nAAA,-500,2\nBBB,"$1,500.50",\n',
        "--portfolio-value",
        "10000",
        "--plan-id",
        "mine",
    )

    assert trades(plan) == {"AAA": ("SELL", "-500"), "BBB": ("BUY", "1500.5")}
    assert plan["plan_id"] == "mine"
    assert [item["target_value"] for item in plan["items"]] != ["0", "0"], "no item requests a full exit"


def test_output_file_names_the_next_command(terminal: Terminal) -> None:
    (terminal.folder / "s.csv").write_text("symbol,trade_amount\nBBB,100\n")
    target = terminal.folder / "made.json"

    words = ("plan", "from-csv", str(terminal.folder / "s.csv"), "--portfolio-value", "1000", "-o", str(target))
    done = terminal.type(*words)

    assert done.exit_code == 0
    assert "rebalance preview" in done.stdout
    assert terminal.json("cli/written", *words) == {"path": str(target), "next": f"rebalance preview {target}"}
    assert json.loads(target.read_text())["items"][0]["symbol"] == "BBB"


@pytest.mark.parametrize(
    ("sheet", "problem"),
    [
        ("ticker,amount\nA,1\n", "needs the columns symbol"),
        ("symbol,trade_amount\nA,lots\n", "line 2: trade_amount 'lots' is not a number"),
        ("symbol,trade_amount,target_weight\nA,1,1\n", "line 2 needs a symbol and either"),
        ("symbol,trade_amount\nA,1\nA,2\n", "symbol A appears twice"),
        ("symbol,trade_amount\n", "at least one item"),
        ("symbol,trade_amount,trade_amount\nA,1,90000\n", "has the column trade_amount more than once"),
        ("symbol,trade_amount,priority\nA,1,1e10000000\n", "line 2: priority '1e10000000' is too large"),
        ("symbol,trade_amount\nA,1e999999999999%\n", "line 2: trade_amount '1e999999999999%' is not a number"),
        ("symbol,trade_amount,priority\nA,1,2.5\n", "line 2: priority '2.5' is not a whole number"),
        (
            "symbol,trade_amount,priority\nA,1,8\nB C,1,1\n",
            "than or equal to 5; items.1.symbol: ",
        ),
    ],
)
def test_invalid_sheet_names_the_problem(terminal: Terminal, sheet: str, problem: str) -> None:
    path = terminal.folder / "sheet.csv"
    path.write_text(sheet)

    done = terminal.type("plan", "from-csv", str(path), "--portfolio-value", "1000")

    assert done.exit_code == 2
    assert problem in " ".join(done.stderr.split())
