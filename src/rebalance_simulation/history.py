"""One history: a world, plans, deliveries and faults drawn from a seed; then calm, in which everything must end."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random

from paper_broker.errors import BrokerError
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.values import format_decimal
from rebalance_simulation import generators
from rebalance_simulation.dynamodb import PAGE_ROWS
from rebalance_simulation.environment import Environment
from rebalance_simulation.faults import RARE, EnvironmentEvent, FaultInjector, Trait, swarm
from rebalance_simulation.generators import Message
from rebalance_simulation.queue import MessageQueue
from rebalance_simulation.workload import Cases, Drawn, Given, Workload
from rebalance_simulation.world import World

_SOON = (0.1, 0.3, 1, 3, 8, 30)
"""Seconds after which something happens during a run."""


class History:
    """A seed's history. ``run`` raises ``Violation`` where a promise was broken.

    Args:
        seed: of everything that is drawn.
        cases: makes somebody's own plans and market; both are drawn where it is left out.
    """

    def __init__(self, seed: int, cases: Cases | None = None) -> None:
        self.seed = seed
        self._chance = Random(f"history {seed}")  # noqa: S311 - reproducible on purpose
        chance = self._chance
        drawn = {trait for trait in Trait if chance.random() < RARE.get(trait, 0.3)}
        subject: Workload = Drawn(seed, chance) if cases is None else Given(seed, chance, cases(chance))
        self.traits = subject.traits(drawn)
        is_quiet = Trait.QUIET in self.traits
        begin = generators.begin(chance, self.traits)
        self.world = World(
            subject.scenario(self.traits),
            subject.config(self.traits),
            FaultInjector(chance, {} if is_quiet else swarm(chance)),
            begin,
            page_rows=chance.choice((PAGE_ROWS, PAGE_ROWS, 3)),
        )
        self.world.between = self._in_between
        if Trait.SKEW in self.traits:
            self.world.clock.skew = timedelta(seconds=chance.randint(-20, 20))
        self.messages = subject.messages(self.traits, begin)
        kinds = [] if is_quiet else [kind for kind in EnvironmentEvent if chance.random() < 0.4]
        self.environment = Environment(self.world, chance, kinds)
        self.queue = MessageQueue(self.world, self.environment)

    # --- the story ---------------------------------------------------------------------------------------

    def run(self) -> History:
        """Live through it."""
        try:
            for _ in range(self._chance.randint(1, 5)):
                if self._chance.random() < 0.5:
                    self.environment.one()
                self._deliver(self._chance.choice(self.messages))
                self.world.clock.sleep(timedelta(seconds=self._chance.choice((1.5, 30, 700))))
            self.queue.calm()
            for message in self.messages:
                self.queue.end(message)
            self.world.checker.end()
        except (AssertionError, BrokerError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            self.world.log.tell(0, "!! violation", {"what": f"{type(error).__name__}: {error}"})
            raise
        return self

    def _deliver(self, message: Message) -> None:
        if message.done and Trait.DUPLICATES not in self.traits:
            return
        is_short = Trait.SHORT_LIFE in self.traits
        seconds = self._chance.choice((12, 30, 60) if is_short else (60, 300, 600))
        for likely, happen in ((0.4, self.environment.one), (0.2, self.environment.set_kill_switch)):
            if self._chance.random() < likely:  # something happens while it works
                self.world.clock.later(timedelta(seconds=self._chance.choice(_SOON)), happen)
        others = [other for other in self.messages if other is not message and other.way == "sqs"]
        if message.way == "sqs" and others and self._chance.random() < 0.4:
            self.queue.deliver_together([message, self._chance.choice(others)], seconds)
        else:
            self.queue.deliver(message, seconds)

    def _in_between(self) -> None:
        """Something else, while an invocation is interrupted."""
        if self._chance.random() < 0.6:
            self.environment.lose_records()
            self._deliver(self._chance.choice(self.messages))
        else:
            self.environment.one()

    # --- to be read --------------------------------------------------------------------------------------

    @property
    def happened(self) -> Counter[str]:
        """Faults and happenings, by kind."""
        return self.world.faults.happened + self.environment.happened + Counter(self.traits)

    def outcomes(self) -> Counter[Outcome]:
        """How the orders of all plans ended."""
        return Counter(order.outcome for result in self.world.checker.results.values() for order in result.orders)

    def timeline(self) -> str:
        """Everything that happened, a line each: seconds, process, event, fields; then the orders at the broker."""
        return timeline(self.world)


def timeline(world: World) -> str:
    """Everything that happened in this world, a line each."""
    told = []
    for at, process, event, fields in world.log.all:
        shown = " ".join(f"{name}={value}" for name, value in fields.items())
        told.append(f"{(at - world.begin).total_seconds():10.2f}  {process or '':>2} {event:22} {shown}"[:300].rstrip())
    for order in world.checker.orders():
        price = format_decimal(order.limit_price) if order.limit_price is not None else "market"
        asked = f"{order.client_order_id} {order.side} {format_decimal(order.qty or order.filled_qty)} at {price}"
        told.append(f"{'broker':>10}     {asked}: {order.status}, {format_decimal(order.filled_qty)} filled")
    return "\n".join(told)
