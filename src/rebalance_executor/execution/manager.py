"""The manager: one plan from its lease to its result.

The steps are: acquire the account's lease, finish an earlier plan of the account that is unfinished, start the plan or
resume it from the journal, work its orders, reconcile with the broker, write the result, publish it and release the
lease. If a step fails, the reason is journalled and the lease is released; the error asks for redelivery if another
delivery can help.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

from rebalance_executor.domain.auction import is_cancelable, is_for_opening, is_left_alone, resumes_at
from rebalance_executor.domain.carrying import carried_plan
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import (
    AuctionPending,
    EarlierPlanUnfinished,
    Fenced,
    JournalContradiction,
    JournalUnavailable,
    LeaseHeld,
    OverfillGuard,
    PlanChanged,
    PlanYielded,
    RebalanceError,
    Redeliver,
)
from rebalance_executor.domain.journal import PlanJournal, PlanPhase, RunEnd
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.plan_controls import check_fresh, runs_denial, trading_day_denial
from rebalance_executor.domain.reconciliation import Difference
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus
from rebalance_executor.domain.result_builder import PlanEnd, build_result
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.executor import Executor
from rebalance_executor.execution.kill_switch import KillSwitch
from rebalance_executor.execution.ports import Lease, Ports
from rebalance_executor.execution.pretrade import PreTrade
from rebalance_executor.execution.publishing import log_failure, publish
from rebalance_executor.execution.reconciliation import reconcile
from rebalance_executor.execution.run import Run

_LEASE_POLL_INTERVAL = timedelta(seconds=5)
"""Time between two attempts to acquire a lease that another run holds."""
_SHORTEST_RUN = timedelta(seconds=3)
"""Time until the deadline that a run needs to start its own plan after it finished an earlier one."""
_RECENT = timedelta(seconds=5)
"""Age of a reading of the kill switch that is recent enough for orders that rest."""
_LEASE_RESERVE = timedelta(seconds=2)
"""Reserve in ``lease_margin``, in addition to the time of the longest request."""


def lease_margin(config: ExecutionConfig) -> timedelta:
    """Return the time by which a lease outlasts its invocation, so that none of its requests arrives after it."""
    return seconds(config.connect_timeout_seconds + config.read_timeout_seconds) + _LEASE_RESERVE


class PlanManager:
    """The entry point of execution: each plan once, no order twice, every outcome recorded."""

    def __init__(self, ports: Ports, config: ExecutionConfig) -> None:
        self._ports = ports
        self._config = config

    def execute(
        self, plan: RebalancePlan, account: str, deadline: Deadline, run_id: str, source: str | None = None
    ) -> ExecutionResult:
        """Execute ``plan`` on ``account``, resume it, or return its stored result.

        An account has one unfinished plan at most. If it is another one, the run finishes it first.

        Args:
            plan: the validated plan.
            account: the name of the account.
            deadline: the end of the invocation.
            run_id: unique per call. Lambda's request ID is not: a retry of an event has the same one.
            source: the object version in S3 that the plan was read from; None for a plan that was delivered inline.

        Raises:
            InvalidInput: the plan can never be executed (expired, changed, unknown account); nothing was sent.
            ConfigurationError: a setting is invalid, or the plan started on another broker account.
            Redeliver: the plan is not finished and another delivery continues it.
            OverfillGuard: the program stopped itself and halted the account.
            JournalContradiction: the journal cannot be read or contradicts the plan.
        """
        broker = self._ports.brokers(account, deadline)
        access = AccountAccess.create(account, broker, self._ports, self._config)
        while True:
            lease = self._acquire_lease(account, deadline, run_id)
            with ExitStack() as on_error:
                on_error.callback(self._release_lease, lease)
                if lease.unfinished_plan_id in (None, plan.plan_id):
                    result = self._under_lease(plan, access, lease, deadline, source)
                    on_error.pop_all()  # a finished plan has released its lease
                    return result
                self._finish_earlier(access, lease, deadline)
                on_error.pop_all()
            access = access.for_next_plan()
            if self._ports.stop_requested():
                raise PlanYielded(f"plan {lease.unfinished_plan_id} was finished first; stopped safely on request")
            if self._ports.clock.now() + _SHORTEST_RUN > deadline.stop_at:
                raise PlanYielded(f"plan {lease.unfinished_plan_id} was finished first; too little time is left")

    # --- lease -------------------------------------------------------------------------------------------

    def _acquire_lease(self, account: str, deadline: Deadline, run_id: str) -> Lease:
        """Acquire the lease. Wait for another run of the account, but leave half of the time to the plan."""
        clock, log, expires_at = self._ports.clock, self._ports.log, deadline.at + lease_margin(self._config)
        started = clock.now()
        until = started + min(seconds(self._config.lease_wait_seconds), (deadline.stop_at - started) / 2)
        while True:
            try:
                lease = self._ports.journal.acquire(account, run_id, now=clock.now(), expires_at=expires_at)
            except LeaseHeld as held:
                if clock.now() + _LEASE_POLL_INTERVAL > until:
                    raise
                log.emit(LogEvent.LEASE_WAITING, reason=str(held), until=until)
                clock.sleep(_LEASE_POLL_INTERVAL)
                continue
            log.emit(LogEvent.RUN_STARTED, epoch=lease.epoch, stop_at=deadline.stop_at)
            return lease

    def _release_lease(self, lease: Lease) -> None:
        try:
            self._ports.journal.release(lease)
        except JournalUnavailable as error:  # another error is already being raised; the lease expires by itself
            self._ports.log.emit(LogEvent.LEASE_RELEASE_FAILED, reason=str(error))

    # --- the plan ----------------------------------------------------------------------------------------

    def _finish_earlier(self, access: AccountAccess, lease: Lease, deadline: Deadline) -> None:
        """Finish the account's unfinished plan, whose message may never be redelivered.

        Raises:
            EarlierPlanUnfinished: it is still unfinished; the plan that was delivered waits for it.
        """
        plan_id = lease.unfinished_plan_id or ""
        self._ports.log.emit(LogEvent.PLAN_EARLIER_RESUMED, unfinished_plan_id=plan_id)
        try:
            self._finish_unfinished(access, lease, deadline)
        except RebalanceError as error:
            if not isinstance(error, Redeliver):
                self._ports.log.emit(
                    LogEvent.PLAN_BLOCKED, unfinished_plan_id=plan_id, code=error.code, reason=str(error)
                )
            text = f"plan {plan_id} of account {lease.account} must be finished first: {error.code}: {error}"
            retry_at = error.retry_at if isinstance(error, Redeliver) else None
            raise EarlierPlanUnfinished(text, retry_at=retry_at, unfinished_plan_id=plan_id) from error

    def _finish_unfinished(self, access: AccountAccess, lease: Lease, deadline: Deadline) -> None:
        """Finish the plan that the lease names, from the journal alone."""
        plan_id = lease.unfinished_plan_id or ""
        if lease.has_result:
            self._publish_earlier(lease, plan_id)
            return
        journal = self._load_unfinished(lease.account, plan_id)
        if journal.document is None:
            raise JournalContradiction(f"the journal of account {lease.account} lacks the document of plan {plan_id}")
        with self._ports.log.earlier_plan(journal.plan):
            self._resume_and_finish(journal.document, journal, access, lease, deadline)

    def _load_unfinished(self, account: str, plan_id: str) -> PlanJournal:
        journal = self._ports.journal.load(account, plan_id)
        if journal is None:
            raise JournalContradiction(f"the journal of account {account} lacks its unfinished plan {plan_id}")
        return journal

    def finish_left_alone(self, account: str, deadline: Deadline, run_id: str) -> bool:
        """Finish the account's unfinished plan if its time or its auctions have passed: no delivery may come for it.

        Returns:
            True if the account has no unfinished plan any more; False if its plan is left to its own delivery.

        Raises:
            LeaseHeld: a run is working on the account.
            AuctionPending: the broker has not reported the auction yet.
            RebalanceError: the plan could not be finished now.
        """
        now, expires_at = self._ports.clock.now(), deadline.at + lease_margin(self._config)
        lease = self._ports.journal.acquire(account, run_id, now=now, expires_at=expires_at)
        with ExitStack() as on_error:
            on_error.callback(self._release_lease, lease)
            if lease.unfinished_plan_id is None:
                return True
            access = AccountAccess.create(account, self._ports.brokers(account, deadline), self._ports, self._config)
            if not lease.has_result and not self._is_left_alone(lease, access.kill_switch):
                return False
            self._finish_unfinished(access, lease, deadline)
            on_error.pop_all()  # a finished plan has released its lease
        return True

    def _is_left_alone(self, lease: Lease, kill_switch: KillSwitch) -> bool:
        journal, now = self._load_unfinished(lease.account, lease.unfinished_plan_id or ""), self._ports.clock.now()
        self._check_auction(journal, kill_switch)
        parents, limit = journal.parents.values(), seconds(self._config.plan_time_limit_minutes * 60)
        # Orders of a halted account that still rest are withdrawn.
        return resumes_at(parents, now) is not None or is_left_alone(parents, journal.plan.started_at, now, limit)

    def _publish_earlier(self, lease: Lease, plan_id: str) -> None:
        """Publish the result of a plan whose run ended before it did.

        All of that plan's orders are settled, so a result that cannot be read does not block the account.

        Raises:
            JournalUnavailable: the result was not read, or its publication was not journalled.
        """
        try:
            journal, result = self._load_result(lease.account, plan_id)
        except JournalContradiction as error:
            log_failure(self._ports.log, "journal", error)
            self._ports.journal.mark_published(lease, plan_id, (), self._ports.clock.now())
            return
        with self._ports.log.earlier_plan(journal.plan):
            publish(self._ports, lease, result, journal.published)

    def _load_result(self, account: str, plan_id: str) -> tuple[PlanJournal, ExecutionResult]:
        journal = self._ports.journal.load(account, plan_id)
        if journal is None or journal.result is None:
            raise JournalContradiction(f"the journal of account {account} lacks the result of plan {plan_id}")
        return journal, journal.result

    def _under_lease(
        self, plan: RebalancePlan, access: AccountAccess, lease: Lease, deadline: Deadline, source: str | None
    ) -> ExecutionResult:
        journal = self._ports.journal.load(lease.account, plan.plan_id)
        if journal is None and lease.unfinished_plan_id is not None:
            raise JournalContradiction(f"the item of {plan.plan_id}, the unfinished plan of {lease.account}, is gone")
        if journal is not None and journal.plan.content_hash != plan.content_hash:
            if lease.unfinished_plan_id is not None:  # the plan that has the ID may have no other delivery
                self._finish_earlier(access, lease, deadline)
            raise PlanChanged.for_plan(plan.plan_id, started_at=journal.plan.started_at)
        if journal is not None and journal.result is not None:
            self._ports.log.emit(LogEvent.PLAN_DUPLICATE, status=journal.result.status, answered_by="journal")
            self._publish(lease, journal.result, journal.published)  # an earlier run may have ended before it did
            return journal.result
        if journal is not None:
            return self._resume_and_finish(journal.document or plan, journal, access, lease, deadline)
        self._check_fresh(plan)
        return self._work(PreTrade(access).start(plan, lease, deadline, source), access)

    def _resume_and_finish(
        self, plan: RebalancePlan, journal: PlanJournal, access: AccountAccess, lease: Lease, deadline: Deadline
    ) -> ExecutionResult:
        self._check_auction(journal, access.kill_switch)
        pretrade = PreTrade(access)
        run = self._run_of(plan, journal, pretrade, lease, deadline)
        try:
            self._resume(run, pretrade)
            self._check_runs(run, access.kill_switch)
        except Redeliver as error:
            self._interrupt(run, Executor(run, access), error)
            raise
        return self._work(run, access)

    def _check_auction(self, journal: PlanJournal, kill_switch: KillSwitch) -> None:
        """Leave a plan alone whose orders rest until an auction, unless a halt can still withdraw some of them.

        Raises:
            AuctionPending: nothing needs a run before the auction.
        """
        parents, now = journal.parents.values(), self._ports.clock.now()
        at = resumes_at(parents, now)
        sides = {parent.side for parent in parents if parent.outcome is None and is_cancelable(parent, now)}
        if at is not None and not any(kill_switch.denial(_RECENT, side) for side in sides):
            raise AuctionPending.at(at)

    def _work(self, run: Run, access: AccountAccess) -> ExecutionResult:
        access.holdings.reserved = run.state.reserved
        try:
            return self._drive(run, access)
        except OverfillGuard as error:
            access.kill_switch.trip(f"{error.code}: {error}")
            raise

    def _check_fresh(self, plan: RebalancePlan) -> None:
        check_fresh(
            plan,
            self._ports.clock.now(),
            max_age_minutes=self._config.max_plan_age_minutes,
            max_skew_seconds=self._config.max_clock_skew_seconds,
        )

    def _run_of(
        self, plan: RebalancePlan, journal: PlanJournal, pretrade: PreTrade, lease: Lease, deadline: Deadline
    ) -> Run:
        """Return a run on the journalled orders of the plan."""
        state = replace(journal.plan, runs=journal.plan.runs + 1)
        run = pretrade.new_run(plan, lease, deadline, state, dict(journal.parents))
        run.work.mark_intended_unknown(self._ports.clock.now())
        return run

    def _resume(self, run: Run, pretrade: PreTrade) -> None:
        """Decide whether the run works the plan or concludes it.

        Raises:
            ConfigurationError: the broker, or the account of the credentials, is not the one that the plan started on.
        """
        state = run.state
        is_for_open = run.is_before_open(self._ports.clock.now()) or any(map(is_for_opening, run.unsettled()))
        permission = pretrade.check_resumed(state, is_for_open=is_for_open)
        pretrade.set_trading_hours(run, permission)
        run.outbox.reissue_cancels(run.work)
        self._ports.log.emit(LogEvent.PLAN_RESUMED, runs=state.runs, phase=state.phase)
        denial = permission.denial or trading_day_denial(state.trading_day, permission.trading_day)
        if denial is not None:
            run.conclude(denial, self._ports.log)

    def _check_runs(self, run: Run, kill_switch: KillSwitch) -> None:
        """Conclude a plan that took too many runs, and halt the account."""
        denial = runs_denial(run.state.runs, self._config)
        if denial is not None:
            run.conclude(denial, self._ports.log)
            kill_switch.trip(f"{run.plan.plan_id}: {denial.message}")

    def _drive(self, run: Run, access: AccountAccess) -> ExecutionResult:
        """Work all parents, reconcile, finish. Journal any interruption."""
        executor = Executor(run, access)
        try:
            executor.work()
            differing = reconcile(run, access, executor.latest_look)
        except (Redeliver, OverfillGuard, JournalContradiction) as error:
            self._interrupt(run, executor, error)
            raise
        access.holdings.end_plan(run.state, run.parents.values())
        return self._finish(run, differing)

    def _interrupt(self, run: Run, executor: Executor, error: RebalanceError) -> None:
        """Withdraw what is open and journal the end of the run, as far as broker and journal answer."""
        if isinstance(error, Fenced):
            return  # another run holds the lease: this one must not write
        if not isinstance(error, PlanYielded | JournalUnavailable):
            executor.withdraw()  # a yielding run has canceled its orders; without a journal no cancel is sent
        self._stop(run, error)

    # --- ends --------------------------------------------------------------------------------------------

    def _stop(self, run: Run, error: RebalanceError) -> None:
        """Journal the state and the reason of a run that stops. A second error is only logged: the first is raised."""
        run.outbox.mark_unsent_not_sent(run.work)
        now = self._ports.clock.now()
        end = RunEnd.YIELDED if isinstance(error, PlanYielded) else RunEnd.FAILED
        run.work.end_run(end, f"{error.code}: {error}", now)
        try:
            run.work.write_to(self._ports.journal, run.lease)
        except Redeliver as second:  # the next run reads the orders from the broker
            self._ports.log.emit(LogEvent.RUN_END_NOT_JOURNALLED, reason=str(second))
        duration = (now - run.work.record.started_at).total_seconds()
        self._ports.log.emit(LogEvent.RUN_ENDED, end=end, reason=run.work.record.reason, seconds=duration)

    def _finish(self, run: Run, differing: Sequence[Difference]) -> ExecutionResult:
        """Write the result, log it, publish it and release the lease."""
        now, work = self._ports.clock.now(), run.work
        work.update_state(phase=PlanPhase.FINISHED)
        carried = carried_plan(run.plan, work.parents, run.next_open, self._config)
        end = PlanEnd(now, self._config.success_tolerance, differing, carried)
        result = build_result(run.plan, work.state, work.parents, end)
        to_publish = bool(self._ports.publishers)
        changed = work.changed_parents
        self._ports.journal.finish(run.lease, work.state, parents=changed, result=result, to_publish=to_publish)
        unresolved = result.status is ExecutionStatus.UNRESOLVED
        self._ports.log.emit(
            LogEvent.PLAN_UNRESOLVED if unresolved else LogEvent.PLAN_FINISHED,
            status=result.status,
            broker=result.broker,
            runs=result.runs,
            orders_placed=result.orders_placed,
            orders_succeeded=result.orders_succeeded,
            orders_skipped=result.orders_skipped,
            orders_denied=result.orders_denied,
            orders_scaled=result.orders_scaled,
            orders_rejected=result.orders_rejected,
            orders_unresolved=result.orders_unresolved,
            total_trade_value=result.total_trade_value,
            slippage_bps=result.slippage_bps,
            delay_bps=result.delay_bps,
            timing_bps=result.timing_bps,
            spread_bps=result.spread_bps,
            residual_bps=result.residual_bps,
            seconds=(now - result.started_at).total_seconds(),
        )
        if to_publish:
            self._publish(run.lease, result)
        return result

    def _publish(self, lease: Lease, result: ExecutionResult, published: frozenset[str] = frozenset()) -> None:
        """Publish the result and release the lease. The plan is executed: no error here may cause a redelivery."""
        try:
            publish(self._ports, lease, result, published)
        except JournalUnavailable as error:
            log_failure(self._ports.log, "journal", error)
            self._release_lease(lease)
