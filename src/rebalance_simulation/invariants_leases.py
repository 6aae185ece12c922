"""Invariants of leases: their epochs increase, and what a run answers was true while it held its lease."""

from __future__ import annotations

from rebalance_executor.execution.ports import Lease
from rebalance_simulation.invariants_account import PlanKey
from rebalance_simulation.violation import Violation


class LeaseInvariants:
    """Checks of the leases that were taken, and of the results that were stored under them."""

    def __init__(self) -> None:
        self._latest: dict[str, Lease] = {}
        """The lease that was taken last, by account."""
        self._epochs: dict[str, int] = {}
        """The epoch of each run."""
        self._finished: dict[PlanKey, int] = {}
        """The epoch in which a plan's result was stored."""

    def latest(self, account: str) -> Lease | None:
        """Return the account's lease that was taken last."""
        return self._latest.get(account)

    def check(self, account: str, lease: Lease) -> None:
        """Check that the account's present lease has a higher epoch than all before it."""
        last = self._latest.get(account)
        if last is not None and lease.run_id != last.run_id and lease.epoch <= last.epoch:
            raise Violation(f"{lease.run_id} took the lease with epoch {lease.epoch}, the last epoch was {last.epoch}")
        self._latest[account], self._epochs[lease.run_id] = lease, lease.epoch

    def note_result(self, key: PlanKey) -> None:
        """Note that the plan's result is stored now, by the run that holds the account's lease."""
        lease = self._latest.get(key[0])
        if lease is not None:
            self._finished.setdefault(key, lease.epoch)

    def check_pending(self, key: PlanKey, run_id: str) -> None:
        """Check that the plan had no result when this run said that it waits for its auction.

        A run that took the lease later may have finished it before the answer arrived.
        """
        finished, epoch = self._finished.get(key), self._epochs.get(run_id)
        if finished is not None and (epoch is None or finished <= epoch):
            raise Violation(
                f"{key} waits for its auction by {run_id}, which took its lease after the plan was finished"
            )
