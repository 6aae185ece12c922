"""``docs/operations.md``, "Restore a table": rows that were lost are put back, and nothing is executed twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.world import EXECUTION, a_world, buy, plan

RESTORED = "restored"


def rows(client: Any, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.scan(TableName=table, ConsistentRead=True)["Items"]
    return found


def key(row: dict[str, Any]) -> dict[str, Any]:
    return {"pk": row["pk"], "sk": row["sk"]}


def put_back(client: Any, row: dict[str, Any]) -> bool:
    """Whether that row was missing; one that is there is left as it is."""
    try:
        client.put_item(TableName=EXECUTION, Item=row, ConditionExpression="attribute_not_exists(pk)")
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True


@pytest.mark.parametrize("lost", ["every row", "a plan's own rows"])
def test_a_plan_whose_rows_were_lost_and_put_back_is_answered_and_not_executed(lost: str) -> None:
    with a_world() as world:
        client = world.session.client("dynamodb")
        client.update_continuous_backups(
            TableName=EXECUTION, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        document = plan(buy("AAA", 1000), plan_id="restored")
        result = world.deliver(document)
        orders = world.orders
        before = rows(client, EXECUTION)
        client.restore_table_to_point_in_time(
            SourceTableName=EXECUTION, TargetTableName=RESTORED, UseLatestRestorableTime=True
        )
        gone = [row for row in before if lost == "every row" or "restored" in row["pk"]["S"]]
        for row in gone:
            client.delete_item(TableName=EXECUTION, Key=key(row))

        back = [row for row in rows(client, RESTORED) if put_back(client, row)]
        world.restart()
        world.delete_idempotency_records()
        again = world.deliver(document)

        assert sorted(map(str, back)) == sorted(map(str, gone)) != []
        assert again == result
        assert world.orders == orders
