"""DynamoDB's client interface on a journal file, so that the adapters for DynamoDB work without AWS."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rebalance_executor.adapters.dynamodb.plan_index import INDEX
from rebalance_executor.adapters.dynamodb_semantics import evaluation, expressions
from rebalance_executor.adapters.dynamodb_semantics.evaluation import Item, Request, client_error
from rebalance_executor.adapters.sqlite.file import JournalFile

type Answer = dict[str, Any]

_READ = "SELECT item FROM items WHERE name = ? AND pk = ? AND sk = ?"
_WRITE = "INSERT OR REPLACE INTO items (name, pk, sk, day, status, item) VALUES (?, ?, ?, ?, ?, ?)"


class SqliteDynamoDB:
    """The parts of boto3's DynamoDB client that the program uses, on one SQLite file.

    Tables need not be created. Their keys are ``pk`` and ``sk``, or ``id``. Conditions, transactions, limits and error
    codes are those of DynamoDB; a response holds all items, without pages. Every write is one transaction of SQLite.

    Every method raises ``JournalUnavailable`` if the file cannot be used, for example because it was deleted.

    Args:
        file: the journal.
    """

    def __init__(self, file: JournalFile) -> None:
        self.file = file

    # --- reads -------------------------------------------------------------------------------------------

    def get_item(self, *, TableName: str, Key: Item, **_: object) -> Answer:  # noqa: N803 - boto3's names
        """Return the item with this key, if it exists."""
        with self.file.reading() as database:
            item = _read(database, TableName, Key)
        return {} if item is None else {"Item": item}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Answer:  # noqa: N803 - boto3's name
        """Return the items that exist."""
        with self.file.reading() as database:
            found = {
                table: [item for key in batch["Keys"] if (item := _read(database, table, key)) is not None]
                for table, batch in RequestItems.items()
            }
        return {"Responses": found, "UnprocessedKeys": {}}

    def query(self, **request: Any) -> Answer:
        """Return the items of a partition or of the index of plans, ordered by sort key."""
        condition = expressions.parse_condition(evaluation.resolved(request["KeyConditionExpression"], request))
        values, table = request["ExpressionAttributeValues"], request["TableName"]
        is_index = _is_index(request)
        rows = "SELECT day, status, pk, sk FROM items WHERE name = ? AND day = ? ORDER BY status, pk, sk"
        if not is_index:
            rows = "SELECT pk, sk, pk, sk FROM items WHERE name = ? AND pk = ? ORDER BY sk"
        names = ("day", "status") if is_index else ("pk", "sk")
        partition = values[":day" if is_index else ":pk"]["S"]
        with self.file.reading() as database:
            database.execute("BEGIN")  # keys and items of one state of the file
            keys = [
                {"pk": {"S": pk}, "sk": {"S": sk}}
                for first, second, pk, sk in database.execute(rows, (table, partition))
                if condition.holds(_attributes(names, (first, second)), values)
            ]
            items = [item for key in keys if (item := _read(database, table, key)) is not None]
        return {"Items": items, "Count": len(items)}

    # --- writes ------------------------------------------------------------------------------------------

    def put_item(self, **request: Any) -> Answer:
        """Write one item if the condition holds."""
        with self.file.writing() as database:
            evaluation.check_condition(request, _read(database, request["TableName"], request["Item"]))
            _write(database, [(request, request["Item"])])
        return {}

    def update_item(self, **request: Any) -> Answer:
        """Change one item if the condition holds; return the changed item."""
        with self.file.writing() as database:
            old = _read(database, request["TableName"], request["Key"])
            evaluation.check_condition(request, old)
            new = evaluation.updated(request, old)
            _write(database, [(request, new)])
        return {"Attributes": new}

    def delete_item(self, *, TableName: str, Key: Item) -> Answer:  # noqa: N803 - boto3's names
        """Delete the item with this key, if it exists."""
        with self.file.writing() as database:
            key = evaluation.key_texts(Key)
            database.execute("DELETE FROM items WHERE name = ? AND pk = ? AND sk = ?", (TableName, *key))
        return {}

    def transact_write_items(self, *, TransactItems: Sequence[Request]) -> Answer:  # noqa: N803 - boto3's name
        """Run all actions or none."""
        actions = [next(iter(action.items())) for action in TransactItems]
        with self.file.writing() as database:

            def read(body: Request) -> Item | None:
                return _read(database, body["TableName"], body.get("Item") or body["Key"])

            _write(database, evaluation.transaction_items(actions, read))
        return {}

    def batch_write_item(self, *, RequestItems: Mapping[str, Any]) -> Answer:  # noqa: N803 - boto3's name
        """Write items without a condition."""
        with self.file.writing() as database:
            for table, puts in RequestItems.items():
                _write(database, [({"TableName": table}, put["PutRequest"]["Item"]) for put in puts])
        return {"UnprocessedItems": {}}


def _is_index(request: Request) -> bool:
    index = request.get("IndexName")
    if index not in (None, INDEX):
        raise client_error("ValidationException", f"there is no index {index}")
    return index is not None


def _attributes(names: Iterable[str], texts: Iterable[str | None]) -> Item:
    return {name: {"S": text} for name, text in zip(names, texts, strict=True) if text is not None}


def _read(database: sqlite3.Connection, table: str, key: Item) -> Item | None:
    row = database.execute(_READ, (table, *evaluation.key_texts(key))).fetchone()
    return _decoded(row[0]) if row is not None else None


def _write(database: sqlite3.Connection, items: Sequence[tuple[Request, Item]]) -> None:
    evaluation.check_sizes(item for _, item in items)
    for request, item in items:
        index = [item[name]["S"] if name in item else None for name in ("day", "status")]
        database.execute(_WRITE, (request["TableName"], *evaluation.key_texts(item), *index, _encoded(item)))


def _encoded(item: Item) -> str:
    """Return an item as JSON; bytes are written in base64."""
    texts = {
        name: _mapped(attribute, lambda value: base64.b64encode(value).decode()) for name, attribute in item.items()
    }
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"))


def _decoded(text: str) -> Item:
    return {name: _mapped(attribute, base64.b64decode) for name, attribute in json.loads(text).items()}


def _mapped(attribute: Mapping[str, Any], convert: Callable[[Any], object]) -> dict[str, Any]:
    """Return an attribute with its bytes converted."""
    return {kind: convert(value) if kind == "B" else value for kind, value in attribute.items()}
