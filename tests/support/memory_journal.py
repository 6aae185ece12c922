"""A journal in memory with the behaviour of ``DynamoJournal``, which the contract tests check.

Every effect runs through a call hook, with which a test makes a call fail, lose its answer or stop halfway.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from rebalance_executor.adapters.dynamodb.journal import PARENTS_PER_TRANSACTION
from rebalance_executor.domain.errors import Fenced, JournalContradiction, LeaseHeld
from rebalance_executor.domain.journal import PlanJournal, PlanPhase, PlanStart, PlanState, RunEnd, RunRecord
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution.ports import Lease
from tests.support.memory_risk_store import DatabaseCall, InMemoryRiskStore


def _run[T](_: str, effect: Callable[[], T]) -> T:
    return effect()


@dataclass(slots=True)
class _Plan:
    state: PlanState | None = None
    """None until the plan's own item is written, after its first batches; until then the plan does not exist."""
    parents: dict[str, tuple[str, ParentOrder]] = field(default_factory=dict)
    """By symbol, with the content hash of the plan that they belong to."""
    runs: dict[int, RunRecord] = field(default_factory=dict)
    document: RebalancePlan | None = None
    result: ExecutionResult | None = None
    published: frozenset[str] = frozenset()


class InMemoryJournal:
    """Implementation of ``Journal`` in memory.

    Args:
        call: runs an effect under the name of its call; by default it just runs it.
        parents_each: parents in one transaction; more take several, with the plan's own item in the last.
    """

    def __init__(self, call: DatabaseCall = _run, *, parents_each: int = PARENTS_PER_TRANSACTION) -> None:
        self._call = call
        self.risk_store = InMemoryRiskStore(call)
        """The risk store that this journal writes reservations to."""
        self._parents_each = parents_each
        self._leases: dict[str, Lease] = {}
        self._epochs: dict[str, int] = {}
        self._plans: dict[tuple[str, str], _Plan] = {}
        self._unfinished: dict[str, str] = {}
        """By account: the ID of its unfinished plan."""
        self._unpublished: set[str] = set()
        """Accounts whose unfinished plan has its result."""

    # --- lease -------------------------------------------------------------------------------------------

    def acquire(self, account: str, run_id: str, *, now: datetime, expires_at: datetime) -> Lease:
        """Take the account's lease with a new, higher epoch; raise ``LeaseHeld`` if another run holds it."""

        def take() -> Lease:
            held = self._leases.get(account)
            if held is not None and held.run_id == run_id:
                return held
            if held is not None and held.expires_at >= now:
                until = held.expires_at.isoformat()
                raise LeaseHeld(f"account {account} is held", held_by=held.run_id, held_until=until)
            epoch = self._epochs[account] = self._epochs.get(account, 0) + 1
            unfinished, has_result = self._unfinished.get(account), account in self._unpublished
            lease = Lease(account, epoch, run_id, expires_at, unfinished, has_result)
            self._leases[account] = lease
            return lease

        return self._call("journal.acquire", take)

    def release(self, lease: Lease) -> None:
        """Release the lease, unless another run has taken it over."""
        self._call("journal.release", lambda: self._release(lease))

    @property
    def unfinished_plan_ids(self) -> list[str]:
        """IDs of the unfinished plans of all accounts. Not a port call."""
        return list(self._unfinished.values())

    def holder(self, account: str) -> Lease | None:
        """Return the account's lease, expired or not, or None. Not a port call."""
        return self._leases.get(account)

    def delete(self, account: str, plan_id: str) -> None:
        """Delete every item of the plan, as a person could. Not a port call."""
        del self._plans[account, plan_id]

    # --- reading -----------------------------------------------------------------------------------------

    def load(self, account: str, plan_id: str) -> PlanJournal | None:
        """Return everything journalled for the plan, or None if it has not started."""
        return self._call("journal.load", lambda: self.peek(account, plan_id))

    def peek(self, account: str, plan_id: str) -> PlanJournal | None:
        """Return the same as ``load``. Not a port call."""
        plan = self._plans.get((account, plan_id))
        if plan is None or plan.state is None:
            return None
        content_hash = plan.state.content_hash
        parents = {symbol: parent for symbol, (owner, parent) in plan.parents.items() if owner == content_hash}
        document = plan.document if plan.result is None else None
        return PlanJournal(plan.state, parents, document, plan.result, plan.published)

    def result(self, account: str, plan_id: str) -> ExecutionResult | None:
        """Return the stored result of a finished plan."""

        def read() -> ExecutionResult | None:
            plan = self._plans.get((account, plan_id))
            return plan.result if plan is not None else None

        return self._call("journal.result", read)

    def runs(self, account: str, plan_id: str) -> list[RunRecord]:
        """Return the plan's runs, ordered by epoch. Not a port call."""
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
        start: PlanStart | None = None,
    ) -> None:
        """Write the plan's state with these parents, and the run and the start if given."""
        *before, last = self._batches(parents)

        def put() -> None:
            self._check(lease, plan)
            self._check_unfinished(lease, plan)
            reservation = start.reservation if start is not None else None
            if reservation is not None:
                self.risk_store.check(lease.account, reservation)
                self.risk_store.apply(lease.account, reservation)
            written = self._put_parents(plan, last)
            written.state = plan
            self._unfinished[plan.account] = plan.plan_id
            if start is not None:
                written.document = start.document
            if run is not None:
                written.runs[run.epoch] = run

        self._put_batches(lease, plan, before)
        self._call("journal.write", put)

    def finish(
        self,
        lease: Lease,
        plan: PlanState,
        *,
        parents: Iterable[ParentOrder],
        result: ExecutionResult,
        to_publish: bool = False,
    ) -> None:
        """Write the last state and the result, and end the run's record, in one transaction.

        Release the lease, unless the result is to be published.
        """
        *before, last = self._batches(parents)

        def put() -> None:
            stored = self._plans.get((plan.account, plan.plan_id))
            if stored is not None and stored.result == result:
                if not to_publish:
                    self._release(lease)
                return
            self._check(lease, plan)
            self._check_unfinished(lease, plan)
            written = self._put_parents(plan, last)
            written.state, written.result = plan, result
            ended = result.execution_timestamp
            run = written.runs.get(lease.epoch, RunRecord(lease.epoch, lease.run_id, ended))
            written.runs[lease.epoch] = replace(run, ended_at=ended, end=RunEnd.COMPLETED)
            if to_publish:
                self._unfinished[plan.account] = plan.plan_id
                self._unpublished.add(plan.account)
            else:
                self._finish(lease)

        if (plan.account, plan.plan_id) not in self._plans or self._plans[plan.account, plan.plan_id].result != result:
            self._put_batches(lease, plan, before)
        self._call("journal.finish", put)

    def mark_published(self, lease: Lease, plan_id: str, channels: Collection[str], at: datetime) -> None:
        """Record that the result was published and release the lease; do nothing if the plan is not finished."""
        del at  # only the table stores the time

        def mark() -> None:
            if not self._holds(lease) or self._unfinished.get(lease.account, plan_id) != plan_id:
                return
            plan = self._plans.get((lease.account, plan_id))
            if channels:
                if plan is None or plan.state is None or plan.state.phase is not PlanPhase.FINISHED:
                    return
                plan.published |= frozenset(channels)
            self._finish(lease)

        self._call("journal.mark_published", mark)

    # --- parts of a transaction --------------------------------------------------------------------------

    def _batches(self, parents: Iterable[ParentOrder]) -> list[list[ParentOrder]]:
        """Split the parents into transactions; the last may be empty. The latest parent of a symbol counts."""
        latest = list({parent.symbol: parent for parent in parents}.values())
        each = self._parents_each
        return [latest[start : start + each] for start in range(0, len(latest), each)] or [[]]

    def _put_batches(self, lease: Lease, plan: PlanState, batches: Sequence[Sequence[ParentOrder]]) -> None:
        for batch in batches:

            def put(batch: Sequence[ParentOrder] = batch) -> None:
                self._check(lease, plan)
                self._put_parents(plan, batch)

            self._call("journal.write_batch", put)

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

    def _check_unfinished(self, lease: Lease, plan: PlanState) -> None:
        if self._unfinished.get(plan.account, plan.plan_id) != plan.plan_id:
            raise Fenced("another plan is unfinished", epoch=lease.epoch)

    def _holds(self, lease: Lease) -> bool:
        held = self._leases.get(lease.account)
        return held is not None and (held.epoch, held.run_id) == (lease.epoch, lease.run_id)

    def _finish(self, lease: Lease) -> None:
        self._unfinished.pop(lease.account, None)
        self._unpublished.discard(lease.account)
        self._leases.pop(lease.account, None)

    def _release(self, lease: Lease) -> None:
        if self._holds(lease):
            self._leases.pop(lease.account, None)
