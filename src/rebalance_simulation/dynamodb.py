"""DynamoDB in the process: one table behind boto3's interface, with everything that can go wrong on the way to it.

The real journal, control book and asset cache run on top. Conditions, transactions and their limits, pages and error
codes are DynamoDB's; the contract suite of the journal holds it to what moto and ministack do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from botocore.exceptions import ClientError, ReadTimeoutError

from rebalance_simulation import dynamodb_expressions
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.faults import Fault

MOST_ACTIONS = 100
"""Of a transaction."""
MOST_BYTES = 4 * 1024 * 1024
"""Of a transaction."""
MOST_ROW_BYTES = 400 * 1024
PAGE_ROWS = 50
"""Rows in one answer to a query. DynamoDB counts a megabyte, which no history fills."""
_GIVES_UP = timedelta(seconds=3)
"""How long a call takes that gets no answer."""

Request = Mapping[str, Any]
Answer = dict[str, Any]
Effect = Callable[[], Answer]


class CallHook(Protocol):
    """A call to the outside; its effect is told the fault, as far as it has to bring it about itself."""

    def __call__(self, name: str, effect: Callable[[Fault | None], Any], /) -> Any: ...


def _straight(_: str, effect: Callable[[Fault | None], Any], /) -> Any:
    return effect(None)


def refused(code: str, text: str, **more: Any) -> ClientError:
    """An answer other than 200."""
    response: Any = {"Error": {"Code": code, "Message": text}, **more}
    return ClientError(response, "Simulated")


class SimulatedDynamoDB:
    """What the program uses of boto3's DynamoDB client, with one table: keys ``pk`` and ``sk``.

    Args:
        cross: how calls come about; they simply happen by default.
        clock: for what gets no answer.
        observe: is told the partitions that a write changed.
        page_rows: rows in one answer to a query.
    """

    def __init__(
        self,
        cross: CallHook = _straight,
        clock: SimulatedClock | None = None,
        observe: Callable[[Iterable[str]], None] | None = None,
        *,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        self._cross = cross
        self._clock = clock or SimulatedClock()
        self._observe = observe
        self._page_rows = page_rows
        self._rows: dict[str, dict[str, Mapping[str, Any]]] = {}

    def partition(self, pk: str) -> Mapping[str, Mapping[str, Any]]:
        """The rows of a partition by their sort key, seen from outside: not a call."""
        return self._rows.get(pk, {})

    def put(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows from outside: not a call."""
        self._keep(list(rows))

    # --- the operations ----------------------------------------------------------------------------------

    def update_item(self, **request: Any) -> dict[str, Any]:
        """Change one row if the condition holds."""

        def update() -> dict[str, Any]:
            old = self._row(request["Key"])
            if not _holds(request, old):
                known = {"Item": old} if old is not None else {}
                raise refused("ConditionalCheckFailedException", "The conditional request failed", **known)
            new = _updated(request, old)
            self._keep([new])
            return {"Attributes": new}

        return self._ask(called("update_item", request), update, _throttled, update)

    def transact_write_items(self, *, TransactItems: Sequence[Request]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """All of these actions or none. boto3 repeats it with its token: what took effect takes none again."""
        actions = [next(iter(action.items())) for action in TransactItems]

        def transact() -> dict[str, Any]:
            self._keep(self._transacted(actions))
            return {}

        def conflict() -> Any:
            reasons = [{"Code": "TransactionConflict"}, *({"Code": "None"} for _ in actions[1:])]
            raise refused("TransactionCanceledException", "cancelled", CancellationReasons=reasons)

        return self._ask(called("transact_write_items", actions), transact, conflict, dict)

    def query(self, **request: Any) -> dict[str, Any]:
        """One page of a partition's rows, in the order of their sort keys."""

        def read() -> dict[str, Any]:
            values, test = (
                request["ExpressionAttributeValues"],
                dynamodb_expressions.condition(request["KeyConditionExpression"]),
            )
            after = request.get("ExclusiveStartKey", {"sk": {"S": ""}})["sk"]["S"]
            rows = self._rows.get(values[":pk"]["S"], {})
            found = [rows[sk] for sk in sorted(rows) if sk > after and test.holds(rows[sk], values)]
            page = found[: self._page_rows]
            more = {"LastEvaluatedKey": _key(page[-1])} if len(found) > len(page) else {}
            return {"Items": page, **more}

        return self._ask(called("query", request), read, _throttled, read)

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Those of the rows that exist; a busy table gives none yet."""
        ((name, wanted),) = RequestItems.items()

        def read() -> dict[str, Any]:
            return {"Responses": {name: [row for key in wanted["Keys"] if (row := self._row(key)) is not None]}}

        return self._ask("assets.get", read, lambda: {"Responses": {}, "UnprocessedKeys": RequestItems}, read)

    def batch_write_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Write rows without any condition; a busy table takes none yet."""
        ((_, wanted),) = RequestItems.items()

        def write() -> dict[str, Any]:
            self._keep([put["PutRequest"]["Item"] for put in wanted])
            return {}

        return self._ask("assets.put", write, lambda: {"UnprocessedItems": RequestItems}, write)

    # --- the way -----------------------------------------------------------------------------------------

    def _ask(self, name: str, effect: Effect, busy: Effect, again: Effect) -> Answer:
        """A call: ``busy`` is what a throttled one comes to, ``again`` what boto3's own repetition does."""

        def carried(fault: Fault | None) -> Any:
            if fault is Fault.NO_ANSWER:
                self._time_out()
            if fault is Fault.THROTTLED:
                return busy()
            answer = effect()
            if fault is Fault.REPEATED:
                return again() or answer
            if fault is Fault.LOST_ANSWER:
                self._time_out()
            return answer

        answer: Answer = self._cross(name, carried)
        return answer

    def _time_out(self) -> None:
        self._clock.sleep(_GIVES_UP)
        raise ReadTimeoutError(endpoint_url="simulated")

    # --- the rows ----------------------------------------------------------------------------------------

    def _row(self, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return self._rows.get(key["pk"]["S"], {}).get(key["sk"]["S"])

    def _keep(self, rows: Sequence[Mapping[str, Any]]) -> None:
        sizes = [_size(row) for row in rows]
        if max(sizes, default=0) > MOST_ROW_BYTES or sum(sizes) > MOST_BYTES:
            raise refused("ValidationException", f"too large: a row of {max(sizes)} bytes, {sum(sizes)} in all")
        for row in rows:
            self._rows.setdefault(row["pk"]["S"], {})[row["sk"]["S"]] = row
        if self._observe is not None:
            self._observe({row["pk"]["S"]: None for row in rows})

    def _transacted(self, actions: Sequence[tuple[str, Request]]) -> list[Mapping[str, Any]]:
        """The rows that a transaction leaves behind; raises what DynamoDB answers where it does not take it."""
        keys = [tuple(part["S"] for part in _key(what.get("Item") or what["Key"]).values()) for _, what in actions]
        if len(keys) > MOST_ACTIONS or len(set(keys)) < len(keys):
            raise refused("ValidationException", f"{len(keys)} actions on {len(set(keys))} rows")
        rows, failed = [], False
        reasons = []
        for kind, what in actions:
            old = self._row(what.get("Item") or what["Key"])
            holds = _holds(what, old)
            failed = failed or not holds
            reasons.append({"Code": "None" if holds else "ConditionalCheckFailed"})
            if kind != "ConditionCheck":
                rows.append(what["Item"] if kind == "Put" else _updated(what, old))
        if failed:
            raise refused("TransactionCanceledException", "cancelled", CancellationReasons=reasons)
        return rows


def called(operation: str, request: Any) -> str:
    """What the call is named: by what the program does with it."""
    if operation == "update_item":
        if request["Key"]["sk"]["S"] != "LEASE":
            return "journal.mark_published"
        return "journal.acquire" if "epoch =" in request["UpdateExpression"] else "journal.release"
    if operation == "query":
        values = request["ExpressionAttributeValues"]
        if values[":pk"]["S"].startswith("ACCOUNT#"):
            return "book.switch" if values[":first"] == values[":last"] else "book.book"
        return "journal.result" if ":prefix" in values else "journal.load"
    first = request[0][1].get("Item")
    if first is not None:
        return "book.set_kill_switch"
    if request[1][0] == "ConditionCheck":
        return "journal.write_batch"
    return "journal.finish" if request[0][0] == "Update" else "journal.write"


def _throttled() -> Any:
    raise refused("ThrottlingException", "Throughput exceeds the current limits")


def _key(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"pk": row["pk"], "sk": row["sk"]}


def _size(row: Mapping[str, Any]) -> int:
    """Characters of a row: bytes, as DynamoDB counts them, where all of them are ASCII."""
    return sum([len(name) + len(value) for name, attribute in row.items() for value in attribute.values()])


def _holds(request: Request, old: Mapping[str, Any] | None) -> bool:
    """Whether the request's condition holds; every value that it brings must be named, as DynamoDB wants it."""
    values, text = request.get("ExpressionAttributeValues", {}), request.get("ConditionExpression")
    named = dynamodb_expressions.named(text, request.get("UpdateExpression"))
    if named != values.keys():
        raise refused("ValidationException", f"values {sorted(values)} are given, {sorted(named)} are named")
    return text is None or dynamodb_expressions.condition(text).holds(old or {}, values)


def _updated(request: Request, old: Mapping[str, Any] | None) -> dict[str, Any]:
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    known = old if old is not None else request["Key"]
    sets = dynamodb_expressions.change(request["UpdateExpression"]).sets
    return {**known, **{names.get(name, name): value(known, values) for name, value in sets}}
