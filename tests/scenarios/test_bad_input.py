"""An invalid plan is answered with the field and the problem; nothing is sent or written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from rebalance_executor.domain.errors import ConfigurationError, InvalidInput, UnknownAccount
from tests.support.builders import NOW
from tests.support.world import BUCKET, EXECUTION, IDEMPOTENCY, KEYS, HandlerWorld, a_world, buy, plan, sell

INVALID_PLANS: list[tuple[str, object, str]] = [
    ("null", None, "$"),
    ("a list", [plan(buy("AAA", 100))], "$"),
    ("text", "a plan", "$"),
    ("no items", plan() | {"items": []}, "items"),
    ("items that are not a list", plan() | {"items": {"symbol": "AAA"}}, "items"),
    ("no plan_id", {k: v for k, v in plan(buy("AAA", 1)).items() if k != "plan_id"}, "plan_id"),
    ("a symbol twice", plan(buy("AAA", 100), sell("aaa", 50)), "items"),
    ("a buy of negative dollars", plan(buy("AAA", -100)), "items.0.trade_amount"),
    ("a sell of positive dollars", plan(sell("AAA", 1) | {"trade_amount": "100"}), "items.0.trade_amount"),
    ("NaN", plan(buy("AAA", "NaN")), "items.0.trade_amount"),
    ("Infinity", plan(buy("AAA", "Infinity")), "items.0.trade_amount"),
    ("10,000 items", plan(*[buy(f"A{n}", 1) for n in range(10_000)]), "$"),
    ("two megabytes", plan(metadata={"notes": "x" * 2_000_000}), "$"),
    ("a timestamp without time zone", plan(timestamp="2026-01-26T15:00:00"), "timestamp"),
    ("a plan from tomorrow", plan(timestamp=(NOW + timedelta(days=1)).isoformat()), "timestamp"),
    ("a plan from yesterday", plan(timestamp=(NOW - timedelta(days=1)).isoformat()), "timestamp"),
    ("an expired plan", plan(valid_until=(NOW - timedelta(1)).isoformat()), "valid_until"),
    ("another major version", plan(schema_version="2.0.0"), "schema_version"),
    ("an unknown account", plan(account="unknown"), "account"),
    ("a pointer to another bucket", {"plan_s3": {"bucket": "other", "key": "plan.json"}}, "plan_s3.bucket"),
    ("a pointer to nothing", {"plan_s3": {"bucket": BUCKET, "key": "none.json"}}, "plan_s3.key"),
]


@pytest.fixture(scope="module")
def world() -> Iterator[HandlerWorld]:
    """Yield one world for all tests, because none of them may leave a trace."""
    with a_world() as world:
        yield world


@pytest.fixture(autouse=True)
def untouched(world: HandlerWorld) -> Iterator[None]:
    """Check that no order, journal item or idempotency record exists."""
    yield
    assert world.orders == []
    tables = world.session.resource("dynamodb")
    written = [item for table in (EXECUTION, IDEMPOTENCY) for item in tables.Table(table).scan()["Items"]]
    assert [item for item in written if not str(item.get("pk", "")).startswith("ACCOUNT#")] == []


@pytest.mark.parametrize(("event", "field"), [case[1:] for case in INVALID_PLANS], ids=[c[0] for c in INVALID_PLANS])
def test_invalid_plan_is_answered_with_field_and_problem(world: HandlerWorld, event: object, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        world.deliver(event)

    assert caught.value.field == field
    line = world.log_lines("plan.invalid")[-1]
    assert (line["level"], line["field"]) == ("WARNING", field)
    assert caught.value.problem in line["reason"]


@pytest.mark.parametrize("body", ["not json", "", "null", "[]", '{"plan_id": NaN}', "{" * 3000])
def test_invalid_message_fails_alone(world: HandlerWorld, body: str) -> None:
    record: dict[str, Any] = {"messageId": "1", "body": body, "attributes": {}, "eventSource": "aws:sqs"}

    assert world.deliver({"Records": [record]}) == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert world.log_lines("plan.invalid")[-1]["level"] == "WARNING"


def test_plan_of_an_account_that_is_not_served_is_invalid_although_it_has_a_secret(world: HandlerWorld) -> None:
    world.session.client("secretsmanager").create_secret(Name="alpaca/growth", SecretString=json.dumps(KEYS))
    unlimited = world.settings
    world.settings = unlimited.model_copy(update={"accounts": ("default", "income")})
    world.restart()
    world.aws_requests.clear()

    with pytest.raises(UnknownAccount) as caught:
        world.deliver(plan(buy("AAA", 100), account="growth"))

    assert caught.value.field == "account"
    assert "default, income" in caught.value.problem
    line = world.log_lines("plan.invalid")[-1]
    assert (line["code"], line["account"], line["plan_id"]) == ("UNKNOWN_ACCOUNT", "growth", "plan-1")
    assert world.aws_requests == {}
    world.settings = unlimited
    world.restart()


def test_secret_without_keys_sends_nothing(world: HandlerWorld) -> None:
    """Runs last in this module's world: the new container reads a secret without keys."""
    world.session.client("secretsmanager").put_secret_value(SecretId="alpaca/default", SecretString=json.dumps({}))
    world.restart()

    with pytest.raises(ConfigurationError, match="api_key"):
        world.deliver(plan(buy("AAA", 100)))
