"""DynamoDB in the same process: one table behind boto3's client interface, with faults.

The real journal, risk store and asset cache run on top. Conditions, transactions with their limits, pages and error
codes follow DynamoDB; the contract suite of the journal compares them with moto and ministack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn

from botocore.exceptions import ReadTimeoutError

from rebalance_executor.adapters.dynamodb_semantics import evaluation, expressions
from rebalance_executor.adapters.dynamodb_semantics.evaluation import Item, Request, client_error
from rebalance_simulation.calls import CallHook, call_directly, with_timeouts
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.faults import Fault

PAGE_SIZE = 50
"""Items per page of a query. DynamoDB limits a page to 1 MB, which no history reaches."""
_TIMEOUT = timedelta(seconds=3)
"""Duration of a call that gets no answer."""

Answer = dict[str, Any]
Effect = Callable[[], Answer]


class SimulatedDynamoDB:
    """The parts of boto3's DynamoDB client that the program uses, with one table: keys ``pk`` and ``sk``.

    Args:
        call: hook that every request passes; by default requests have no faults.
        clock: advances while a request times out.
        observe: receives the partition keys that a write changed.
        page_size: items per page of a query.
    """

    def __init__(
        self,
        call: CallHook = call_directly,
        clock: SimulatedClock | None = None,
        observe: Callable[[Iterable[str]], None] | None = None,
        *,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._call = call
        self._clock = clock or SimulatedClock()
        self._observe = observe
        self._page_size = page_size
        self._partitions: dict[str, dict[str, Item]] = {}

    def partition(self, pk: str) -> Mapping[str, Item]:
        """Return a partition's items by sort key, without an external call."""
        return self._partitions.get(pk, {})

    def put(self, items: Iterable[Item]) -> None:
        """Write items without an external call."""
        self._store(list(items))

    # --- operations --------------------------------------------------------------------------------------

    def update_item(self, **request: Any) -> dict[str, Any]:
        """Change one item if the condition holds."""

        def update() -> dict[str, Any]:
            old = self._item(request["Key"])
            evaluation.check_condition(request, old)
            new = evaluation.updated(request, old)
            self._store([new])
            return {"Attributes": new}

        return self._request(call_name("update_item", request), update, _throttled, update)

    def transact_write_items(self, *, TransactItems: Sequence[Request]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Run all actions or none. boto3 retries with the same token, so that a retry has no second effect."""
        actions = [next(iter(action.items())) for action in TransactItems]

        def transact() -> dict[str, Any]:
            self._store([item for _, item in evaluation.transaction_items(actions, self._existing)])
            return {}

        def conflict() -> Any:
            reasons = [{"Code": "TransactionConflict"}, *({"Code": "None"} for _ in actions[1:])]
            raise client_error("TransactionCanceledException", "canceled", CancellationReasons=reasons)

        return self._request(call_name("transact_write_items", actions), transact, conflict, dict)

    def query(self, **request: Any) -> dict[str, Any]:
        """Return one page of a partition's items, ordered by sort key."""

        def read() -> dict[str, Any]:
            values = request["ExpressionAttributeValues"]
            condition = expressions.parse_condition(request["KeyConditionExpression"])
            after = request.get("ExclusiveStartKey", {"sk": {"S": ""}})["sk"]["S"]
            partition = self._partitions.get(values[":pk"]["S"], {})
            items = [partition[sk] for sk in sorted(partition) if sk > after and condition.holds(partition[sk], values)]
            page = items[: self._page_size]
            more = {"LastEvaluatedKey": evaluation.key_of(page[-1])} if len(items) > len(page) else {}
            return {"Items": page, **more}

        return self._request(call_name("query", request), read, _throttled, read)

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Return the items that exist; a throttled table leaves all keys unprocessed."""
        ((table, batch),) = RequestItems.items()

        def read() -> dict[str, Any]:
            return {"Responses": {table: [item for key in batch["Keys"] if (item := self._item(key)) is not None]}}

        name = f"{_cache(batch['Keys'][0])}.get"
        return self._request(name, read, lambda: {"Responses": {}, "UnprocessedKeys": RequestItems}, read)

    def batch_write_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Write items without a condition; a throttled table leaves all of them unprocessed."""
        ((_, batch),) = RequestItems.items()

        def write() -> dict[str, Any]:
            self._store([put["PutRequest"]["Item"] for put in batch])
            return {}

        name = f"{_cache(batch[0]['PutRequest']['Item'])}.put"
        return self._request(name, write, lambda: {"UnprocessedItems": RequestItems}, write)

    # --- requests and faults -----------------------------------------------------------------------------

    def _request(self, name: str, effect: Effect, throttled: Effect, retried: Effect) -> Answer:
        """Pass a request through the hook.

        Args:
            name: names the call.
            effect: performs the request.
            throttled: answers a throttled request, or raises its error.
            retried: performs the request again, as boto3 does; an empty answer repeats the first one.
        """

        def run(fault: Fault | None) -> Answer:
            if fault is Fault.THROTTLED:
                return throttled()
            if fault is Fault.CACHE_DENIED:
                raise client_error("AccessDeniedException", "not authorized to perform this action")
            answer = with_timeouts(effect, self._time_out)(fault)
            return (retried() or answer) if fault is Fault.REPEATED else answer

        return self._call(name, run)

    def _time_out(self) -> NoReturn:
        self._clock.advance(_TIMEOUT)
        raise ReadTimeoutError(endpoint_url="simulated")

    # --- items -------------------------------------------------------------------------------------------

    def _item(self, key: Item) -> Item | None:
        return self._partitions.get(key["pk"]["S"], {}).get(key["sk"]["S"])

    def _existing(self, request: Request) -> Item | None:
        return self._item(request.get("Item") or request["Key"])

    def _store(self, items: Sequence[Item]) -> None:
        evaluation.check_sizes(items)
        for item in items:
            self._partitions.setdefault(item["pk"]["S"], {})[item["sk"]["S"]] = item
        if self._observe is not None:
            self._observe({item["pk"]["S"]: None for item in items})


def call_name(operation: str, request: Any) -> str:
    """Return the name of a call: the port's method that makes the request."""
    if operation == "update_item":
        sort_key = request["Key"]["sk"]["S"]
        if sort_key != "LEASE":
            return {"BINDING": "risk_store.bind_account", "POINTER": "delivery_log.pin"}.get(sort_key, operation)
        return "journal.acquire" if "epoch =" in request["UpdateExpression"] else "journal.release"
    if operation == "query":
        values = request["ExpressionAttributeValues"]
        if values[":pk"]["S"].startswith("DELIVERY#"):
            return "delivery_log.pinned"
        if values[":pk"]["S"].startswith("ACCOUNT#"):
            return "risk_store.kill_switch" if values[":first"] == values[":last"] else "risk_store.load"
        return "journal.result" if ":prefix" in values else "journal.load"
    if request[0][1].get("Item") is not None:
        return "risk_store.set_kill_switch"
    second = request[1][0] if len(request) > 1 else None
    if second != "Put":
        return "journal.write_batch" if second == "ConditionCheck" else "journal.mark_published"
    return "journal.finish" if "result_at" in request[0][1]["UpdateExpression"] else "journal.write"


def _throttled() -> Any:
    raise client_error("ThrottlingException", "Throughput exceeds the current limits")


def _cache(item: Mapping[str, Any]) -> str:
    """Return the name of the cache that an item or its key belongs to."""
    return {"ASSET": "assets", "VOLUME": "volumes"}[item["sk"]["S"]]
