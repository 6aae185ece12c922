"""The manager: one plan from its lease to its result.

The whole story: take the account's lease, open the plan's journal or resume it, work the sells, pass the gate
(what did they really bring?), work the buys, compare with the broker, write the result. Whatever stops a run in
between is journalled, the lease is given back, and the error asks for another delivery where one can help.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from rebalance_executor.domain.cash import buy_budget, funds, has_arrived, proceeds, scale_to_budget
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import check_fresh, runs_denial
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    ConfigurationError,
    Fenced,
    JournalUnavailable,
    LeaseHeld,
    OverfillGuard,
    PlanChanged,
    PlanYielded,
    RebalanceError,
    Redeliver,
)
from rebalance_executor.domain.journal import PlanJournal, PlanPhase, RunEnd
from rebalance_executor.domain.market import Account, Side
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.reconciliation import Difference
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus
from rebalance_executor.domain.result_builder import build_result
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.executor import Executor
from rebalance_executor.execution.kill_switch import KillSwitch
from rebalance_executor.execution.order_events import log_outcome
from rebalance_executor.execution.ports import Broker, Lease, Ports
from rebalance_executor.execution.pretrade import PreTrade
from rebalance_executor.execution.reconciliation import reconcile
from rebalance_executor.execution.run import Deadline, Run

_SECOND_LOOK = timedelta(seconds=5)
"""Between two looks at a lease that another run holds."""
_LONGEST_REQUEST_MARGIN = timedelta(seconds=2)
"""Added to the longest request, by which the lease outlasts the invocation."""


def lease_margin(config: ExecutionConfig) -> timedelta:
    """By how much a lease outlasts its invocation: nothing that it sent can arrive later."""
    return seconds(config.connect_timeout_seconds + config.read_timeout_seconds) + _LONGEST_REQUEST_MARGIN


class ExecutionManager:
    """Executes plans: each once, no order twice, every outcome recorded."""

    def __init__(self, ports: Ports, config: ExecutionConfig) -> None:
        self._ports = ports
        self._config = config

    def execute(self, plan: RebalancePlan, account: str, deadline: Deadline, run_id: str) -> ExecutionResult:
        """Execute ``plan`` on ``account``, resume it, or answer with its stored result.

        ``run_id`` is new and unique for each call: the invocation's own request id comes again on its retries.

        Raises:
            InvalidInput: the plan can never be executed (expired, changed, unknown account); nothing was sent.
            Redeliver: the plan is not finished and another delivery goes on with it.
            OverfillGuard: the program stopped itself.
        """
        broker = self._ports.brokers(account, deadline)
        lease = self._acquire_lease(account, deadline, run_id)
        finished = False
        try:
            result = self._under_lease(plan, broker, lease, deadline)
            finished = True
        finally:
            if not finished:
                self._release_lease(lease)
        return result

    # --- lease -------------------------------------------------------------------------------------------

    def _acquire_lease(self, account: str, deadline: Deadline, run_id: str) -> Lease:
        config, longest = self._config, lease_margin(self._config)
        clock, begun = self._ports.clock, self._ports.clock.now()
        until = begun + min(seconds(config.lease_wait_seconds), (deadline.stop_at - begun) / 2)
        while True:
            try:
                lease = self._ports.journal.acquire(account, run_id, now=clock.now(), expires_at=deadline.at + longest)
            except LeaseHeld as held:
                if clock.now() + _SECOND_LOOK > until:
                    raise
                self._ports.log.emit(LogEvent.LEASE_WAITING, reason=str(held), until=until)
                clock.sleep(_SECOND_LOOK)
                continue
            self._ports.log.emit(LogEvent.RUN_STARTED, epoch=lease.epoch, stop_at=deadline.stop_at)
            return lease

    def _release_lease(self, lease: Lease) -> None:
        try:
            self._ports.journal.release(lease)
        except JournalUnavailable as error:  # an error is under way already; the lease runs out by itself
            self._ports.log.emit(LogEvent.LEASE_RELEASE_FAILED, reason=str(error))

    # --- the plan ----------------------------------------------------------------------------------------

    def _under_lease(self, plan: RebalancePlan, broker: Broker, lease: Lease, deadline: Deadline) -> ExecutionResult:
        journal = self._ports.journal.load(lease.account, plan.plan_id)
        if journal is not None and journal.plan.content_hash != plan.content_hash:
            raise PlanChanged(
                "plan_id",
                f"{plan.plan_id} was used before with other content; give the changed plan an id of its own",
                started_at=journal.plan.started_at,
            )
        if journal is not None and journal.result is not None:
            self._ports.log.emit(LogEvent.PLAN_DUPLICATE, status=journal.result.status, answered_by="journal")
            self._release_lease(lease)
            self._report(journal.result, journal.published)  # a run may have died before it could
            return journal.result
        switch = KillSwitch(self._ports, lease.account)
        opening = PreTrade(self._ports, broker, switch, self._config)
        executor = Executor(self._ports, broker, switch, self._config)
        if journal is None:
            self._check_fresh(plan)
            run = opening.start(plan, lease, deadline)
            executor.prime_quotes(opening.quotes)
        else:
            run = self._resume(plan, journal, opening, lease, deadline)
            self._judge(run, switch)
        try:
            return self._drive(run, broker, executor)
        except OverfillGuard as error:
            switch.trip(f"{error.code}: {error}")
            raise

    def _resume(
        self, plan: RebalancePlan, journal: PlanJournal, opening: PreTrade, lease: Lease, deadline: Deadline
    ) -> Run:
        state = replace(journal.plan, runs=journal.plan.runs + 1)
        run = opening.run(plan, lease, deadline, state, dict(journal.parents))
        if (
            state.phase is PlanPhase.SELLS
        ):  # a write of buys may have been cut off before the part with the gate's budget
            run.discard_unsent(run.unsettled(Side.BUY))
        run.mark_intended_unknown(self._ports.clock.now())
        standing = opening.check_account()
        if state.account_number is not None and standing.account.account_number != state.account_number:
            raise ConfigurationError(
                "account_number",
                f"the plan was begun on account {state.account_number}, the credentials now lead to another",
            )
        opening.set_trading_hours(run, standing)
        children = (parent.open_child for parent in run.parents.values())
        run.cancels_to_reissue = {
            child.client_order_id for child in children if child is not None and child.cancel_requested_at
        }
        self._ports.log.emit(LogEvent.PLAN_RESUMED, runs=state.runs, phase=state.phase)
        if standing.denial is not None:
            run.stop(standing.denial, self._ports.log)
        return run

    def _judge(self, run: Run, switch: KillSwitch) -> None:
        """A plan that was begun before goes on, unless it took too many runs; that halts the account."""
        refusal = runs_denial(run.state.runs, self._config)
        if refusal is not None:
            run.stop(refusal, self._ports.log)
            switch.trip(f"{run.plan.plan_id}: {refusal.message}")

    def _check_fresh(self, plan: RebalancePlan) -> None:
        config = self._config
        check_fresh(
            plan,
            self._ports.clock.now(),
            max_age_minutes=config.max_plan_age_minutes,
            max_skew_seconds=config.max_clock_skew_seconds,
        )

    def _drive(self, run: Run, broker: Broker, executor: Executor) -> ExecutionResult:
        """Sells → real proceeds → buys → the broker's own account of it → result; whatever stops it is journalled."""
        try:
            if not executor.work(run, Side.SELL):
                raise _yielded(run, "sells")
            if run.state.phase is PlanPhase.SELLS:
                self._gate(run, broker, executor)
            if not executor.work(run, Side.BUY):
                raise _yielded(run, "buys")
            differing = reconcile(run, self._ports, broker, self._config)
        except Fenced:
            raise  # the journal is no longer ours to write
        except (Redeliver, OverfillGuard) as error:
            if isinstance(error, BrokerUnavailable):
                executor.withdraw(run)
            self._stop(run, error)
            raise
        return self._finish(run, differing)

    def _gate(self, run: Run, broker: Broker, executor: Executor) -> None:
        """Between sells and buys: what may the buys cost? An empty phase of sells is complete."""
        buys = run.unsettled(Side.BUY)
        if buys:
            brought = proceeds(run.parents.values())
            expected = run.state.starting_funds + brought
            account = self._wait_for_proceeds(run, broker, expected) if brought else broker.account()
            budget = buy_budget(account, expected, self._config)
            quotes = executor.fresh_quotes([parent.symbol for parent in buys])
            for parent in scale_to_budget(buys, quotes, budget, self._config, self._ports.clock.now()):
                run.update_parent(parent)
                log_outcome(self._ports.log, parent)
            self._ports.log.emit(LogEvent.GATE_PASSED, proceeds=brought, expected_funds=expected, buy_budget=budget)
            run.state = replace(run.state, buy_budget=budget)
        run.state = replace(run.state, phase=PlanPhase.BUYS)
        run.unsaved = True

    def _wait_for_proceeds(self, run: Run, broker: Broker, expected: Decimal) -> Account:
        """The account once it shows the proceeds, or as it is after a bounded wait."""
        clock = self._ports.clock
        sold_at = max((p.settled_at for p in run.parents.values() if p.settled_at), default=clock.now())
        until = sold_at + seconds(self._config.proceeds_wait_seconds)  # one wait, however many runs it takes
        while True:
            account = broker.account()
            if has_arrived(account, expected) or clock.now() >= until:
                return account
            run.check_stop_requested(self._ports)
            if clock.now() >= run.deadline.stop_at:
                raise PlanYielded("stopped safely before the deadline; the next delivery waits for the proceeds")
            self._ports.log.emit(LogEvent.GATE_WAITING, shown=funds(account), expected=expected)
            clock.sleep(min(seconds(self._config.tick_seconds), run.deadline.stop_at - clock.now()))

    # --- ends --------------------------------------------------------------------------------------------

    def _stop(self, run: Run, error: RebalanceError) -> None:
        """Journal how far the run came. The error under way tells the caller; a second one is only logged."""
        run.mark_unsent_not_sent()
        yielded = isinstance(error, PlanYielded)
        now = self._ports.clock.now()
        run.record = replace(
            run.record,
            ended_at=now,
            end=RunEnd.YIELDED if yielded else RunEnd.FAILED,
            reason=f"{error.code}: {error}",
        )
        run.unsaved = True
        try:
            run.write_to(self._ports.journal)
        except Redeliver as second:  # the next run finds out at the broker what this one could not write
            self._ports.log.emit(LogEvent.RUN_END_NOT_JOURNALLED, reason=str(second))
        seconds = (now - run.record.started_at).total_seconds()
        self._ports.log.emit(LogEvent.RUN_ENDED, end=run.record.end, reason=run.record.reason, seconds=seconds)

    def _finish(self, run: Run, differing: Sequence[Difference]) -> ExecutionResult:
        now = self._ports.clock.now()
        run.state = replace(run.state, phase=PlanPhase.FINISHED)
        result = build_result(run.plan, run.state, run.parents, now, differing)
        parents = [run.parents[symbol] for symbol in sorted(run.dirty)]
        self._ports.journal.finish(run.lease, run.state, parents=parents, result=result)
        unresolved = result.status is ExecutionStatus.UNRESOLVED
        self._ports.log.emit(
            LogEvent.PLAN_UNRESOLVED if unresolved else LogEvent.PLAN_FINISHED,
            status=result.status,
            runs=result.runs,
            orders_placed=result.orders_placed,
            orders_succeeded=result.orders_succeeded,
            orders_skipped=result.orders_skipped,
            orders_denied=result.orders_denied,
            orders_rejected=result.orders_rejected,
            orders_unresolved=result.orders_unresolved,
            total_trade_value=result.total_trade_value,
            slippage_bps=result.slippage_bps,
            delay_bps=result.delay_bps,
            spread_bps=result.spread_bps,
            residual_bps=result.residual_bps,
            seconds=(now - result.started_at).total_seconds(),
        )
        self._report(result)
        return result

    def _report(self, result: ExecutionResult, already: frozenset[str] = frozenset()) -> None:
        """Publish the result on every channel that has not had it, and remember which have it now.

        What fails here is told, whatever it is, and fails neither the other channels nor what was executed.
        """
        done = []
        for reporter in self._ports.publishers:
            if reporter.channel in already:
                continue
            try:
                reporter.publish(result)
            except Exception as error:  # noqa: BLE001 - the plan is executed: nothing here may deliver it again
                self._report_failed(reporter.channel, error)
            else:
                done.append(reporter.channel)
                self._ports.log.emit(LogEvent.RESULT_PUBLISHED, channel=reporter.channel)
        if not done:
            return
        try:
            self._ports.journal.mark_published(result.account, result.plan_id, done, self._ports.clock.now())
        except JournalUnavailable as error:
            self._report_failed("journal", error)

    def _report_failed(self, channel: str, error: Exception) -> None:
        self._ports.log.emit(
            LogEvent.RESULT_PUBLISH_FAILED,
            channel=channel,
            error=type(error).__name__,
            reason=str(error) or repr(error),
        )


def _yielded(run: Run, wave: str) -> PlanYielded:
    why = run.broken_off or "stopped safely before the deadline"
    return PlanYielded(f"{why}; the next delivery goes on with the {wave}")
