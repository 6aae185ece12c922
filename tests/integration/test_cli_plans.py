"""``rebalance validate | preview | submit``: plans before they are executed."""

from __future__ import annotations

import json
from collections.abc import Iterator
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
def desk(world: HandlerWorld, tmp_path: Path) -> Terminal:
    return Terminal(world, tmp_path, {})


# --- validate --------------------------------------------------------------------------------------------


def test_every_problem_is_listed_at_once_with_its_path(desk: Terminal) -> None:
    wrong = plan(buy("AAA", "-5"), sell("BBB", "10", priority=9, target_weight="2"), total_trade_value="much")

    answer = desk.json("cli/validate", "validate", desk.file(wrong), code=2)
    shown = desk.type("validate", desk.file(wrong)).stdout

    paths = {problem["path"] for problem in answer["problems"]}
    assert {"items.0.trade_amount", "items.1.priority", "items.1.target_weight", "total_trade_value"} <= paths
    assert "items.1.priority" in shown
    assert "not valid: 4 problems" in shown


def test_a_plan_with_thirty_problems_and_a_symbol_twice_is_told_of_all_of_them(desk: Terminal) -> None:
    wrong = plan(*[buy(f"S{number}", "5", priority=9) for number in range(30)], buy(" s3 ", "5"))

    problems = desk.json("cli/validate", "validate", desk.file(wrong), code=2)["problems"]

    assert [p["path"] for p in problems] == [*(f"items.{number}.priority" for number in range(30)), "items"]
    assert problems[-1]["text"] == "symbol S3 appears twice; merge its items"


def test_a_valid_plan_tells_its_hash_and_the_next_command(desk: Terminal) -> None:
    path = desk.file(plan(buy("BBB", "2000")))

    answer = desk.json("cli/validate", "validate", path)

    assert answer["valid"]
    assert len(answer["content_hash"]) == 64
    assert f"rebalancepreview{path}" in "".join(desk.type("validate", path).stdout.split())


def test_what_is_worth_a_second_look_does_not_forbid_the_plan(desk: Terminal) -> None:
    odd = plan(
        buy("BBB", "2000", target_weight="0.9"), buy("CCC", "1", target_weight="0.9"), valid_until=NOW.isoformat()
    )

    remarks = desk.json("cli/validate", "validate", desk.file(odd))["remarks"]

    assert {"timestamp", "valid_until", "total_trade_value", "items", "items.0.weight_diff"} <= {
        remark["path"] for remark in remarks
    }


@pytest.mark.parametrize("content", [{"health": True}, {"plan_s3": {"bucket": "b", "key": "k"}}])
def test_a_file_without_a_plan_ends_with_a_sentence(desk: Terminal, content: object) -> None:
    done = desk.type("validate", desk.file(content))

    assert done.exit_code == 2
    assert "holds no plan" in " ".join(done.stderr.split())


# --- preview ---------------------------------------------------------------------------------------------


def decisions(answer: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {order["symbol"]: (order["decision"], order["code"]) for order in answer["orders"]}


def test_the_preview_is_what_then_happens_and_sends_nothing(desk: Terminal) -> None:
    answer = desk.json("cli/preview", "preview", desk.file(PLAN), code=3)
    requests = len(desk.world.orders)
    result = desk.world.deliver(PLAN)

    assert requests == 0
    assert decisions(answer) == {
        "AAA": ("send", None),
        "BBB": ("send", None),
        "ZZZ": ("deny", "NOT_TRADABLE"),
        "CCC": ("skip", "HOLD"),
    }
    assert answer["orders"][1]["limit_price"] == "100.01"
    assert (answer["sells"], answer["buys"], answer["estimated_cost"]) == ("1000", "2000", "0.3")
    done = {order["symbol"]: order["planned_shares"] for order in result["orders"]}
    assert {o["symbol"]: o["qty"] for o in answer["orders"]} == done
    assert outcomes(result)["ZZZ"][1] == "NOT_TRADABLE"


def test_buys_are_shown_as_they_fit_into_the_cash(desk: Terminal) -> None:
    answer = desk.json("cli/preview", "preview", desk.file(plan(buy("BBB", "2000"), buy("CCC", "900", priority=2))))

    assert decisions(answer) == {"BBB": ("send", "SCALED_TO_CASH"), "CCC": ("skip", "INSUFFICIENT_CASH")}
    assert answer["buy_budget"] == "1492.5"


def test_the_human_preview_fits_80_columns_and_names_the_next_command(desk: Terminal) -> None:
    shown = desk.type("preview", desk.file(PLAN)).stdout

    assert max(map(len, shown.splitlines())) <= 80
    assert "paper money" in shown
    assert "--hash" in shown
    assert "NOT_TRADABLE" in shown


def test_a_halted_account_and_an_expired_plan_are_previewed_as_refused(desk: Terminal) -> None:
    old = plan(buy("BBB", "10"), timestamp="2026-01-26T10:00:00Z")
    expired = desk.json("cli/preview", "preview", desk.file(old), code=4)
    desk.world.set_kill_switch(TradingState.HALTED)
    halted = desk.json("cli/preview", "preview", desk.file(PLAN), code=6)

    assert expired["code"] == "PLAN_EXPIRED"
    assert halted["code"] == "HALTED"
    assert "drill" in halted["message"]


def test_a_preview_trips_no_switch_and_cancels_no_order_of_others(tmp_path: Path) -> None:
    config = {"max_plans_per_day": 1, "conflicting_orders": "cancel"}
    with a_world(config=config) as world:
        world.deliver(plan(buy("BBB", "100")))
        desk = Terminal(world, tmp_path, {})

        answer = desk.json("cli/preview", "preview", desk.file(plan(buy("CCC", "10"), plan_id="p2")), code=4)

        assert answer["code"] == "TOO_MANY_PLANS"
        assert world.risk_store.kill_switch("default").state is TradingState.ACTIVE


def test_what_was_begun_is_not_previewed_as_if_it_were_new(desk: Terminal) -> None:
    path, other = desk.file(PLAN), desk.file(plan(buy("BBB", "1")), "other.json")
    desk.world.broker.change({"fills": [{"symbol": "AAA", "behaviour": "never"}]})
    with pytest.raises(PlanYielded):
        desk.world.deliver(PLAN, seconds=8)
    begun = desk.json("cli/failure", "preview", path, code=5)
    desk.world.broker.change({"fills": []})
    desk.world.deliver(PLAN)
    executed = desk.json("cli/failure", "preview", path, code=2)
    changed = desk.json("cli/failure", "preview", other, code=2)

    assert "goes on where it stopped" in begun["error"]
    assert "sends nothing" in executed["error"]
    assert "another plan" in changed["error"]


def test_a_plan_of_holds_asks_the_broker_nothing(desk: Terminal) -> None:
    answer = desk.json("cli/preview", "preview", desk.file(plan(hold("AAA"))))

    assert decisions(answer) == {"AAA": ("skip", "HOLD")}
    assert answer["account_number"] is None


# --- submit ----------------------------------------------------------------------------------------------


def a_queue(world: HandlerWorld) -> str:
    made = world.session.client("sqs").create_queue(
        QueueName="plans.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    )
    return str(made["QueueUrl"])


def test_a_submitted_plan_is_the_one_that_was_previewed(desk: Terminal) -> None:
    url = a_queue(desk.world)
    queued = Terminal(desk.world, desk.folder, {"PLAN_QUEUE_URL": url})
    path = queued.file(plan(buy("BBB", "100")))
    hash_ = queued.json("cli/preview", "preview", path)["content_hash"]

    answer = queued.json("cli/submit", "submit", path, "--hash", hash_[:12])

    (message,) = desk.world.session.client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert answer["content_hash"] == hash_
    result = desk.world.deliver(
        {"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": message["Body"], "attributes": {}}]}
    )
    assert result == {"batchItemFailures": []}
    assert desk.type("status", "plan-1").exit_code == 0


def test_a_plan_that_changed_since_its_preview_is_refused(desk: Terminal) -> None:
    path = desk.file(PLAN)

    for command in ("submit", "apply"):
        done = desk.type(command, path, "--hash", "0123456789ab")
        assert done.exit_code == 2
        assert "changed since its preview" in " ".join(done.stderr.split())
    assert "at least 8" in desk.type("apply", path, "--hash", "01").stderr


def test_a_plan_can_be_sent_on_a_bus_and_a_bus_that_is_not_there_ends_with_a_sentence(desk: Terminal) -> None:
    path = desk.file(PLAN)

    assert desk.json("cli/submit", "submit", path, "--bus", BUS)["to"] == BUS
    assert desk.type("submit", path).exit_code == 2, "no queue is named"


def test_real_money_asks_for_the_last_digits_of_the_account_number(desk: Terminal) -> None:
    url = a_queue(desk.world)
    live = Terminal(desk.world, desk.folder, {"ALPACA_PAPER": "false", "LIVE_TRADING": "yes", "PLAN_QUEUE_URL": url})
    path = live.file(PLAN)
    secret = json.dumps({"api_key": "key", "secret_key": "secret", "account_number": "PA0000001"})
    desk.world.session.client("secretsmanager").put_secret_value(SecretId="alpaca/default", SecretString=secret)

    nobody = live.type("submit", path)
    wrong = live.type("submit", path, "--account-number", "9999")

    assert (nobody.exit_code, wrong.exit_code) == (2, 2)
    assert "real money" in nobody.stderr
    assert "not the last digits" in wrong.stderr
