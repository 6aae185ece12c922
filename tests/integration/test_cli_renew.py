"""``rebalance plan renew PLAN --rest``: a new plan for what another one left."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalance_executor.domain.risk_state import TradingState
from tests.support.terminal import Terminal
from tests.support.world import HandlerWorld, a_world, buy, exit_of, plan, sell

HALF = {"behaviour": "cancel", "fraction": "0.5"}
"""Half of each order fills, then the broker cancels it."""


def renewed(world: HandlerWorld, folder: Path, *words: str, name: str = "plan-1") -> dict[str, Any]:
    done = Terminal(world, folder, {}).type("plan", "renew", name, "--rest", *words)
    assert done.exit_code == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def denied(world: HandlerWorld, folder: Path, *words: str, name: str = "plan-1") -> tuple[int, str]:
    done = Terminal(world, folder, {}).type("plan", "renew", name, *words)
    assert done.stdout == ""
    return done.exit_code, " ".join(done.stderr.split())


def trades(document: dict[str, Any]) -> dict[str, Decimal]:
    return {item["symbol"]: Decimal(item["trade_amount"]) for item in document["items"]}


def order_by_hand(world: HandlerWorld, symbol: str) -> None:
    """Buy one share as a person does, not through this program."""
    world.broker.app.exchange.submit_order(
        {"symbol": symbol, "side": "buy", "qty": "1", "type": "limit", "limit_price": "101", "time_in_force": "day"}
    )
    world.advance(1)


# --- what is left ----------------------------------------------------------------------------------------


def test_partial_plan_leaves_the_remaining_shares_of_each_item(tmp_path: Path) -> None:
    with a_world(positions={"AAA": "50"}, fills=[{"symbol": "AAA", **HALF}, {"symbol": "BBB", **HALF}]) as world:
        result = world.deliver(
            plan(sell("AAA", 1000, current_value="5000"), buy("BBB", 500, priority=2), buy("CCC", 300))
        )
        left = {
            order["symbol"]: 1 - Decimal(order["shares"]) / Decimal(order["requested_shares"])
            for order in result["orders"]
        }

        new = renewed(world, tmp_path)

        assert result["status"] == "partial_success"
        assert trades(new) == {
            "AAA": pytest.approx(-1000 * left["AAA"], abs=Decimal("0.02")),
            "BBB": pytest.approx(500 * left["BBB"], abs=Decimal("0.02")),
        }
        assert [item["priority"] for item in new["items"]] == [1, 2]
        assert new["plan_id"] == "plan-1-rest"
        assert (new["causation_id"], new["correlation_id"]) == ("plan-1", "correlation-1")
        assert new["metadata"] == {"renewed_from": "plan-1"}


def test_new_plan_trades_exactly_the_rest(tmp_path: Path) -> None:
    with a_world(fills=[{"symbol": "AAA", **HALF}]) as world:
        world.deliver(plan(buy("AAA", 1000)))
        before = world.filled("AAA")
        world.broker.change({"fills": []})

        assert world.deliver(renewed(world, tmp_path))["status"] == "success"

        assert before < Decimal("9.95") < world.filled("AAA") <= Decimal(10)


def test_denied_plan_leaves_everything(tmp_path: Path) -> None:
    with a_world(positions={"AAA": "50"}) as world:
        world.set_kill_switch(TradingState.HALTED)
        world.deliver(plan(sell("AAA", 1000, current_value="5000"), buy("BBB", 500)))
        world.set_kill_switch(TradingState.ACTIVE)

        new = renewed(world, tmp_path)

        assert trades(new) == {"AAA": Decimal(-1000), "BBB": Decimal(500)}
        assert world.deliver(new)["status"] == "success"


@pytest.mark.parametrize(("bid", "ask", "dollars"), [("79.99", "80.01", "800"), ("124.99", "125.01", "1000")])
def test_rest_never_exceeds_dollars_or_shares_of_the_old_plan(tmp_path: Path, bid: str, ask: str, dollars: str) -> None:
    with a_world(default_fill={"behaviour": "reject"}) as world:
        world.deliver(plan(buy("AAA", 1000)))
        world.broker.change({"quotes": {"AAA": {"bid": bid, "ask": ask}}})

        assert trades(renewed(world, tmp_path)) == {"AAA": Decimal(dollars)}


def test_full_exit_stays_one_while_no_more_is_held_than_was_left(tmp_path: Path) -> None:
    with a_world(positions={"AAA": "50"}) as world:
        world.set_kill_switch(TradingState.HALTED)
        world.deliver(plan(exit_of("AAA", "5000", current_value="5000")))
        world.set_kill_switch(TradingState.ACTIVE)
        (item,) = renewed(world, tmp_path)["items"]
        world.broker.change({"positions": [{"symbol": "AAA", "qty": "60"}]})
        (after,) = renewed(world, tmp_path)["items"]

    assert (item["trade_amount"], item["target_value"]) == ("-5000", "0")
    assert (after["trade_amount"], after["target_value"]) == ("-5000", "1000")


def test_expired_plan_that_never_started_leaves_everything(tmp_path: Path) -> None:
    with a_world() as world:
        path = tmp_path / "old.json"
        path.write_text(json.dumps(plan(buy("AAA", 1000))))
        assert denied(world, tmp_path, "--rest", name=str(path))[0] == 2, "it can still be applied"
        world.advance(3600)

        new = renewed(world, tmp_path, name=str(path))

        assert trades(new) == {"AAA": Decimal(1000)}
        assert new["timestamp"].startswith("2026-01-26T16:00:0")


def test_written_file_names_the_preview(tmp_path: Path) -> None:
    with a_world(default_fill={"behaviour": "reject"}) as world:
        world.deliver(plan(buy("AAA", 1000)))
        target = tmp_path / "rest.json"

        answer = Terminal(world, tmp_path, {}).json(
            "cli/plan-new", "plan", "renew", "plan-1", "--rest", "-o", str(target)
        )

        assert (answer["plan_id"], answer["next"]) == ("plan-1-rest", f"rebalance preview {target}")
        assert [change["symbol"] for change in answer["changes"]] == ["AAA"]


# --- denials ---------------------------------------------------------------------------------------------


def test_unfinished_plan_has_no_rest_yet(tmp_path: Path) -> None:
    with a_world(default_fill={"behaviour": "never"}) as world:
        world.deliver_and_kill(plan(buy("AAA", 1000)), after=1)

        code, text = denied(world, tmp_path, "--rest")

    assert code == 5
    assert "is not finished" in text


@pytest.mark.parametrize(
    ("name", "words", "text"),
    [
        ("plan-1", (), "rebalance plan renew plan-1 --rest"),
        ("plan-1", ("--rest",), "left nothing"),
        ("plan-1", ("--rest", "--skip", "ZZZ"), "left no rest of ZZZ"),
        ("none", ("--rest",), "has not started"),
    ],
)
def test_plan_without_a_rest_is_named(tmp_path: Path, name: str, words: tuple[str, ...], text: str) -> None:
    with a_world() as world:
        world.deliver(plan(buy("AAA", 1000)))

        code, problem = denied(world, tmp_path, *words, name=name)

    assert code == 2
    assert text in problem


def test_file_with_other_content_than_the_plan_that_started_is_not_renewed(tmp_path: Path) -> None:
    with a_world(default_fill={"behaviour": "reject"}) as world:
        world.deliver(plan(buy("AAA", 1000)))
        path = Terminal(world, tmp_path, {}).file(plan(buy("AAA", 2000)))

        code, text = denied(world, tmp_path, "--rest", name=path)

    assert (code, "its content differs" in text) == (2, True)


def test_rest_is_renewed_once(tmp_path: Path) -> None:
    with a_world(default_fill={"behaviour": "reject"}) as world:
        world.deliver(plan(buy("AAA", 1000)))
        world.deliver(renewed(world, tmp_path))

        code, text = denied(world, tmp_path, "--rest")

        assert (code, "Plan plan-1-rest is finished" in text) == (2, True)
        assert renewed(world, tmp_path, name="plan-1-rest")["plan_id"] == "plan-1-rest-rest"


def test_symbol_that_a_later_plan_traded_is_not_renewed(tmp_path: Path) -> None:
    with a_world(
        fills=[{"symbol": "AAA", "nth": 1, "behaviour": "reject"}, {"symbol": "BBB", "behaviour": "reject"}]
    ) as world:
        world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000)))
        world.advance(1)
        world.deliver(plan(buy("AAA", 700), plan_id="plan-2"))

        code, text = denied(world, tmp_path, "--rest")

        assert (code, "AAA: a later plan traded it" in text) == (7, True)
        assert trades(renewed(world, tmp_path, "--skip", "aaa")) == {"BBB": Decimal(1000)}


@pytest.mark.parametrize("is_started", [True, False])
def test_symbol_that_a_person_traded_since_is_not_renewed(tmp_path: Path, *, is_started: bool) -> None:
    """Given a denied or an expired plan and an order by hand, when it is renewed, then the trade is not repeated."""
    document = plan(buy("AAA", 1000), buy("BBB", 1000))
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document))
    with a_world() as world:
        if is_started:
            world.set_kill_switch(TradingState.HALTED)
            world.deliver(document)
            world.set_kill_switch(TradingState.ACTIVE)
        world.advance(3600)
        order_by_hand(world, "AAA")

        code, text = denied(world, tmp_path, "--rest", name=str(path))

        assert (code, "AAA: another order" in text, "BBB:" in text) == (7, True, False)
        assert trades(renewed(world, tmp_path, "--skip", "AAA", name=str(path))) == {"BBB": Decimal(1000)}


def test_orders_before_the_plan_do_not_matter(tmp_path: Path) -> None:
    with a_world() as world:
        order_by_hand(world, "AAA")
        world.advance(60)
        world.set_kill_switch(TradingState.HALTED)
        world.deliver(plan(buy("AAA", 1000)))
        world.set_kill_switch(TradingState.ACTIVE)

        assert trades(renewed(world, tmp_path)) == {"AAA": Decimal(1000)}


def test_expired_plan_whose_trades_another_plan_made_is_not_renewed(tmp_path: Path) -> None:
    with a_world() as world:
        path = tmp_path / "old.json"
        path.write_text(json.dumps(plan(buy("AAA", 1000))))
        world.advance(60)
        world.deliver(plan(buy("AAA", 1000), plan_id="plan-2"))
        world.advance(3600)

        assert denied(world, tmp_path, "--rest", name=str(path))[0] == 7


def test_item_whose_position_was_another_than_planned_is_not_renewed(tmp_path: Path) -> None:
    with a_world(positions={"AAA": "100"}) as world:
        world.deliver(plan(buy("AAA", 1000), max_drift_tolerance="0.05"))

        code, text = denied(world, tmp_path, "--rest")

        assert (code, "POSITION_DRIFT" in text) == (7, True)


def test_duplicate_of_a_filled_order_is_not_renewed(tmp_path: Path) -> None:
    with a_world() as world:
        world.deliver(plan(buy("AAA", 1000), plan_id="plan-0"))
        world.advance(300)
        world.deliver(plan(buy("AAA", 1000)))
        world.advance(3600)

        code, text = denied(world, tmp_path, "--rest")

        assert (code, "AAA: another order" in text) == (7, True)


def test_unresolved_item_is_renewed_only_after_the_broker_agrees(tmp_path: Path) -> None:
    stuck = {"symbol": "AAA", "behaviour": "never", "cancel_seconds": 7200}
    with a_world(fills=[stuck]) as world:
        assert world.deliver(plan(buy("AAA", 1000)))["status"] == "unresolved"
        code, text = denied(world, tmp_path, "--rest")
        world.advance(7300)

        assert (code, "still open at the broker" in text) == (7, True)
        assert trades(renewed(world, tmp_path)).keys() == {"AAA"}


def test_sell_of_more_than_is_held_is_not_renewed(tmp_path: Path) -> None:
    with a_world(positions={"AAA": "50"}) as world:
        world.set_kill_switch(TradingState.HALTED)
        world.deliver(plan(sell("AAA", 4000, current_value="5000"), buy("BBB", 100)))
        world.set_kill_switch(TradingState.ACTIVE)
        world.broker.change({"positions": [{"symbol": "AAA", "qty": "10"}]})

        code, text = denied(world, tmp_path, "--rest")

        assert (code, "sells $4,000, and $1,000 is held" in text) == (2, True)
        assert trades(renewed(world, tmp_path, "--skip", "AAA")) == {"BBB": Decimal(100)}
