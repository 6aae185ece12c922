"""Table restore as in ``docs/operations.md``: lost items are written back, and nothing is executed twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.world import EXECUTION, a_world, buy, plan

RESTORED = "restored"


def items(client: Any, table: str) -> list[dict[str, Any]]:
    scanned: list[dict[str, Any]] = client.scan(TableName=table, ConsistentRead=True)["Items"]
    return scanned


def key(item: dict[str, Any]) -> dict[str, Any]:
    return {"pk": item["pk"], "sk": item["sk"]}


def put_back(client: Any, item: dict[str, Any]) -> bool:
    """Write an item unless it exists; return whether it was missing."""
    try:
        client.put_item(TableName=EXECUTION, Item=item, ConditionExpression="attribute_not_exists(pk)")
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True


@pytest.mark.parametrize("lost", ["every item", "a plan's own items"])
def test_plan_with_restored_items_gets_its_stored_result(lost: str) -> None:
    with a_world() as world:
        client = world.session.client("dynamodb")
        client.update_continuous_backups(
            TableName=EXECUTION, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        document = plan(buy("AAA", 1000), plan_id="restored")
        result = world.deliver(document)
        orders = world.orders
        before = items(client, EXECUTION)
        client.restore_table_to_point_in_time(
            SourceTableName=EXECUTION, TargetTableName=RESTORED, UseLatestRestorableTime=True
        )
        gone = [item for item in before if lost == "every item" or "restored" in item["pk"]["S"]]
        for item in gone:
            client.delete_item(TableName=EXECUTION, Key=key(item))

        back = [item for item in items(client, RESTORED) if put_back(client, item)]
        world.restart()
        world.delete_idempotency_records()
        again = world.deliver(document)

        assert sorted(map(str, back)) == sorted(map(str, gone)) != []
        assert again == result
        assert world.orders == orders
