"""DynamoDB's rules for a request as far as this program uses them: conditions, updates, transactions and limits.

Two tables without AWS evaluate their requests here: the SQLite file and the simulated table. The contract suites
compare both with other implementations of DynamoDB.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from rebalance_executor.adapters.dynamodb_semantics import expressions

MAX_ACTIONS = 100
"""Actions per transaction."""
MAX_BYTES = 4 * 1024 * 1024
"""Bytes per transaction."""
MAX_ITEM_BYTES = 400 * 1024

Item = Mapping[str, Any]
"""An item or a key in DynamoDB's notation: ``{"pk": {"S": "…"}}``."""
Request = Mapping[str, Any]

_NAME = re.compile(r"#\w+")
_KEYS = (("pk", "sk"), ("id",))
"""Key attributes of the execution table and of the idempotency table."""


def client_error(code: str, text: str, **fields: Any) -> ClientError:
    """Return the error that boto3 raises for a response other than 200."""
    response: Any = {"Error": {"Code": code, "Message": text}, **fields}
    return ClientError(response, "Request")


def key_of(item: Item) -> dict[str, Any]:
    """Return the key attributes of an item or of a key."""
    names = next(names for names in _KEYS if names[0] in item)
    return {name: item[name] for name in names}


def key_texts(item: Item) -> tuple[str, str]:
    """Return partition key and sort key of an item or of a key; the sort key is empty if its table has none."""
    partition, *sort = key_of(item).values()
    return str(partition["S"]), str(sort[0]["S"]) if sort else ""


def resolved(text: str, request: Request) -> str:
    """Return an expression with the attribute names that the request's placeholders stand for."""
    names = request.get("ExpressionAttributeNames")
    return _NAME.sub(lambda found: str(names[found.group()]), text) if names else text


def check_condition(request: Request, old: Item | None) -> None:
    """Check the condition of a request for one item.

    Raises:
        ClientError: the condition is false; the error has the existing item.
    """
    if not condition_holds(request, old):
        existing = {"Item": old} if old is not None else {}
        raise client_error("ConditionalCheckFailedException", "The conditional request failed", **existing)


def condition_holds(request: Request, old: Item | None) -> bool:
    """Return whether the request's condition holds for the existing item.

    Raises:
        ClientError: a value of the request is used by none of its expressions, which DynamoDB rejects.
    """
    values = request.get("ExpressionAttributeValues", {})
    condition, update = (
        resolved(text, request) if text is not None else None
        for text in (request.get("ConditionExpression"), request.get("UpdateExpression"))
    )
    used = expressions.used_values(condition, update)
    if used != values.keys():
        raise client_error("ValidationException", f"the request has {sorted(values)}, its expressions {sorted(used)}")
    return condition is None or expressions.parse_condition(condition).holds(old or {}, values)


def updated(request: Request, old: Item | None) -> dict[str, Any]:
    """Return the item that the request's update makes of the existing one."""
    values = request.get("ExpressionAttributeValues", {})
    before = old if old is not None else request["Key"]
    update = expressions.parse_update(resolved(request["UpdateExpression"], request))
    sets = {name: value(before, values) for name, value in update.sets}
    return {name: value for name, value in {**before, **sets}.items() if name not in update.removes}


def transaction_items(
    actions: Sequence[tuple[str, Request]], read: Callable[[Request], Item | None]
) -> list[tuple[Request, Item]]:
    """Return the items that a transaction writes, each with its action's request.

    Args:
        actions: kind and request of each action.
        read: returns the existing item of an action's request.

    Raises:
        ClientError: DynamoDB would reject the transaction, or a condition fails.
    """
    keys = [key_texts(body.get("Item") or body["Key"]) for _, body in actions]
    if len(keys) > MAX_ACTIONS or len(set(keys)) < len(keys):
        raise client_error("ValidationException", f"{len(keys)} actions on {len(set(keys))} items")
    items: list[tuple[Request, Item]] = []
    reasons = []
    for kind, body in actions:
        old = read(body)
        reasons.append({"Code": "None" if condition_holds(body, old) else "ConditionalCheckFailed"})
        if kind != "ConditionCheck":
            items.append((body, body["Item"] if kind == "Put" else updated(body, old)))
    if any(reason["Code"] != "None" for reason in reasons):
        raise client_error("TransactionCanceledException", "canceled", CancellationReasons=reasons)
    return items


def check_sizes(items: Iterable[Item]) -> None:
    """Check the size of items that are written together.

    Raises:
        ClientError: DynamoDB would reject them.
    """
    sizes = [_size(item) for item in items]
    largest, total = max(sizes, default=0), sum(sizes)
    if largest > MAX_ITEM_BYTES or total > MAX_BYTES:
        raise client_error("ValidationException", f"too large: {largest} bytes per item, {total} bytes in all")


def _size(item: Item) -> int:
    """Return the size of an item in characters, which equals DynamoDB's size in bytes for ASCII."""
    sizes = [
        len(name) + (1 if isinstance(value, bool) else len(value))
        for name, attribute in item.items()
        for value in attribute.values()
    ]
    return sum(sizes)
