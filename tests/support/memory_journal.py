"""The journal in memory: what ``DynamoJournal`` promises, without a table.

For unit tests, quick and easily looked into; the contract suite holds it to the real one. Every effect goes through a
*way*, by which a test lets it fail, get lost or be cut off; without one it simply happens.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from rebalance_executor.adapters.dynamodb.journal import PARENTS_PER_TRANSACTION
from rebalance_executor.domain.errors import Fenced, JournalContradiction, LeaseHeld
from rebalance_executor.domain.journal import PlanJournal, PlanPhase, PlanState, RunEnd, RunRecord
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.risk_state import Reservation
from rebalance_executor.execution.ports import Lease
from rebalance_simulation.idempotency_store import CallHook
from tests.support.memory_risk_store import InMemoryRiskStore


def _straight[T](_: str, effect: Callable[[], T]) -> T:
    return effect()


@dataclass(slots=True)
class _Plan:
    state: PlanState | None = None
    """None while the first batches are in and the plan's own row is not: the plan does not exist yet."""
    parents: dict[str, tuple[str, ParentOrder]] = field(default_factory=dict)
    """By symbol, with the content hash of the plan they belong to."""
    runs: dict[int, RunRecord] = field(default_factory=dict)
    result: ExecutionResult | None = None
    reported: frozenset[str] = frozenset()


class InMemoryJournal:
    """Implements ``Journal``.

    Args:
        way: how effects come about; they simply happen by default.
        parents_each: parents in one transaction; more go in several, the plan's own row in the last.
    """

    def __init__(self, way: CallHook = _straight, *, parents_each: int = PARENTS_PER_TRANSACTION) -> None:
        self._way = way
        self.risk_store = InMemoryRiskStore(way)
        """The control book that belongs to this journal."""
        self._parents_each = parents_each
        self._leases: dict[str, Lease] = {}
        self._epochs: dict[str, int] = {}
        self._plans: dict[tuple[str, str], _Plan] = {}

    # --- lease -------------------------------------------------------------------------------------------

    def acquire(self, account: str, run_id: str, *, now: datetime, expires_at: datetime) -> Lease:
        """Take the account's lease with a new, higher epoch; raises ``LeaseHeld``."""

        def take() -> Lease:
            held = self._leases.get(account)
            if held is not None and held.run_id == run_id:
                return held
            if held is not None and held.expires_at >= now:
                until = held.expires_at.isoformat()
                raise LeaseHeld(f"account {account} is held", held_by=held.run_id, held_until=until)
            epoch = self._epochs[account] = self._epochs.get(account, 0) + 1
            lease = self._leases[account] = Lease(account, epoch, run_id, expires_at)
            return lease

        return self._way("journal.acquire", take)

    def release(self, lease: Lease) -> None:
        """Give the lease back; one that another run has taken over is left alone."""
        self._way("journal.release", lambda: self._release(lease))

    def holder(self, account: str) -> Lease | None:
        """Who holds the account's lease, whether or not it has run out; not a port call."""
        return self._leases.get(account)

    # --- reading -----------------------------------------------------------------------------------------

    def load(self, account: str, plan_id: str) -> PlanJournal | None:
        """Everything journalled of that plan; None where it was never begun."""
        return self._way("journal.load", lambda: self.peek(account, plan_id))

    def peek(self, account: str, plan_id: str) -> PlanJournal | None:
        """As ``load``, seen from outside: not a port call."""
        plan = self._plans.get((account, plan_id))
        if plan is None or plan.state is None:
            return None
        known = plan.state.content_hash
        parents = {symbol: parent for symbol, (belongs, parent) in plan.parents.items() if belongs == known}
        return PlanJournal(plan.state, parents, plan.result, plan.reported)

    def result(self, account: str, plan_id: str) -> ExecutionResult | None:
        """The stored result of a finished plan."""

        def read() -> ExecutionResult | None:
            plan = self._plans.get((account, plan_id))
            return plan.result if plan is not None else None

        return self._way("journal.result", read)

    def runs(self, account: str, plan_id: str) -> list[RunRecord]:
        """The plan's runs by epoch."""
        plan = self._plans.get((account, plan_id))
        return [plan.runs[epoch] for epoch in sorted(plan.runs)] if plan is not None else []

    # --- writing -----------------------------------------------------------------------------------------

    def write(
        self,
        lease: Lease,
        plan: PlanState,
        *,
        parents: Iterable[ParentOrder] = (),
        run: RunRecord | None = None,
        reservation: Reservation | None = None,
    ) -> None:
        """Write the plan's state with these parents (and the run, and the plan's share of the day)."""
        *before, last = self._batches(parents)

        def put() -> None:
            self._check(lease, plan)
            if reservation is not None:
                self.risk_store.check(lease.account, reservation)
                self.risk_store.apply(lease.account, reservation)
            written = self._put_parents(plan, last)
            written.state = plan
            if run is not None:
                written.runs[run.epoch] = run

        self._put_batches(lease, plan, before)
        self._way("journal.write", put)

    def finish(self, lease: Lease, plan: PlanState, *, parents: Iterable[ParentOrder], result: ExecutionResult) -> None:
        """Write the last state and the result, close the run's record and give the lease back, all at once."""
        *before, last = self._batches(parents)

        def put() -> None:
            stored = self._plans.get((plan.account, plan.plan_id))
            if stored is not None and stored.result == result:
                self._release(lease)
                return
            self._check(lease, plan)
            written = self._put_parents(plan, last)
            written.state, written.result = plan, result
            ended = result.execution_timestamp
            run = written.runs.get(lease.epoch, RunRecord(lease.epoch, lease.run_id, ended))
            written.runs[lease.epoch] = replace(run, ended_at=ended, end=RunEnd.COMPLETED)
            self._leases.pop(lease.account, None)

        if (plan.account, plan.plan_id) not in self._plans or self._plans[plan.account, plan.plan_id].result != result:
            self._put_batches(lease, plan, before)
        self._way("journal.finish", put)

    def mark_published(self, account: str, plan_id: str, channels: Collection[str], at: datetime) -> None:
        """Remember that the result was published; a plan that is not finished is left alone."""
        del at  # when, only the table shows

        def mark() -> None:
            plan = self._plans.get((account, plan_id))
            if plan is not None and plan.state is not None and plan.state.phase is PlanPhase.FINISHED:
                plan.reported |= frozenset(channels)

        self._way("journal.mark_published", mark)

    # --- parts of a transaction --------------------------------------------------------------------------

    def _batches(self, parents: Iterable[ParentOrder]) -> list[list[ParentOrder]]:
        """Portions of one transaction each, the last may be empty; of one symbol only the latest counts."""
        latest = list({parent.symbol: parent for parent in parents}.values())
        each = self._parents_each
        return [latest[start : start + each] for start in range(0, len(latest), each)] or [[]]

    def _put_batches(self, lease: Lease, plan: PlanState, batches: Sequence[Sequence[ParentOrder]]) -> None:
        for batch in batches:

            def put(batch: Sequence[ParentOrder] = batch) -> None:
                self._check(lease, plan)
                self._put_parents(plan, batch)

            self._way("journal.write_batch", put)

    def _put_parents(self, plan: PlanState, parents: Sequence[ParentOrder]) -> _Plan:
        written = self._plans.setdefault((plan.account, plan.plan_id), _Plan())
        for parent in parents:
            written.parents[parent.symbol] = (plan.content_hash, parent)
        return written

    def _check(self, lease: Lease, plan: PlanState) -> None:
        if not self._holds(lease):
            raise Fenced("another run took over", epoch=lease.epoch)
        stored = self._plans.get((plan.account, plan.plan_id))
        if stored is None or stored.state is None:
            return
        if stored.state.content_hash != plan.content_hash or stored.state.phase is PlanPhase.FINISHED:
            raise JournalContradiction(f"plan {plan.plan_id} has other content or is finished")

    def _holds(self, lease: Lease) -> bool:
        held = self._leases.get(lease.account)
        return held is not None and (held.epoch, held.run_id) == (lease.epoch, lease.run_id)

    def _release(self, lease: Lease) -> None:
        if self._holds(lease):
            self._leases.pop(lease.account, None)
