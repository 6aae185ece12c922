"""``rebalance plan from-weights`` and ``from-csv``: make a plan from a sheet and the account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.support.own_account import machine
from tests.support.terminal import Terminal
from tests.support.world import a_world, buy, plan

DAY = "2026-01-26"
"""New York day of the worlds' clock."""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    with a_world(positions={"AAA": "50"}, cash="5000") as world:
        yield Terminal(world, tmp_path, {})


def sheet(terminal: Terminal, content: str, name: str = "momentum.csv") -> str:
    path = terminal.folder / name
    path.write_text(content)
    return str(path)


def run(terminal: Terminal, content: str, *words: str, command: str = "from-weights") -> Result:
    return terminal.type("plan", command, sheet(terminal, content), *words)


def made(terminal: Terminal, content: str, *words: str, command: str = "from-weights") -> dict[str, Any]:
    done = run(terminal, content, *words, command=command)
    assert done.exit_code == 0, done.stderr
    plan: dict[str, Any] = json.loads(done.stdout)
    return plan


def trades(plan: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {item["symbol"]: (item["action"], item["trade_amount"]) for item in plan["items"]}


def words_of(text: str) -> str:
    return " ".join(text.split())


# --- from weights ----------------------------------------------------------------------------------------


def test_weights_trade_the_difference_to_the_accounts_positions(terminal: Terminal) -> None:
    plan = made(terminal, "Ticker;Weight\nAAA;20%\nbbb;0.25\nCCC;0\n")

    assert plan["plan_id"] == f"momentum-{DAY}"
    assert plan["strategy_id"] == "momentum"
    assert plan["total_portfolio_value"] == "10000"
    assert trades(plan) == {"AAA": ("SELL", "-3000"), "BBB": ("BUY", "2500"), "CCC": ("HOLD", "0")}
    remarks = terminal.json("cli/validate", "validate", terminal.file(plan))["remarks"]
    assert [remark["path"] for remark in remarks] == ["timestamp"], "the world's clock is behind this machine's"


def test_changes_costs_and_the_next_step_are_shown(terminal: Terminal) -> None:
    target = terminal.folder / "plan.json"

    done = run(terminal, "symbol,weight\nAAA,20%\nBBB,25%\n", "-o", str(target))

    shown = words_of(done.stdout)
    assert "AAA SELL 50% 20% 5,000.00 2,000.00 -3,000.00" in shown
    assert "BBB BUY 0% 25% 0.00 2,500.00 +2,500.00" in shown
    assert "Cash $5,000.00 now, about $5,500.00 after" in shown
    assert f"Next rebalance preview {target}" in shown
    assert json.loads(target.read_text())["plan_id"] == f"momentum-{DAY}"


def test_answer_as_json_follows_its_schema(terminal: Terminal) -> None:
    path, target = sheet(terminal, "symbol,weight,Name\nAAA,20%,x\nCash,5%,y\n"), terminal.folder / "plan.json"

    answer = terminal.json("cli/plan-new", "plan", "from-weights", path, "-o", str(target))

    assert (answer["state"], answer["sells"], answer["buys"], answer["cash"]) == ("new", "3000", "0", "5000")
    assert answer["notes"] == [
        "Name: not read",
        "CASH: 5% stays in cash; no order is sent for it",
        "the weights sum to 25%; the other 75% stays in cash, or in holdings that are not in the sheet",
    ]
    assert answer["changes"][0]["estimated_cost"] is not None


def test_unlisted_holdings_are_named_and_stay(terminal: Terminal) -> None:
    done = run(terminal, "symbol,weight\nBBB,25%\n")

    assert "AAA $5,000.00, not in the sheet: stays" in words_of(done.stderr)
    assert list(trades(json.loads(done.stdout))) == ["BBB"]


def test_unlisted_holdings_are_sold_on_request(terminal: Terminal) -> None:
    done = run(terminal, "symbol,weight\nBBB,25%\n", "--sell-unlisted")

    plan = json.loads(done.stdout)
    assert trades(plan) == {"BBB": ("BUY", "2500"), "AAA": ("SELL", "-5000")}
    assert plan["items"][1]["target_value"] == "0"
    assert "AAA $5,000.00, not in the sheet: sold" in words_of(done.stderr)


def test_unlisted_holding_below_the_smallest_trade_is_not_called_sold(terminal: Terminal) -> None:
    done = run(terminal, "symbol,weight\nBBB,25%\n", "--sell-unlisted", "--min-trade", "6000")

    assert "AAA $5,000.00, not in the sheet: stays; its sale is below --min-trade" in words_of(done.stderr)


def test_short_position_is_not_offered_for_sale(tmp_path: Path) -> None:
    with a_world(positions={"AAA": "-5"}, cash="5000") as world:
        done = run(Terminal(world, tmp_path, {}), "symbol,weight\nBBB,25%\n")

    assert "AAA -$500.00, not in the sheet: stays; it is a short position" in words_of(done.stderr)


@pytest.mark.parametrize("option", ["--id", "--strategy"])
@pytest.mark.parametrize("command", ["from-weights", "from-csv"])
def test_empty_name_does_not_become_the_default(terminal: Terminal, command: str, option: str) -> None:
    """Given an empty variable of a script as the ID, then no plan of another ID is made."""
    done = run(terminal, "symbol,weight\nBBB,25%\n", option, "", command=command)

    assert (done.exit_code, done.stdout) == (2, "")


def test_buys_that_do_not_fit_are_named_with_the_order_in_which_cash_is_used(terminal: Terminal) -> None:
    done = run(terminal, "symbol,weight,priority\nBBB,50%,1\nCCC,40%,2\n")

    shown = words_of(done.stderr)
    assert "$4,000.00 of the buys do not fit into cash and sales; priority 1 uses the cash first" in shown
    assert "CCC: " in shown


def test_orders_that_would_be_denied_are_named(terminal: Terminal) -> None:
    done = run(terminal, "symbol,weight\nBBB,25%\nAPPL,25%\n")

    assert done.exit_code == 0
    assert "Denied APPL: " in words_of(done.stderr)
    assert "Denied BBB" not in words_of(done.stderr)


def test_closed_market_is_named(tmp_path: Path) -> None:
    with a_world(sessions="always_closed") as world:
        done = run(Terminal(world, tmp_path, {}), "symbol,weight\nBBB,25%\n")

    assert done.exit_code == 0
    assert "Denied now: MARKET_CLOSED" in words_of(done.stderr)


@pytest.mark.parametrize("command", ["from-weights", "from-csv"])
def test_unfinished_plan_is_finished_before_another_one_is_made(terminal: Terminal, command: str) -> None:
    terminal.world.broker.change({"default_fill": {"behaviour": "never"}})
    terminal.world.deliver_and_kill(plan(buy("CCC", 1000)), after=1)

    done = run(terminal, "symbol,weight\nBBB,25%\n", command=command)

    assert (done.exit_code, done.stdout) == (5, "")
    assert "rebalance status plan-1" in done.stderr


def test_strategy_account_and_id_can_be_chosen(terminal: Terminal) -> None:
    assert made(terminal, "symbol,weight\nBBB,25%\n", "--strategy", "value")["plan_id"] == f"value-{DAY}"
    plan = made(terminal, "symbol,weight\nBBB,25%\n", "--plan-id", "mine", "--account", "default", "--urgency", "HIGH")
    assert (plan["plan_id"], plan["account"], plan["execution_urgency"]) == ("mine", "default", "HIGH")


# --- the second run of a day -----------------------------------------------------------------------------


def test_second_run_before_the_plan_has_started_makes_it_again(terminal: Terminal) -> None:
    target = terminal.folder / "plan.json"
    first = run(terminal, "symbol,weight\nBBB,25%\n", "-o", str(target))
    second = run(terminal, "symbol,weight\nBBB,30%\n", "-o", str(target))

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert trades(json.loads(target.read_text())) == {"BBB": ("BUY", "3000")}


def test_second_run_after_the_plan_has_finished_changes_nothing(terminal: Terminal) -> None:
    target = terminal.folder / "plan.json"
    run(terminal, "symbol,weight\nBBB,25%\n", "-o", str(target))
    written = target.read_text()
    terminal.world.deliver(json.loads(written))
    terminal.world.broker.change({"quotes": {"BBB": {"bid": "89.99", "ask": "90.01"}}})

    again = run(terminal, "symbol,weight\nBBB,25%\n", "-o", str(target))

    assert again.exit_code == 0
    assert "is not made again" in words_of(again.stdout)
    assert f"rebalance status momentum-{DAY}" in again.stdout
    assert target.read_text() == written
    assert terminal.world.deliver(json.loads(written))["status"] == "success"
    assert len(terminal.world.orders) == 1


def test_second_run_while_the_plan_is_unfinished_writes_the_stored_plan(terminal: Terminal) -> None:
    first, second = terminal.folder / "first.json", terminal.folder / "second.json"
    run(terminal, "symbol,weight\nBBB,25%\n", "-o", str(first))
    terminal.world.broker.change({"default_fill": {"behaviour": "never"}})
    terminal.world.deliver_and_kill(json.loads(first.read_text()), after=1)

    answer = terminal.json(
        "cli/plan-new", "plan", "from-weights", sheet(terminal, "symbol,weight\nBBB,90%\n"), "-o", str(second)
    )

    assert answer["state"] == "started"
    assert json.loads(second.read_text())["items"] == json.loads(first.read_text())["items"]


@pytest.mark.parametrize("content", [None, "other"])
def test_finished_plan_that_the_file_does_not_contain_ends_the_script(terminal: Terminal, content: str | None) -> None:
    plan = made(terminal, "symbol,weight\nBBB,25%\n")
    terminal.world.deliver(plan)
    target = terminal.folder / "plan.json"
    if content is not None:
        target.write_text(json.dumps(plan | {"plan_id": content}))

    again = run(terminal, "symbol,weight\nBBB,25%\n", "-o", str(target))

    assert again.exit_code == 2
    assert "is finished" in words_of(again.stderr)


# --- from csv --------------------------------------------------------------------------------------------


def test_target_weights_of_a_sheet_use_its_values_first(terminal: Terminal) -> None:
    plan = made(terminal, "symbol,target_weight,current_value\nAAA,20%,4000\nBBB,0.25,\n", command="from-csv")

    assert trades(plan) == {"AAA": ("SELL", "-2000"), "BBB": ("BUY", "2500")}


def test_trade_amounts_are_used_unchanged_and_read_missing_values_from_the_account(terminal: Terminal) -> None:
    plan = made(
        terminal,
        'Symbol,Trade Amount,Priority\nAAA,-500,2\nBBB,"$1,500.50",\n',
        *("--portfolio-value", "10000", "--plan-id", "mine"),
        command="from-csv",
    )

    assert trades(plan) == {"AAA": ("SELL", "-500"), "BBB": ("BUY", "1500.5")}
    assert plan["plan_id"] == "mine"
    assert [item["target_value"] for item in plan["items"]] == ["4500", "1500.5"]


def test_sheet_with_all_values_needs_no_account(terminal: Terminal) -> None:
    content = "symbol,trade_amount,current_value\nAAA,-500,6000\nBBB,500,\n"
    without_account = Terminal(terminal.world, terminal.folder, {"EXECUTION_TABLE": "", "ALPACA_TRADING_URL": "none"})

    plan = made(without_account, content, "--portfolio-value", "10000", command="from-csv")

    assert trades(plan) == {"AAA": ("SELL", "-500"), "BBB": ("BUY", "500")}


def test_output_file_names_the_next_command(terminal: Terminal) -> None:
    path, target = sheet(terminal, "symbol,trade_amount\nBBB,100\n"), terminal.folder / "made.json"

    words = ("plan", "from-csv", path, "--portfolio-value", "1000", "-o", str(target))
    answer = terminal.json("cli/plan-new", *words)

    assert (answer["path"], answer["next"]) == (str(target), f"rebalance preview {target}")
    assert json.loads(target.read_text())["items"][0]["symbol"] == "BBB"
    assert list(terminal.folder.glob(".made*")) == []


# --- invalid input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("ticker,amount\nA,1\n", "needs the columns symbol"),
        ('symbol,trade_amount\nA,"900,50"\n', "line 2, column trade_amount: '900,50' has a decimal comma"),
        ("symbol,trade_amount\nA,9,000\n", "line 2: the line has 3 cells"),
        ("symbol,weight\nA,30\n", "'30' is above 1"),
        ("symbol,weight\nA,0.6\nB,0.6\n", "sum to 1.2"),
        ("symbol,trade_amount\nA,50000\n", "more than the portfolio of $1,000"),
        ("symbol,trade_amount\nA,600\nB,600\n", "would be worth $1,200, more than the portfolio of $1,000"),
        ("symbol,trade_amount,current_value\nA,-600,500\n", "sells $600, and $500 is held"),
        ("symbol,trade_amount,current_value\nA,-600,5000\n", "worth $5,000, more than the portfolio"),
    ],
)
def test_invalid_sheet_names_the_problem_and_writes_nothing(terminal: Terminal, content: str, problem: str) -> None:
    target = terminal.folder / "plan.json"

    done = run(terminal, content, "--portfolio-value", "1000", "-o", str(target), command="from-csv")

    assert done.exit_code == 2
    assert problem in words_of(done.stderr)
    assert not target.exists()


@pytest.mark.parametrize("option", ["--portfolio-value", "--min-trade"])
@pytest.mark.parametrize("text", ["nan", "inf", "0", "-5", "1e9", "1.000,00", "10%", "many", ""])
def test_options_are_positive_dollars(terminal: Terminal, option: str, text: str) -> None:
    words = ("--portfolio-value", "1000", option, text)

    done = run(terminal, "symbol,trade_amount\nA,100\n", *words, command="from-csv")

    assert done.exit_code == 2
    assert f"{option} {text!r} is" in words_of(done.stderr) or f"{option} {text!r} has" in words_of(done.stderr)


def test_sheet_of_amounts_is_not_read_as_weights(terminal: Terminal) -> None:
    done = run(terminal, "symbol,trade_amount\nAAA,0.5\n")

    assert done.exit_code == 2
    assert "plan from-csv" in done.stderr


def test_output_over_the_sheet_is_invalid(terminal: Terminal) -> None:
    path = sheet(terminal, "symbol,weight\nAAA,0.5\n")

    done = terminal.type("plan", "from-weights", path, "-o", path)

    assert done.exit_code == 2
    assert Path(path).read_text() == "symbol,weight\nAAA,0.5\n"


def test_listed_holding_without_a_quote_is_invalid(terminal: Terminal) -> None:
    terminal.world.broker.change({"quotes": {"AAA": {"bid": "0", "ask": "0"}}})

    done = run(terminal, "symbol,weight\nAAA,20%\n")

    assert done.exit_code == 2
    assert "there is no price to value the position with" in words_of(done.stderr)


def test_account_without_equity_is_invalid(tmp_path: Path) -> None:
    with a_world(cash="0") as world:
        done = run(Terminal(world, tmp_path, {}), "symbol,weight\nAAA,20%\n")

    assert done.exit_code == 2
    assert "no positive equity" in words_of(done.stderr)


# --- the user's account, with its journal on this machine -------------------------------------------------


def test_days_plan_of_an_own_account_is_executed_once(tmp_path: Path) -> None:
    with machine(tmp_path) as own:
        assert own.init().exit_code == 0
        weights, target = tmp_path / "momentum.csv", tmp_path / "plan.json"
        weights.write_text("symbol,weight\nAAPL,50%\nMSFT,30%\nCASH,20%\n")
        make = ("plan", "from-weights", str(weights), "-o", str(target))

        made = own.type(*make)
        applied = own.type("apply", str(target))
        weights.write_text("symbol,weight\nSPY,100%\n")
        again = own.type(*make)
        repeated = own.type("apply", str(target))

        assert [done.exit_code for done in (made, applied, again, repeated)] == [0, 0, 0, 0], made.stderr
        assert "it has started, so it is not made again" in again.stdout
        assert "Already executed" in repeated.stdout
        weights.write_text("symbol,weight\nMSFT,30%\n")
        unlisted = own.type("plan", "from-weights", str(weights), "--strategy", "other")
        assert "AAPL $5,000.00, not in the sheet: stays" in unlisted.stderr
