"""Whatever is not a plan is refused with the field and the problem; nothing is sent, nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from rebalance_executor.domain.errors import ConfigurationError, InvalidInput
from rebalance_executor.settings import load_settings
from tests.support.builders import NOW
from tests.support.world import BUCKET, EXECUTION, IDEMPOTENCY, HandlerWorld, a_world, buy, plan, sell

NOT_A_PLAN: list[tuple[str, object, str, str]] = [
    ("null", None, "$", "is null"),
    ("a list", [plan(buy("AAA", 100))], "$", "is a list"),
    ("a text", "a plan", "$", "is text"),
    ("no items", plan() | {"items": []}, "items", "at least one"),
    ("items that are no list", plan() | {"items": {"symbol": "AAA"}}, "items", "must be a list"),
    ("without its id", {k: v for k, v in plan(buy("AAA", 1)).items() if k != "plan_id"}, "plan_id", "is missing"),
    ("a symbol twice", plan(buy("AAA", 100), sell("aaa", 50)), "items", "AAA appears twice"),
    ("a buy of less than nothing", plan(buy("AAA", -100)), "items.0.trade_amount", "must be positive"),
    ("a sell with a buy's sign", plan(sell("AAA", 1) | {"trade_amount": "100"}), "items.0.trade_amount", "negative"),
    ("NaN", plan(buy("AAA", "NaN")), "items.0.trade_amount", "is not a decimal number"),
    ("Infinity", plan(buy("AAA", "Infinity")), "items.0.trade_amount", "is not a decimal number"),
    ("10,000 items", plan(*[buy(f"A{n}", 1) for n in range(10_000)]), "$", "at most 1048576"),
    ("two megabytes", plan(metadata={"notes": "x" * 2_000_000}), "$", "at most 1048576"),
    ("a naive timestamp", plan(timestamp="2026-01-26T15:00:00"), "timestamp", "time zone"),
    ("a plan of tomorrow", plan(timestamp=(NOW + timedelta(days=1)).isoformat()), "timestamp", "future"),
    (
        "a plan of yesterday",
        plan(timestamp=(NOW - timedelta(days=1)).isoformat()),
        "timestamp",
        "more than 30 minutes ago",
    ),
    ("a plan that ran out", plan(valid_until=(NOW - timedelta(1)).isoformat()), "valid_until", "has passed"),
    ("another major version", plan(schema_version="2.0.0"), "schema_version", "only 1.x"),
    ("an account nobody set up", plan(account="somebody"), "account", "somebody"),
    ("a pointer outside the bucket", {"plan_s3": {"bucket": "other", "key": "plan.json"}}, "plan_s3.bucket", "other"),
    ("a pointer to nothing", {"plan_s3": {"bucket": BUCKET, "key": "none.json"}}, "plan_s3.key", "none.json"),
]


@pytest.fixture(scope="module")
def world() -> Iterator[HandlerWorld]:
    """One world for all of them: none of them may leave a trace in it."""
    with a_world() as world:
        yield world


@pytest.fixture(autouse=True)
def untouched(world: HandlerWorld) -> Iterator[None]:
    """Nothing was sent and nothing is left behind, neither in the journal nor at the front door."""
    yield
    assert world.orders == []
    tables = world.session.resource("dynamodb")
    written = [item for table in (EXECUTION, IDEMPOTENCY) for item in tables.Table(table).scan()["Items"]]
    assert [item for item in written if not str(item.get("pk", "")).startswith("ACCOUNT#")] == []


@pytest.mark.parametrize(
    ("event", "field", "problem"), [case[1:] for case in NOT_A_PLAN], ids=[c[0] for c in NOT_A_PLAN]
)
def test_what_is_no_plan_is_refused_by_field_and_problem(
    world: HandlerWorld, event: object, field: str, problem: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        world.deliver(event)

    assert caught.value.field == field
    assert problem in caught.value.problem
    told = world.log_lines("plan.invalid")[-1]
    assert (told["level"], told["field"]) == ("WARNING", field)
    assert problem in told["reason"]


@pytest.mark.parametrize("body", ["not json", "", "null", "[]", '{"plan_id": NaN}', "{" * 3000])
def test_a_message_that_is_no_plan_fails_alone(world: HandlerWorld, body: str) -> None:
    record: dict[str, Any] = {"messageId": "1", "body": body, "attributes": {}, "eventSource": "aws:sqs"}

    assert world.deliver({"Records": [record]}) == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert world.log_lines("plan.invalid")[-1]["level"] == "WARNING"


def test_without_credentials_nothing_is_sent(world: HandlerWorld) -> None:
    """The last of this module's world: a new container reads a secret that lacks its keys."""
    world.session.client("secretsmanager").put_secret_value(SecretId="alpaca/default", SecretString=json.dumps({}))
    world.restart()

    with pytest.raises(ConfigurationError, match="api_key"):
        world.deliver(plan(buy("AAA", 100)))


def test_credentials_never_travel_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"EXECUTION_TABLE": "a", "IDEMPOTENCY_TABLE": "b"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ALPACA_TRADING_URL", "http://broker.example")

    with pytest.raises(ConfigurationError, match="ALPACA_TRADING_URL"):
        load_settings()
