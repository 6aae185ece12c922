"""Delivery of messages, repeated until each is done. Finally faults stop, and every plan must end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rebalance_executor.domain.errors import InvalidInput, OverfillGuard, Redeliver
from rebalance_executor.execution.events import LogEvent
from rebalance_simulation.environment import Environment
from rebalance_simulation.generators import Message
from rebalance_simulation.violation import Violation
from rebalance_simulation.world import World

MAX_DELIVERIES = 6
"""Deliveries within which a plan must finish once faults have stopped."""
DELIVERY_GAP = timedelta(seconds=1.5)
"""Shortest time between two deliveries."""
LEASE_EXPIRY = timedelta(seconds=700)
"""Time after which the lease of the longest invocation has expired."""


class MessageQueue:
    """Delivery of messages to a world, with checks of its outcome.

    Args:
        world: receives the deliveries.
        environment: its events are undone when faults stop.
    """

    def __init__(self, world: World, environment: Environment) -> None:
        self.world = world
        self._environment = environment

    def deliver(self, message: Message, seconds: float) -> None:
        """Invoke the program with this message; the invocation times out after ``seconds``."""
        message.deliveries += 1
        log_start = len(self.world.log.lines)
        # Lambda retries an asynchronous invocation with the same request ID
        delivery = self.world.deliver(message.event, seconds, message.plan_id)
        if delivery.answer is not None and message.trigger == "sqs":
            is_invalid = self._has_invalid_plan(log_start)
            is_done = not delivery.answer["batchItemFailures"]
            self._check_done(message, is_done=is_done and not is_invalid)
            message.done = message.done or is_invalid or is_done
        elif delivery.answer is not None and delivery.answer["status"] == "in_progress":
            self.world.checker.check_pending(delivery.answer, delivery.run_id)
        elif delivery.answer is not None:
            self.world.checker.check_answer(delivery.answer)
            message.done = True
        elif isinstance(delivery.error, InvalidInput):
            message.done = True
        elif isinstance(delivery.error, OverfillGuard):
            raise Violation(f"the overfill guard stopped the program: {delivery.error}")
        elif delivery.error is not None and not isinstance(delivery.error, Redeliver):
            raise Violation(f"{type(delivery.error).__name__}: {delivery.error}")

    def deliver_together(self, messages: Sequence[Message], seconds: float) -> None:
        """Invoke the program with several messages of its queue in one batch."""
        log_start = len(self.world.log.lines)
        records = [record for message in messages for record in message.event["Records"]]
        delivery = self.world.deliver({"Records": records}, seconds, "batch")
        if delivery.answer is None:
            if not delivery.was_killed:
                raise Violation(f"a batch ended with {delivery.error!r} instead of a list of failed messages")
            return
        self._has_invalid_plan(log_start)
        failed = {failure["itemIdentifier"] for failure in delivery.answer["batchItemFailures"]}
        for message in messages:
            message.deliveries += 1
            is_done = message.event["Records"][0]["messageId"] not in failed
            self._check_done(message, is_done=is_done)
            message.done = message.done or is_done

    def _check_done(self, message: Message, *, is_done: bool) -> None:
        """Check that a plan has a result when its message is done: the queue deletes the message."""
        if is_done and not any(plan_id == message.plan_id for _, plan_id in self.world.checker.results):
            raise Violation(f"the message of {message.plan_id} is done, the plan has no result")

    def _has_invalid_plan(self, log_start: int) -> bool:
        """Return whether the delivery whose log starts there reports an invalid plan.

        The queue learns only that it failed. Lines of other processes belong to deliveries during an interruption.

        Raises:
            Violation: the log reports a failure of the program itself.
        """
        lines = self.world.log.lines[log_start:]
        own_process = lines[0][1]
        for _, process, event, fields in lines:
            if process != own_process:
                continue
            if event == LogEvent.PLAN_FAILED:
                raise Violation(f"the program failed: {fields}")
            if event == LogEvent.PLAN_INVALID and "error" in fields:
                return True
        return False

    def stop_faults(self) -> None:
        """Stop all faults, undo events, and wait until leases have expired. Claims of killed runs do not end."""
        self.world.faults.is_stopped = True
        self.world.down_until.clear()
        self._environment.restore()
        self.world.clock.advance(LEASE_EXPIRY)
        self.world.records.keep_claims()

    def finish(self, message: Message) -> None:
        """Deliver the message without faults until it is done.

        Raises:
            Violation: it is not done after ``MAX_DELIVERIES`` deliveries.
        """
        for _ in range(MAX_DELIVERIES):
            log_start = len(self.world.log.lines)
            self.deliver(message, 600)
            if message.done:
                return
            lines = self.world.log.lines[log_start:]
            times = [datetime.fromisoformat(str(fields["retry_at"])) for *_, fields in lines if fields.get("retry_at")]
            wait = max((at - self.world.clock.now() for at in times), default=DELIVERY_GAP)
            self.world.clock.advance(max(wait, DELIVERY_GAP))
        raise Violation(f"{message.plan_id} is not finished after {MAX_DELIVERIES} deliveries without faults")
