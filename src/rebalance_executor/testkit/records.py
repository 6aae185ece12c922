"""Powertools' record store in memory: what its DynamoDB layer promises, on simulated time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import STATUS_CONSTANTS, DataRecord

from rebalance_executor.testkit.book import Way

IN_PROGRESS = STATUS_CONSTANTS["INPROGRESS"]


@dataclass(slots=True)
class _Stored:
    record: DataRecord
    claimed_until: datetime


class SimulatedRecords(BasePersistenceLayer):
    """One record a key. A claim ends with the invocation that made it, as Powertools' own does.

    Args:
        way: how effects come about.
        now: the time.
        claim_ends: when the invocation under way ends at the latest.
    """

    def __init__(self, way: Way, now: Callable[[], datetime], claim_ends: Callable[[], datetime]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._way = way
        self._now = now
        self._claim_ends = claim_ends
        self.stored: dict[str, _Stored] = {}

    def _get_record(self, idempotency_key: str) -> DataRecord:
        def read() -> DataRecord:
            try:
                return self.stored[idempotency_key].record
            except KeyError:
                raise IdempotencyItemNotFoundError from None

        return self._way("records.get", read)

    def _put_record(self, data_record: DataRecord) -> None:
        def claim() -> None:
            known = self.stored.get(data_record.idempotency_key)
            if known is not None and not (known.record.status == IN_PROGRESS and known.claimed_until < self._now()):
                self._validate_payload(data_record, known.record)
                raise IdempotencyItemAlreadyExistsError(old_data_record=known.record)
            self.stored[data_record.idempotency_key] = _Stored(data_record, self._claim_ends())

        self._way("records.claim", claim)

    def _update_record(self, data_record: DataRecord) -> None:
        def complete() -> None:
            self.stored[data_record.idempotency_key] = _Stored(data_record, self._now())

        self._way("records.complete", complete)

    def _delete_record(self, data_record: DataRecord) -> None:
        def delete() -> None:
            self.stored.pop(data_record.idempotency_key, None)

        self._way("records.delete", delete)
