"""``rebalance validate | preview | submit``: plans before they are executed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.risk_state import TradingState
from tests.support.builders import NOW
from tests.support.terminal import Terminal
from tests.support.world import BUS, HandlerWorld, a_world, buy, hold, outcomes, plan, sell

PLAN = plan(sell("AAA", "1000", current_value="5000"), buy("BBB", "2000"), buy("ZZZ", "10"), hold("CCC"))


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world(positions={"AAA": "50"}, cash="1500") as world:
        yield world


@pytest.fixture
def terminal(world: HandlerWorld, tmp_path: Path) -> Terminal:
    return Terminal(world, tmp_path, {})


# --- validate --------------------------------------------------------------------------------------------


def test_validate_lists_every_problem_with_its_path(terminal: Terminal) -> None:
    wrong = plan(buy("AAA", "-5"), sell("BBB", "10", priority=9, target_weight="2"), total_trade_value="much")

    answer = terminal.json("cli/validate", "validate", terminal.file(wrong), code=2)
    shown = terminal.type("validate", terminal.file(wrong)).stdout

    paths = {problem["path"] for problem in answer["problems"]}
    assert {"items.0.trade_amount", "items.1.priority", "items.1.target_weight", "total_trade_value"} <= paths
    assert "items.1.priority" in shown
    assert "4 problems" in shown


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"target_weight": "2"}, "must be at most 1"),
        ({"priority": 0}, "must be at least 1"),
        ({"priority": 6}, "must be at most 5"),
        ({"action": "SHORT"}, "must be 'BUY', 'SELL' or 'HOLD'"),
        ({"symbol": "A B"}, "contains characters that are not allowed"),
    ],
)
def test_validate_says_what_a_value_must_be(terminal: Terminal, item: dict[str, Any], text: str) -> None:
    done = terminal.type("validate", terminal.file(plan(buy("AAA", "5") | item)))

    shown = " ".join(done.stdout.split())
    assert done.exit_code == 2
    assert text in shown
    assert "Input should" not in shown
    assert "String should" not in shown


def test_validate_lists_thirty_problems_and_a_duplicate_symbol(terminal: Terminal) -> None:
    wrong = plan(*[buy(f"S{number}", "5", priority=9) for number in range(30)], buy(" s3 ", "5"))

    problems = terminal.json("cli/validate", "validate", terminal.file(wrong), code=2)["problems"]

    assert [p["path"] for p in problems] == [*(f"items.{number}.priority" for number in range(30)), "items"]
    assert problems[-1]["text"] == "symbol S3 appears twice; merge its items"


def test_validate_prints_the_hash_of_a_valid_plan_and_the_next_command(terminal: Terminal) -> None:
    path = terminal.file(plan(buy("BBB", "2000")))

    answer = terminal.json("cli/validate", "validate", path)

    assert answer["valid"]
    assert len(answer["content_hash"]) == 64
    assert f"rebalancepreview{path}" in "".join(terminal.type("validate", path).stdout.split())


def test_remarks_do_not_make_a_plan_invalid(terminal: Terminal) -> None:
    odd = plan(
        buy("BBB", "2000", target_weight="0.9"), buy("CCC", "1", target_weight="0.9"), valid_until=NOW.isoformat()
    )

    remarks = terminal.json("cli/validate", "validate", terminal.file(odd))["remarks"]

    assert {"timestamp", "valid_until", "total_trade_value", "items", "items.0.weight_diff"} <= {
        remark["path"] for remark in remarks
    }


@pytest.mark.parametrize("content", [{"health": True}, {"plan_s3": {"bucket": "b", "key": "k"}}])
def test_validate_rejects_a_file_without_a_plan(terminal: Terminal, content: object) -> None:
    done = terminal.type("validate", terminal.file(content))

    assert done.exit_code == 2
    assert "contains no plan" in " ".join(done.stderr.split())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_plan_in_another_encoding_is_valid(terminal: Terminal, encoding: str) -> None:
    path = terminal.folder / "plan.json"
    path.write_bytes(json.dumps(PLAN).encode(encoding))

    assert terminal.type("validate", str(path)).exit_code == 0
    assert terminal.json("cli/preview", "preview", str(path), code=3)["plan_id"] == "plan-1"


def test_key_that_appears_twice_is_named(terminal: Terminal) -> None:
    path = terminal.folder / "plan.json"
    text = json.dumps(plan(buy("BBB", "1000")))
    path.write_text(text.replace('"trade_amount"', '"trade_amount": "90000", "trade_amount"'))

    for command in ("validate", "preview", "apply"):
        done = terminal.type(command, str(path))
        assert done.exit_code == 2
        assert "items.0.trade_amount: appears more than once" in " ".join(done.stderr.split())


def test_fields_that_are_ignored_are_named(terminal: Terminal) -> None:
    odd = plan(buy("AAA", "100") | {"stop_price": "95"}, buy("BBB", "100") | {"stop_price": "95"}, notes="x")
    path = terminal.file(odd)

    remarks = terminal.json("cli/validate", "validate", path)["remarks"]
    ignored = [remark["path"] for remark in remarks if "not a field of a plan" in remark["text"]]
    answer = terminal.json("cli/preview", "preview", path)

    assert ignored == answer["ignored_fields"] == ["notes", "items.0.stop_price"]
    assert "items.0.stop_price" in terminal.type("preview", path).stdout
    assert terminal.json("cli/preview", "preview", terminal.file(PLAN), code=3)["ignored_fields"] == []


def test_fields_that_are_ignored_are_logged_once(world: HandlerWorld) -> None:
    world.deliver(plan(buy("BBB", "100") | {"stop_price": "95"}, plan_id="odd"))
    world.deliver(plan(buy("BBB", "100"), plan_id="usual"))

    (line,) = world.log_lines("plan.fields_ignored")
    assert (line["fields"], line["plan_id"]) == (["items.0.stop_price"], "odd")


# --- preview ---------------------------------------------------------------------------------------------


def decisions(answer: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {order["symbol"]: (order["decision"], order["code"]) for order in answer["orders"]}


def test_preview_predicts_the_result_and_sends_nothing(terminal: Terminal) -> None:
    answer = terminal.json("cli/preview", "preview", terminal.file(PLAN), code=3)
    requests = len(terminal.world.orders)
    result = terminal.world.deliver(PLAN)

    assert requests == 0
    assert decisions(answer) == {
        "AAA": ("send", None),
        "BBB": ("send", None),
        "ZZZ": ("deny", "NOT_TRADABLE"),
        "CCC": ("skip", "HOLD"),
    }
    assert answer["orders"][1]["limit_price"] == "100.01"
    assert (answer["sells"], answer["buys"]) == ("1000", "2000")
    assert Decimal(answer["estimated_cost"]) == (
        (Decimal(3000) * Decimal(answer["forecast_bps"]) / 10_000).quantize(Decimal("0.01"))
    )
    assert Decimal(answer["cash_after"]) == Decimal(answer["cash"]) - 1000 - Decimal(answer["estimated_cost"])
    costs = {order["symbol"]: (order["forecast_bps"], order["forecast_low_bps"]) for order in result["orders"]}
    assert {o["symbol"]: (o["forecast_bps"], o["forecast_low_bps"]) for o in answer["orders"]} == costs
    done = {order["symbol"]: order["planned_shares"] for order in result["orders"]}
    assert {o["symbol"]: o["qty"] for o in answer["orders"]} == done
    assert outcomes(result)["ZZZ"][1] == "NOT_TRADABLE"


def test_preview_names_a_split_of_the_day_and_what_it_means(terminal: Terminal) -> None:
    split = {"symbol": "AAA", "old_rate": 1, "new_rate": 4, "ex_date": "2026-01-26"}
    terminal.world.broker.change({"corporate_actions": {"forward_splits": [split]}})
    path = terminal.file(PLAN)

    answer = terminal.json("cli/preview", "preview", path, code=3)["corporate_actions"]
    shown = " ".join(terminal.type("preview", path).stdout.split())

    assert [(one["symbol"], one["type"], one["day"]) for one in answer["actions"]] == [
        ("AAA", "forward_split", "2026-01-26")
    ]
    assert answer["problem"] is None
    assert "AAA: forward split on 2026-01-26: 1 share of AAA becomes 4" in shown
    assert "sized in dollars at today's price" in shown


def test_preview_without_corporate_actions_says_so_and_is_otherwise_the_same(terminal: Terminal) -> None:
    fault = {"path": "corporate-actions", "kind": "status", "status": 503, "count": None}
    terminal.world.broker.change({"faults": [fault]})
    path = terminal.file(PLAN)

    answer = terminal.json("cli/preview", "preview", path, code=3)

    assert answer["corporate_actions"]["actions"] == []
    assert answer["corporate_actions"]["problem"].startswith("GET /corporate-actions: HTTP 503")
    assert decisions(answer)["AAA"] == ("send", None)
    assert "Splits not known: GET /corporate-actions" in " ".join(terminal.type("preview", path).stdout.split())


def test_preview_scales_buys_to_the_cash(terminal: Terminal) -> None:
    answer = terminal.json(
        "cli/preview", "preview", terminal.file(plan(buy("BBB", "2000"), buy("CCC", "900", priority=2))), code=3
    )

    assert decisions(answer) == {"BBB": ("send", "SCALED_TO_CASH"), "CCC": ("skip", "INSUFFICIENT_CASH")}
    assert answer["buy_budget"] == "1492.5"
    assert [(o["requested_qty"], o["as_planned"]) for o in answer["orders"]] == [("20", False), ("9", False)]


def test_preview_says_that_a_large_order_is_worked_in_slices(tmp_path: Path) -> None:
    with a_world(cash="200000", prices={"BBB": "100"}) as world:
        terminal = Terminal(world, tmp_path, {})
        large = terminal.file(plan(buy("BBB", "100000")))
        answer = terminal.json("cli/preview", "preview", large)
        shown = terminal.type("preview", large)

    assert [(o["code"], o["message"]) for o in answer["orders"]] == [(None, "in 10 slices over 10 minutes")]
    assert "sliced  BBB  in 10 slices over 10 minutes" in shown.stdout


def test_preview_names_the_auction_and_its_cut_off(tmp_path: Path) -> None:
    with a_world(positions={"AAA": "10"}, cash="500", sessions="nyse") as world:
        terminal = Terminal(world, tmp_path, {})
        path = terminal.file(plan(sell("AAA", "900"), buy("BBB", "900"), execution_style="market_on_close"))
        answer = terminal.json("cli/preview", "preview", path, code=3)
        shown = " ".join(terminal.type("preview", path).stdout.split())

    at, cutoff = "2026-01-26 21:00:00 UTC (16:00:00 New York)", "2026-01-26 20:50:00 UTC (15:50:00 New York)"
    text = f"in the auction at the close, {at}, sent before {cutoff}"
    assert [(order["time_in_force"], order["qty"]) for order in answer["orders"]] == [("cls", "9"), ("cls", "4.737621")]
    assert answer["orders"][0]["message"] == text
    assert f"auction AAA {text}" in shown


def test_preview_of_targets_shows_both_dollars_and_predicts_the_result(terminal: Terminal) -> None:
    items = [
        sell("AAA", "500", target_value="4700", current_value="5200"),
        buy("BBB", "500", target_value="500.50"),
        buy("CCC", "300", target_value="0"),
    ]
    path = terminal.file(plan(*items, size_by="target_value"))
    answer = terminal.json("cli/preview", "preview", path)
    shown = " ".join(terminal.type("preview", path).stdout.split())
    result = terminal.world.deliver(plan(*items, size_by="target_value"))

    assert decisions(answer) == {"AAA": ("send", None), "BBB": ("send", None), "CCC": ("skip", "NO_TRADE_NEEDED")}
    amounts = [(order["planned_amount"], order["requested_amount"]) for order in answer["orders"]]
    assert amounts == [("-500", "-300"), ("500", "500.5"), ("300", "0")]
    assert answer["size_by"] == result["size_by"] == "target_value"
    asked = [(order["requested_trade_amount"], order["planned_shares"]) for order in result["orders"]]
    assert asked == [(order["requested_amount"], order["qty"]) for order in answer["orders"]]
    assert result["status"] == "success_with_skips"
    assert "NO_TRADE_NEEDED CCC the position is worth $0, its target is $0: nothing to buy" in shown
    assert "-500.00 -300.00" in shown


def test_validate_refuses_weights_that_cannot_size_the_plan(terminal: Terminal) -> None:
    items = [buy(symbol, "500", target_weight="0.6") for symbol in ("AAA", "BBB")]
    answer = terminal.json("cli/validate", "validate", terminal.file(plan(*items, size_by="target_weight")), code=2)
    assert [problem["path"] for problem in answer["problems"]] == ["size_by"]


def test_preview_shares_a_shortage_among_equal_priorities(terminal: Terminal) -> None:
    """Group P, P1: the last symbol was skipped before."""
    answer = terminal.json(
        "cli/preview", "preview", terminal.file(plan(buy("BBB", "2000"), buy("CCC", "1000"))), code=3
    )

    assert decisions(answer) == {"BBB": ("send", "SCALED_TO_CASH"), "CCC": ("send", "SCALED_TO_CASH")}
    assert [order["qty"] for order in answer["orders"]] == ["9.949005", "4.974502"]


def test_printed_preview_fits_80_columns_and_names_the_next_command(terminal: Terminal) -> None:
    shown = terminal.type("preview", terminal.file(PLAN)).stdout

    *lines, next_step = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert next_step.startswith("Next      rebalance apply"), "not wrapped: it can be copied"
    assert "simulated, its fills say nothing about live costs" in shown
    assert "--hash" in next_step
    assert "NOT_TRADABLE" in shown


def test_preview_shows_an_expired_plan_and_a_halted_account_as_denied(terminal: Terminal) -> None:
    old = plan(buy("BBB", "10"), timestamp="2026-01-26T10:00:00Z")
    expired = terminal.json("cli/preview", "preview", terminal.file(old), code=4)
    terminal.world.set_kill_switch(TradingState.HALTED)
    halted = terminal.json("cli/preview", "preview", terminal.file(PLAN), code=6)

    assert expired["code"] == "PLAN_EXPIRED"
    assert halted["code"] == "HALTED"
    assert "drill" in halted["message"]


def test_preview_neither_trips_the_kill_switch_nor_cancels_orders(tmp_path: Path) -> None:
    config = {"max_plans_per_day": 1, "conflicting_orders": "cancel"}
    with a_world(config=config) as world:
        world.deliver(plan(buy("BBB", "100")))
        terminal = Terminal(world, tmp_path, {})

        answer = terminal.json("cli/preview", "preview", terminal.file(plan(buy("CCC", "10"), plan_id="p2")), code=4)

        assert answer["code"] == "TOO_MANY_PLANS"
        assert world.risk_store.kill_switch("default").state is TradingState.ACTIVE


def test_preview_warns_of_an_unfinished_plan_that_comes_first(terminal: Terminal) -> None:
    world = terminal.world
    world.broker.change({"fills": [{"symbol": "AAA", "behaviour": "never"}]})
    with pytest.raises(PlanYielded):
        world.deliver(plan(sell("AAA", "1000", current_value="5000"), plan_id="earlier"), seconds=8)
    file = terminal.file(plan(buy("BBB", "500"), plan_id="later"))

    assert terminal.json("cli/preview", "preview", file)["unfinished"]["plan_id"] == "earlier"
    assert "plan earlier is unfinished" in " ".join(terminal.type("preview", file).stdout.split())


def test_preview_rejects_a_plan_that_has_started(terminal: Terminal) -> None:
    path, other = terminal.file(PLAN), terminal.file(plan(buy("BBB", "1")), "other.json")
    terminal.world.broker.change({"fills": [{"symbol": "AAA", "behaviour": "never"}]})
    with pytest.raises(PlanYielded):
        terminal.world.deliver(PLAN, seconds=8)
    started = terminal.json("cli/failure", "preview", path, code=5)
    terminal.world.broker.change({"fills": []})
    terminal.world.deliver(PLAN)
    finished = terminal.json("cli/failure", "preview", path, code=2)
    changed = terminal.json("cli/failure", "preview", other, code=2)

    assert "not finished" in started["error"]
    assert started["next"] == "rebalance status plan-1"
    assert finished["next"] == "rebalance report plan-1"
    assert "another plan" in changed["error"]


def test_preview_of_holds_only_does_not_ask_the_broker(terminal: Terminal) -> None:
    answer = terminal.json("cli/preview", "preview", terminal.file(plan(hold("AAA"))))

    assert decisions(answer) == {"AAA": ("skip", "HOLD")}
    assert answer["account_number"] is None


# --- submit ----------------------------------------------------------------------------------------------


def a_queue(world: HandlerWorld) -> str:
    made = world.session.client("sqs").create_queue(
        QueueName="plans.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    )
    return str(made["QueueUrl"])


def test_submit_sends_the_plan_with_the_previewed_hash(terminal: Terminal) -> None:
    url = a_queue(terminal.world)
    queued = Terminal(terminal.world, terminal.folder, {"PLAN_QUEUE_URL": url})
    path = queued.file(plan(buy("BBB", "100")))
    hash_ = queued.json("cli/preview", "preview", path)["content_hash"]

    answer = queued.json("cli/submit", "submit", path, "--hash", hash_[:12])

    (message,) = terminal.world.session.client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert answer["content_hash"] == hash_
    result = terminal.world.deliver(
        {"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": message["Body"], "attributes": {}}]}
    )
    assert result == {"batchItemFailures": []}
    assert terminal.type("status", "plan-1").exit_code == 0


def test_submit_and_apply_reject_a_plan_that_changed_since_its_preview(terminal: Terminal) -> None:
    path = terminal.file(PLAN)

    for command in ("submit", "apply"):
        done = terminal.type(command, path, "--hash", "0123456789ab")
        assert done.exit_code == 2
        assert "changed since its preview" in " ".join(done.stderr.split())
    assert "at least 8" in terminal.type("apply", path, "--hash", "01").stderr


def test_submit_sends_to_an_event_bus_and_needs_a_queue_otherwise(terminal: Terminal) -> None:
    path = terminal.file(PLAN)

    assert terminal.json("cli/submit", "submit", path, "--event-bus", BUS)["to"] == BUS
    assert terminal.type("submit", path).exit_code == 2, "PLAN_QUEUE_URL is not set"


def test_real_money_requires_the_last_digits_of_the_account_number(terminal: Terminal) -> None:
    url = a_queue(terminal.world)
    live = Terminal(
        terminal.world, terminal.folder, {"ALPACA_PAPER": "false", "LIVE_TRADING": "yes", "PLAN_QUEUE_URL": url}
    )
    path = live.file(PLAN)
    secret = json.dumps({"api_key": "key", "secret_key": "secret", "account_number": "PA0000001"})
    terminal.world.session.client("secretsmanager").put_secret_value(SecretId="alpaca/default", SecretString=secret)

    without_terminal = live.type("submit", path)
    wrong = live.type("submit", path, "--confirm-account", "9999")
    without_hash = live.type("apply", path, "--confirm-account", "0001")
    by_script = live.type("apply", path, "--yes", "--confirm-account", "0001")

    assert (without_hash.exit_code, by_script.exit_code) == (2, 2)
    assert "needs --hash" in " ".join(without_hash.stderr.split())
    assert f"rebalance preview {path}" in " ".join(by_script.stderr.split())
    assert (without_terminal.exit_code, wrong.exit_code) == (2, 2)
    assert "real money" in without_terminal.stderr
    assert "does not end with 9999" in " ".join(wrong.stderr.split())
