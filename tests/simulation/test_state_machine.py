"""Hypothesis plays the world: it chooses what happens next, and shrinks what breaks a promise."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_simulation import config_generator, generators
from rebalance_simulation.environment import Environment
from rebalance_simulation.faults import SUBMIT, EnvironmentEvent, Fault, FaultInjector, possible
from rebalance_simulation.generators import Message, item, plan
from rebalance_simulation.queue import MessageQueue
from rebalance_simulation.world import World

AT_ANY_CALL = [fault for fault in Fault if fault is not Fault.DEADLINE]
CALLS = [SUBMIT, SUBMIT, "broker GET /orders", "broker DELETE /orders/{id}", "book.switch", "journal.write"]
"""The calls that matter most, submissions twice."""
IN_THE_WORLD = [
    kind for kind in EnvironmentEvent if kind not in (EnvironmentEvent.LONG_PAUSE, EnvironmentEvent.KILL_SWITCH)
]
FIRST = [
    item("AAA", "SELL", 700),
    item("BBB", "SELL", 20, is_exit=True),
    item("CCC", "BUY", 700),
    item("DDD", "BUY", 90),
]
SECOND = [item("AAA", "BUY", 300), item("CCC", "SELL", 700), item("DDD", "SELL", 20, is_exit=True)]
CHANGED = [item("AAA", "SELL", 701)]


class OneAccount(RuleBasedStateMachine):
    """Two plans of one account, and one that has the id of another. Every promise is looked at after every step."""

    @initialize(seed=st.integers(0, 99), direct=st.booleans())
    def begin(self, seed: int, direct: bool) -> None:
        chance = Random(seed)  # noqa: S311 - reproducible on purpose
        self.world = World(generators.scenario(seed, chance, ()), config_generator.config(chance, ()), FaultInjector())
        self.script: dict[int, Fault] = {}
        self.world.faults.script = self.script
        self.world.between = self.somebody_comes
        self.happenings = Environment(self.world, chance, list(EnvironmentEvent))
        self.inbox = MessageQueue(self.world, self.happenings)
        way = "direct" if direct else "sqs"
        self.messages = [
            Message("plan-1", plan("plan-1", FIRST), way),
            Message("plan-2", plan("plan-2", SECOND), way),
            Message("plan-1", plan("plan-1", CHANGED), way),
        ]

    def somebody_comes(self) -> None:
        """Another delivery meets the one that is interrupted, and the front door lets it in."""
        self.world.records.stored.clear()
        self.inbox.deliver(self.messages[self.world.invocations % len(self.messages)], 60)

    @rule(which=st.integers(0, 2), seconds=st.sampled_from([8, 30, 600]))
    def deliver(self, which: int, seconds: int) -> None:
        self.inbox.deliver(self.messages[which], seconds)

    @precondition(lambda self: self.messages[0].way == "sqs")
    @rule(seconds=st.sampled_from([20, 600]))
    def deliver_together(self, seconds: int) -> None:
        self.inbox.deliver_together(self.messages[:2], seconds)

    @rule(which=st.integers(0, 1), calls=st.integers(1, 45), fault=st.sampled_from(AT_ANY_CALL))
    def something_goes_wrong(self, which: int, calls: int, fault: Fault) -> None:
        self.script[self.world.faults.calls + calls] = fault
        self.inbox.deliver(self.messages[which], 600)

    @rule(name=st.sampled_from(CALLS), faults=st.lists(st.sampled_from(AT_ANY_CALL), min_size=1, max_size=2))
    def arm(self, name: str, faults: list[Fault]) -> None:
        self.world.faults.armed[name] = [fault for fault in faults if fault in possible(name)]

    @rule(
        which=st.integers(0, 1), calls=st.integers(1, 45), kill=st.sampled_from([Fault.KILL_BEFORE, Fault.KILL_AFTER])
    )
    def kill_at(self, which: int, calls: int, kill: Fault) -> None:
        self.script[self.world.faults.calls + calls] = kill
        self.inbox.deliver(self.messages[which], 600)

    @rule(calls=st.integers(1, 40))
    def the_deadline_comes(self, calls: int) -> None:
        self.script[self.world.faults.calls + calls] = Fault.DEADLINE
        self.inbox.deliver(self.messages[0], 600)

    @rule(seconds=st.sampled_from([1, 20, 100, 700, 3600]))
    def pass_time(self, seconds: int) -> None:
        self.world.clock.sleep(timedelta(seconds=seconds))

    @rule(kind=st.sampled_from(IN_THE_WORLD))
    def happen(self, kind: EnvironmentEvent) -> None:
        self.happenings.happen(kind)

    @rule(kind=st.sampled_from(IN_THE_WORLD), seconds=st.sampled_from([0.1, 1, 5]))
    def happen_soon(self, kind: EnvironmentEvent, seconds: float) -> None:
        self.world.clock.later(timedelta(seconds=seconds), lambda: self.happenings.happen(kind))

    @rule(state=st.sampled_from(TradingState), seconds=st.sampled_from([0, 0.5, 4]))
    def somebody_sets_the_switch(self, state: TradingState, seconds: float) -> None:
        def set_it() -> None:
            switch = KillSwitchRecord(state, by="a person", reason="a rule", at=self.world.clock.now())
            self.world.ledger.set_kill_switch("default", switch)

        self.world.clock.later(timedelta(seconds=seconds), set_it)

    @rule(days=st.sampled_from([1, 13, 46]))
    def replay_dead_letters(self, days: int) -> None:
        self.world.clock.sleep(timedelta(days=days))
        for message in self.messages:
            self.inbox.deliver(message, 600)

    @invariant()
    def every_promise_holds(self) -> None:
        if hasattr(self, "world"):
            self.world.checker.look()
            self.world.checker.end()

    def teardown(self) -> None:
        if not hasattr(self, "world") or self.world.broken is not None:
            return
        self.inbox.calm()
        for message in self.messages:
            self.inbox.end(message)
        self.world.checker.end()


TestOneAccount = OneAccount.TestCase
TestOneAccount.settings = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    stateful_step_count=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
