"""Messages on their way in: each is delivered at least once, and again until done; then calm, and all must end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from rebalance_executor.domain.errors import InvalidInput, OverfillGuard, Redeliver
from rebalance_executor.execution.events import LogEvent
from rebalance_simulation.environment import Environment
from rebalance_simulation.generators import Message
from rebalance_simulation.invariants import Violation
from rebalance_simulation.world import World

MOST_DELIVERIES = 6
"""Once faults stop, a plan must be finished within so many."""
APART = timedelta(seconds=1.5)
"""Between two deliveries at the least."""
LEASE_LASTS = timedelta(seconds=700)
"""After so long a lease of the longest invocation has run out."""


class MessageQueue:
    """Delivers messages to a world, and judges how each delivery ended.

    Args:
        world: where.
        happenings: what has to be undone when calm comes.
    """

    def __init__(self, world: World, happenings: Environment) -> None:
        self.world = world
        self._happenings = happenings

    def deliver(self, message: Message, seconds: float) -> None:
        """Invoke the program with this message."""
        message.deliveries += 1
        told = len(self.world.log.all)
        # an asynchronous invocation is repeated with the very same request id
        delivery = self.world.deliver(message.event, seconds, message.plan_id)
        if delivery.answer is not None and message.way == "sqs":
            refused = self._stopped(told)
            is_over = not delivery.answer["batchItemFailures"]
            self._check_over(message, is_over=is_over and not refused)
            message.done = message.done or refused or is_over
        elif delivery.answer is not None:
            self.world.checker.answered(delivery.answer)
            message.done = True
        elif isinstance(delivery.error, InvalidInput):
            message.done = True
        elif isinstance(delivery.error, OverfillGuard):
            raise Violation(f"the program had to stop itself: {delivery.error}")
        elif delivery.error is not None and not isinstance(delivery.error, Redeliver):
            raise Violation(f"{type(delivery.error).__name__}: {delivery.error}")

    def deliver_together(self, messages: Sequence[Message], seconds: float) -> None:
        """Invoke the program with several messages of its queue at once."""
        told = len(self.world.log.all)
        records = [record for message in messages for record in message.event["Records"]]
        delivery = self.world.deliver({"Records": records}, seconds, "batch")
        if delivery.answer is None:
            if not delivery.was_killed:
                raise Violation(f"a queue is told which messages failed, not {delivery.error!r}")
            return
        self._stopped(told)
        failed = {failure["itemIdentifier"] for failure in delivery.answer["batchItemFailures"]}
        for message in messages:
            message.deliveries += 1
            is_over = message.event["Records"][0]["messageId"] not in failed
            self._check_over(message, is_over=is_over)
            message.done = message.done or is_over

    def _check_over(self, message: Message, *, is_over: bool) -> None:
        """A queue deletes what it is told is over: that must have its result."""
        if is_over and not any(plan_id == message.plan_id for _, plan_id in self.world.checker.results):
            raise Violation(f"the queue is told that {message.plan_id} is over, and it has no result")

    def _stopped(self, since: int) -> bool:
        """Whether the log says why a message can never succeed; a queue is told no more than that it failed."""
        for _, _, event, fields in self.world.log.all[since:]:
            if event == LogEvent.PLAN_FAILED:
                raise Violation(f"the program had to stop itself: {fields}")
            if event == LogEvent.PLAN_INVALID and "error" in fields:
                return True
        return False

    def calm(self) -> None:
        """Faults stop, symbols trade again, leases run out."""
        self.world.faults.is_calm = True
        self.world.down.clear()
        self._happenings.undo()
        self.world.clock.sleep(LEASE_LASTS)

    def end(self, message: Message) -> None:
        """A plan must reach its result, and must be refused for what it is, not for bad luck."""
        for _ in range(MOST_DELIVERIES):
            self.deliver(message, 600)
            if message.done:
                return
            self.world.clock.sleep(APART)
        raise Violation(f"{message.plan_id} is not finished after {MOST_DELIVERIES} undisturbed deliveries")
