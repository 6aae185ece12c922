"""The journal in memory, for tests of what is above it. The contract suite keeps it true to the real one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from rebalance_executor.domain.errors import Fenced, JournalContradiction, JournalUnavailable, LeaseHeld
from rebalance_executor.domain.journal import Phase, PlanJournal, PlanState, RunEnd, RunRecord
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution.ports import Lease


@dataclass(slots=True)
class _Plan:
    state: PlanState
    parents: dict[str, ParentOrder] = field(default_factory=dict)
    runs: dict[int, RunRecord] = field(default_factory=dict)
    result: ExecutionResult | None = None
    reported: frozenset[str] = frozenset()


class InMemoryJournal:
    """Implements ``Journal``.

    ``down`` makes every call fail without effect; ``lose_answers`` makes that many writes fail *after* they took
    effect; ``writes`` counts the writes that took effect, results included.
    """

    def __init__(self) -> None:
        self.down = False
        self.lose_answers = 0
        self.writes = 0
        self._leases: dict[str, Lease] = {}
        self._epochs: dict[str, int] = {}
        self._plans: dict[tuple[str, str], _Plan] = {}

    def acquire(self, account: str, run_id: str, *, now: datetime, expires_at: datetime) -> Lease:
        self._reach()
        held = self._leases.get(account)
        if held is not None and held.run_id == run_id:
            return held
        if held is not None and held.expires_at >= now:
            raise LeaseHeld(f"account {account} is held", held_by=held.run_id, held_until=held.expires_at.isoformat())
        epoch = self._epochs[account] = self._epochs.get(account, 0) + 1
        lease = self._leases[account] = Lease(account, epoch, run_id, expires_at)
        return lease

    def release(self, lease: Lease) -> None:
        self._reach()
        if self._holds(lease):
            del self._leases[lease.account]

    def load(self, account: str, plan_id: str) -> PlanJournal | None:
        self._reach()
        plan = self._plans.get((account, plan_id))
        if plan is None:
            return None
        return PlanJournal(plan.state, dict(plan.parents), plan.result, plan.reported)

    def write(
        self,
        lease: Lease,
        plan: PlanState,
        *,
        parents: Iterable[ParentOrder] = (),
        run: RunRecord | None = None,
    ) -> None:
        self._reach()
        if not self._holds(lease):
            raise Fenced("another run took over", epoch=lease.epoch)
        stored = self._plans.get((plan.account, plan.plan_id))
        if stored is not None:
            self._check(stored, plan)
        self._take_in(plan, parents, run)
        self._answer()

    def finish(self, lease: Lease, plan: PlanState, *, parents: Iterable[ParentOrder], result: ExecutionResult) -> None:
        self._reach()
        stored = self._plans.get((plan.account, plan.plan_id))
        if stored is not None and stored.result == result:
            self.release(lease)
            return
        if not self._holds(lease):
            raise Fenced("another run took over", epoch=lease.epoch)
        if stored is not None:
            self._check(stored, plan)
        written = self._take_in(plan, parents, None)
        written.result = result
        ended = result.execution_timestamp
        run = written.runs.get(lease.epoch, RunRecord(lease.epoch, lease.run_id, ended))
        written.runs[lease.epoch] = replace(run, ended_at=ended, end=RunEnd.COMPLETED)
        del self._leases[lease.account]
        self._answer()

    def result(self, account: str, plan_id: str) -> ExecutionResult | None:
        self._reach()
        plan = self._plans.get((account, plan_id))
        return plan.result if plan is not None else None

    def mark_reported(self, account: str, plan_id: str, channels: Collection[str], at: datetime) -> None:
        self._reach()
        plan = self._plans.get((account, plan_id))
        if plan is not None and plan.state.phase is Phase.FINISHED:
            plan.reported |= frozenset(channels)

    def runs(self, account: str, plan_id: str) -> list[RunRecord]:
        """The plan's runs by epoch."""
        plan = self._plans.get((account, plan_id))
        return [plan.runs[epoch] for epoch in sorted(plan.runs)] if plan is not None else []

    def _holds(self, lease: Lease) -> bool:
        held = self._leases.get(lease.account)
        return held is not None and (held.epoch, held.run_id) == (lease.epoch, lease.run_id)

    def _check(self, stored: _Plan, plan: PlanState) -> None:
        if stored.state.content_hash != plan.content_hash or stored.state.phase is Phase.FINISHED:
            raise JournalContradiction(f"plan {plan.plan_id} has other content or is finished")

    def _take_in(self, plan: PlanState, parents: Iterable[ParentOrder], run: RunRecord | None) -> _Plan:
        written = self._plans.setdefault((plan.account, plan.plan_id), _Plan(plan))
        written.state = plan
        written.parents |= {parent.symbol: parent for parent in parents}
        if run is not None:
            written.runs[run.epoch] = run
        return written

    def _reach(self) -> None:
        if self.down:
            raise JournalUnavailable("the journal is down")

    def _answer(self) -> None:
        self.writes += 1
        if self.lose_answers > 0:
            self.lose_answers -= 1
            raise JournalUnavailable("the journal's answer was lost")
