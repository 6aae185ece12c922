"""Requests that operator commands send to DynamoDB when they list plans: no scans, and nothing about other accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from rebalance_executor import bootstrap
from rebalance_executor.adapters.dynamodb import journal_items
from rebalance_executor.adapters.dynamodb.table import Item, to_attributes
from rebalance_executor.domain.orders import Outcome
from tests.support.builders import NOW
from tests.support.journalled import filled_parent, parent, result, state
from tests.support.terminal import Terminal
from tests.support.world import HandlerWorld, a_world, buy, plan, sell

DAY = NOW.date().isoformat()
OTHER_ACCOUNTS = 120


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    """Yield an account with two finished plans on one day."""
    with a_world(positions={"AAA": "50"}) as world:
        world.deliver(plan(sell("AAA", "1000", current_value="5000"), buy("BBB", "2000"), plan_id="plan-1"))
        world.advance(60)
        world.deliver(plan(buy("BBB", "500"), plan_id="plan-2"))
        yield world


class Requests:
    """Number of requests to DynamoDB, by operation."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.index_days: list[str] = []

    def record(self, params: dict[str, Any], model: Any, **_: object) -> None:
        """Count one request; a botocore event handler."""
        self.counts[model.name] += 1
        if params.get("IndexName") == "plans-by-day":
            self.index_days.append(params["ExpressionAttributeValues"][":day"]["S"])


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    """Return the requests of the commands that the test runs; those of the function itself are not counted."""
    requests, create = Requests(), bootstrap.aws_client

    def aws_client(service: str) -> Any:
        client = create(service)
        client.meta.events.register("provide-client-params.dynamodb", requests.record)
        return client

    monkeypatch.setattr(bootstrap, "aws_client", aws_client)
    return requests


def put_items(world: HandlerWorld, *items: Item) -> None:
    client = boto3.client("dynamodb")
    for item in items:
        client.put_item(TableName=world.settings.execution_table, Item=to_attributes(item))


def add_plans_of_other_accounts(world: HandlerWorld) -> None:
    for number in range(OTHER_ACCOUNTS):
        own = state(account=f"other-{number}", plan_id=f"plan-{number}")
        put_items(
            world, journal_items.plan_item(own, 1, result()), journal_items.parent_item(own, filled_parent("BBB"))
        )


COMMANDS = [
    ("status", "--day", DAY),
    ("status", "--day", DAY, "--days", "3"),
    ("report", "--day", DAY),
    ("reconcile", "plan-1"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_scans_the_table_or_reads_plans_of_other_accounts(
    words: tuple[str, ...], world: HandlerWorld, tmp_path: Path, requests: Requests
) -> None:
    terminal = Terminal(world, tmp_path, {})
    alone = terminal.type(*words)
    counts = requests.counts.copy()
    requests.counts.clear()
    add_plans_of_other_accounts(world)

    among_others = terminal.type(*words)

    assert alone.exit_code == 0, (alone.stdout, alone.stderr)
    assert among_others.stdout == alone.stdout
    assert requests.counts == counts
    assert "Scan" not in counts


def test_status_queries_the_index_once_per_day(world: HandlerWorld, tmp_path: Path, requests: Requests) -> None:
    answer = Terminal(world, tmp_path, {}).json("cli/status", "status", "--day", DAY, "--days", "3")

    assert requests.index_days == [(NOW - timedelta(days=ago)).date().isoformat() for ago in (2, 1, 0)]
    assert [one["plan_id"] for one in answer["plans"]] == ["plan-2", "plan-1"]
    assert requests.counts["BatchGetItem"] == 1, "days without a plan of the account need no second request"


def test_status_lists_more_plans_than_fit_into_one_request(
    world: HandlerWorld, tmp_path: Path, requests: Requests
) -> None:
    put_items(world, *(journal_items.plan_item(state(account="default", plan_id=f"p-{n}"), 1) for n in range(150)))

    answer = Terminal(world, tmp_path, {}).json("cli/status", "status", "--day", DAY)

    assert len({one["plan_id"] for one in answer["plans"]}) == 152
    assert requests.counts["BatchGetItem"] == 2


def test_reconcile_reads_no_further_day_once_every_symbol_was_traded_again(
    world: HandlerWorld, tmp_path: Path, requests: Requests
) -> None:
    world.advance(timedelta(days=20).total_seconds())
    traded = state(account="default", plan_id="plan-3", started_at=NOW + timedelta(days=2))
    parents = (journal_items.parent_item(traded, filled_parent(symbol)) for symbol in ("AAA", "BBB"))
    put_items(world, journal_items.plan_item(traded, 1), *parents)

    done = Terminal(world, tmp_path, {}).type("reconcile", "plan-1")

    assert done.exit_code == 0, (done.stdout, done.stderr)
    assert requests.index_days == [(NOW + timedelta(days=later)).date().isoformat() for later in (0, 1, 2)]


@pytest.mark.parametrize(
    ("content_hash", "sent"),
    [("aa11", False), ("left by a write that was cut off", True)],
    ids=["denied", "of other content"],
)
def test_reconcile_compares_positions_unless_a_later_plan_sent_an_order(
    content_hash: str, *, sent: bool, world: HandlerWorld, tmp_path: Path
) -> None:
    world.broker.change({"positions": [{"symbol": "AAA", "qty": "7"}]})
    later = state(account="default", plan_id="plan-3", started_at=NOW + timedelta(minutes=2))
    other = state(account="default", plan_id="plan-3", content_hash=content_hash)
    order = filled_parent("AAA") if sent else parent("AAA").settled(Outcome.DENIED, "HALTED", "halted", NOW)
    put_items(world, journal_items.plan_item(later, 1), journal_items.parent_item(other, order))

    answer = Terminal(world, tmp_path, {}).json("cli/reconcile", "reconcile", "plan-1", code=7)

    assert [one["symbol"] for one in answer["differences"]] == ["AAA"]
