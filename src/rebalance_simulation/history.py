"""One history: a world, plans, deliveries and faults drawn from a seed. At its end faults stop and plans must end."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random

from paper_broker.errors import BrokerError
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.values import format_decimal
from rebalance_simulation import generators
from rebalance_simulation.auctions import AuctionDraws
from rebalance_simulation.broker_view import draw_view
from rebalance_simulation.dynamodb import PAGE_SIZE
from rebalance_simulation.environment import Environment
from rebalance_simulation.faults import RARE, EnvironmentEvent, FaultInjector, Trait, draw_probabilities
from rebalance_simulation.generators import Message
from rebalance_simulation.plan_store import BUCKET
from rebalance_simulation.queue import MessageQueue
from rebalance_simulation.workload import Cases, CaseWorkload, DrawnWorkload, Workload
from rebalance_simulation.world import World

_EVENT_DELAYS = (0.1, 0.3, 1, 3, 8, 30)
"""Seconds into a run after which an event happens."""
_OWN_NUMBERS = {Trait.AUCTIONS, Trait.TOGETHER}
"""Traits that are drawn from random numbers of their own."""
_TOGETHER = 0.2
_TRADE_DELAYS = (0.5, 1, 2, 3, 4.5, 7)
"""Seconds into a run after which a busy person trades."""


class History:
    """The history of one seed.

    Args:
        seed: determines everything that is drawn.
        cases: makes the user's own plans and market. By default both are drawn.
    """

    def __init__(self, seed: int, cases: Cases | None = None) -> None:
        self.seed = seed
        self._rng = Random(f"history {seed}")  # noqa: S311 - reproducible on purpose
        rng = self._rng
        auctions = AuctionDraws(seed)
        drawn: set[Trait] = {Trait.AUCTIONS} if auctions.applies else set()
        if Random(f"together {seed}").random() < _TOGETHER:  # noqa: S311 - reproducible on purpose
            drawn.add(Trait.TOGETHER)
        drawn |= {trait for trait in Trait if trait not in _OWN_NUMBERS and rng.random() < RARE.get(trait, 0.3)}
        workload: Workload = DrawnWorkload(seed, rng) if cases is None else CaseWorkload(seed, rng, cases(rng))
        self.traits = workload.traits(drawn)
        has_faults = Trait.NO_FAULTS not in self.traits
        start = generators.start_time(rng, self.traits)
        scenario, config = workload.scenario(self.traits), workload.config(self.traits)
        if Trait.AUCTIONS in self.traits:
            start, scenario, config = auctions.start(), auctions.scenario(scenario), auctions.config(config)
        self.world = World(
            scenario,
            config,
            FaultInjector(rng, draw_probabilities(rng) if has_faults else {}),
            start,
            page_size=rng.choice((PAGE_SIZE, PAGE_SIZE, 3)),
            view=draw_view(rng, self.traits if has_faults else ()),
            has_volumes=Trait.NO_VOLUMES not in self.traits,
            has_cache=Trait.NO_CACHE not in self.traits,
            accounts=("default", generators.OTHER_ACCOUNT) if Trait.TWO_NAMES in self.traits else ("default",),
        )
        self.world.on_interrupt = self._interrupt
        if Trait.SKEW in self.traits:
            self.world.clock.skew = timedelta(seconds=rng.randint(-20, 20))
        self.messages = workload.messages(self.traits, start)
        if Trait.AUCTIONS in self.traits:
            self.messages = [auctions.add_to(message, scenario) for message in self.messages]
        if Trait.POINTERS in self.traits:
            for number, message in enumerate(self.messages):
                self.world.plan_store.put(f"plan {number}", message.document)
                message.point_to(BUCKET, f"plan {number}")
        self._lost = rng.choice(self.messages) if Trait.LOST_DELIVERY in self.traits else None
        """The message that is not delivered again at the end."""
        kinds = [kind for kind in EnvironmentEvent if rng.random() < 0.4] if has_faults else []
        self.environment = Environment(self.world, rng, kinds)
        self.queue = MessageQueue(self.world, self.environment)

    # --- run ---------------------------------------------------------------------------------------------

    def run(self) -> History:
        """Run the history and return it.

        Raises:
            Violation: an invariant was broken.
        """
        try:
            for _ in range(self._rng.randint(1, 5)):
                if self._rng.random() < 0.5:
                    self.environment.apply_random()
                self._deliver(self._rng.choice(self.messages))
                self.world.clock.advance(timedelta(seconds=self._rng.choice((1.5, 30, 700))))
            self.queue.stop_faults()
            self._finish()
        except (AssertionError, BrokerError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            self.world.log.append(0, "!! violation", {"error": f"{type(error).__name__}: {error}"})
            raise
        return self

    def _finish(self) -> None:
        """Deliver every message until it is done. Where one is lost, another plan of its account finishes its plan."""
        for message in self.messages:
            if message is not self._lost:
                self.queue.finish(message)
        if self._lost is not None and not self._lost.done:
            last = generators.last_message(self._lost, self.world.clock.world())
            self.world.checker.made_at[last.plan_id] = self.world.clock.world()
            self.queue.finish(last)
        self.world.checker.check_end()
        self.world.checker.check_finished()

    def _deliver(self, message: Message) -> None:
        if message.done and Trait.DUPLICATES not in self.traits:
            return
        is_short = Trait.SHORT_TIMEOUT in self.traits
        seconds = self._rng.choice((12, 30, 60) if is_short else (60, 300, 600))
        for probability, action in ((0.4, self.environment.apply_random), (0.2, self.environment.set_kill_switch)):
            if self._rng.random() < probability:  # the event happens during the run
                self.world.clock.call_later(timedelta(seconds=self._rng.choice(_EVENT_DELAYS)), action)
        if Trait.BUSY_PERSON in self.traits:
            delay = timedelta(seconds=self._rng.choice(_TRADE_DELAYS))
            self.world.clock.call_later(delay, self.environment.apply_trade)
        others = [other for other in self.messages if other is not message and other.trigger == "sqs"]
        if message.trigger == "sqs" and others and self._rng.random() < 0.4:
            self.queue.deliver_together([message, self._rng.choice(others)], seconds)
        else:
            self.queue.deliver(message, seconds)

    def _interrupt(self) -> None:
        """Make another delivery or apply an event while an invocation is interrupted."""
        if self._rng.random() < 0.6:
            self.environment.delete_records()
            self._deliver(self._rng.choice(self.messages))
        else:
            self.environment.apply_random()

    # --- evaluation --------------------------------------------------------------------------------------

    @property
    def event_counts(self) -> Counter[str]:
        """Number of faults and events by kind, and the history's traits."""
        return self.world.faults.fault_counts + self.world.event_counts + Counter(self.traits)

    def outcomes(self) -> Counter[Outcome]:
        """Return the number of items of all plans by outcome."""
        return Counter(item.outcome for result in self.world.checker.results.values() for item in result.orders)

    def timeline(self) -> str:
        """Return the history line by line: seconds, process, event, fields; then the orders at the broker."""
        return timeline(self.world)


def timeline(world: World) -> str:
    """Return what happened in this world, line by line."""
    lines = []
    for at, process, event, fields in world.log.lines:
        shown = " ".join(f"{name}={value}" for name, value in fields.items())
        seconds = (at - world.start).total_seconds()
        lines.append(f"{seconds:10.2f}  {process or '':>2} {event:22} {shown}"[:300].rstrip())
    for order in world.checker.orders():
        price = format_decimal(order.limit_price) if order.limit_price is not None else "market"
        request = f"{order.client_order_id} {order.side} {format_decimal(order.qty or order.filled_qty)} at {price}"
        lines.append(f"{'broker':>10}     {request}: {order.status}, {format_decimal(order.filled_qty)} filled")
    return "\n".join(lines)
