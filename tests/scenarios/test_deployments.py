"""Two deployments with the keys of one broker account: the orders at the broker show it, in whatever tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.aws import create_execution_table, create_idempotency_table
from tests.support.world import HandlerWorld, a_world, buy, outcomes, plan

MISMATCH = ("DENIED", "ACCOUNT_MISMATCH")


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world() as world:
        yield world


def become(world: HandlerWorld, stack: str) -> None:
    """Continue as the function of another stack, with tables of its own and the same keys."""
    client = world.session.client("dynamodb")
    tables = {"execution_table": f"{stack}-execution", "idempotency_table": f"{stack}-idempotency"}
    if tables["execution_table"] not in client.list_tables()["TableNames"]:
        create_execution_table(client, tables["execution_table"])
        create_idempotency_table(client, tables["idempotency_table"])
    deployment = f"000000000000/us-east-1/{stack}"
    world.settings = world.settings.model_copy(update={**tables, "deployment": deployment})
    world.restart()


def traded(world: HandlerWorld, symbol: str, plan_id: str) -> tuple[str, str | None]:
    return outcomes(world.deliver(plan(buy(symbol, 500), plan_id=plan_id)))[symbol]


def test_second_stack_with_the_keys_of_one_broker_account_is_denied(world: HandlerWorld) -> None:
    become(world, "paper")
    assert traded(world, "AAA", "a") == ("FILLED", None)

    become(world, "dev")
    assert traded(world, "BBB", "b") == MISMATCH
    assert traded(world, "BBB", "c") == MISMATCH

    become(world, "paper")
    assert traded(world, "BBB", "d") == ("FILLED", None)


def test_health_of_the_second_stack_fails(world: HandlerWorld) -> None:
    become(world, "paper")
    traded(world, "AAA", "a")
    become(world, "dev")

    answer = world.deliver({"health": True})

    (failing,) = [check for check in answer["checks"] if not check["ok"] and check["name"] == "account"]
    assert failing["detail"].startswith("ACCOUNT_MISMATCH: ")


def test_same_plan_in_two_stacks_is_traded_once(world: HandlerWorld) -> None:
    become(world, "paper")
    traded(world, "AAA", "the same plan")
    become(world, "dev")
    traded(world, "AAA", "the same plan")

    assert len(world.orders) == 1
