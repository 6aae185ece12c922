"""Hypothesis chooses what happens next in the simulated world, and shrinks the sequence that breaks an invariant."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_simulation import config_generator, generators
from rebalance_simulation.environment import Environment
from rebalance_simulation.faults import SUBMIT, EnvironmentEvent, Fault, FaultInjector, possible_faults
from rebalance_simulation.generators import Message, item, plan
from rebalance_simulation.queue import MessageQueue
from rebalance_simulation.world import World

FAULTS = [fault for fault in Fault if fault is not Fault.DEADLINE]
CALLS = [SUBMIT, SUBMIT, "broker GET /orders", "broker DELETE /orders/{id}", "risk_store.kill_switch", "journal.write"]
"""The most critical calls; submissions are twice as likely."""
EVENTS = [kind for kind in EnvironmentEvent if kind not in (EnvironmentEvent.LONG_PAUSE, EnvironmentEvent.KILL_SWITCH)]
FIRST = [
    item("AAA", "SELL", 700),
    item("BBB", "SELL", 20, is_exit=True),
    item("CCC", "BUY", 700),
    item("DDD", "BUY", 90),
]
SECOND = [item("AAA", "BUY", 300), item("CCC", "SELL", 700), item("DDD", "SELL", 20, is_exit=True)]
CHANGED = [item("AAA", "SELL", 701)]


class OneAccount(RuleBasedStateMachine):
    """Two plans of one account, and a third with the ID of the first. Every step checks every invariant."""

    @initialize(seed=st.integers(0, 99), direct=st.booleans())
    def start(self, seed: int, direct: bool) -> None:
        rng = Random(seed)  # noqa: S311 - reproducible on purpose
        self.world = World(generators.scenario(seed, rng, ()), config_generator.config(rng, ()), FaultInjector())
        self.script: dict[int, Fault] = {}
        self.world.faults.script = self.script
        self.world.on_interrupt = self.interrupt
        self.environment = Environment(self.world, rng, list(EnvironmentEvent))
        self.queue = MessageQueue(self.world, self.environment)
        trigger = "direct" if direct else "sqs"
        self.messages = [
            Message("plan-1", plan("plan-1", FIRST), trigger),
            Message("plan-2", plan("plan-2", SECOND), trigger),
            Message("plan-1", plan("plan-1", CHANGED), trigger),
        ]

    def interrupt(self) -> None:
        """Make another delivery during the interrupted one, with the idempotency records deleted."""
        self.world.records.stored.clear()
        self.queue.deliver(self.messages[self.world.deliveries % len(self.messages)], 60)

    @rule(which=st.integers(0, 2), seconds=st.sampled_from([8, 30, 600]))
    def deliver(self, which: int, seconds: int) -> None:
        self.queue.deliver(self.messages[which], seconds)

    @precondition(lambda self: self.messages[0].trigger == "sqs")
    @rule(seconds=st.sampled_from([20, 600]))
    def deliver_together(self, seconds: int) -> None:
        self.queue.deliver_together(self.messages[:2], seconds)

    @rule(which=st.integers(0, 1), calls=st.integers(1, 45), fault=st.sampled_from(FAULTS))
    def deliver_with_fault(self, which: int, calls: int, fault: Fault) -> None:
        self.script[self.world.faults.calls + calls] = fault
        self.queue.deliver(self.messages[which], 600)

    @rule(name=st.sampled_from(CALLS), faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=2))
    def queue_faults(self, name: str, faults: list[Fault]) -> None:
        self.world.faults.queued[name] = [fault for fault in faults if fault in possible_faults(name)]

    @rule(
        which=st.integers(0, 1), calls=st.integers(1, 45), kill=st.sampled_from([Fault.KILL_BEFORE, Fault.KILL_AFTER])
    )
    def deliver_with_kill(self, which: int, calls: int, kill: Fault) -> None:
        self.script[self.world.faults.calls + calls] = kill
        self.queue.deliver(self.messages[which], 600)

    @rule(calls=st.integers(1, 40))
    def deliver_with_deadline(self, calls: int) -> None:
        self.script[self.world.faults.calls + calls] = Fault.DEADLINE
        self.queue.deliver(self.messages[0], 600)

    @rule(seconds=st.sampled_from([1, 20, 100, 700, 3600]))
    def pass_time(self, seconds: int) -> None:
        self.world.clock.advance(timedelta(seconds=seconds))

    @rule(kind=st.sampled_from(EVENTS))
    def apply_event(self, kind: EnvironmentEvent) -> None:
        self.environment.apply(kind)

    @rule(kind=st.sampled_from(EVENTS), seconds=st.sampled_from([0.1, 1, 5]))
    def apply_event_later(self, kind: EnvironmentEvent, seconds: float) -> None:
        self.world.clock.call_later(timedelta(seconds=seconds), lambda: self.environment.apply(kind))

    @rule(state=st.sampled_from(TradingState), seconds=st.sampled_from([0, 0.5, 4]))
    def set_kill_switch_later(self, state: TradingState, seconds: float) -> None:
        def set_kill_switch() -> None:
            switch = KillSwitchRecord(state, by="an operator", reason="a rule", at=self.world.clock.now())
            self.world.ledger.set_kill_switch("default", switch)

        self.world.clock.call_later(timedelta(seconds=seconds), set_kill_switch)

    @rule(days=st.sampled_from([1, 13, 46]))
    def replay_dead_letters(self, days: int) -> None:
        self.world.clock.advance(timedelta(days=days))
        for message in self.messages:
            self.queue.deliver(message, 600)

    @invariant()
    def every_invariant_holds(self) -> None:
        if hasattr(self, "world"):
            self.world.checker.check_exchange()
            self.world.checker.check_end(runs_follow=True)

    def teardown(self) -> None:
        if not hasattr(self, "world") or self.world.violation is not None:
            return
        self.queue.stop_faults()
        for message in self.messages:
            self.queue.finish(message)
        self.world.checker.check_end()
        self.world.checker.check_finished()


TestOneAccount = OneAccount.TestCase
TestOneAccount.settings = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    stateful_step_count=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
