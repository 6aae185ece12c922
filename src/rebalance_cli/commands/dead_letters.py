"""``rebalance dlq list | show | replay | discard``: dead-letter messages, one by one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from rebalance_cli.commands.plan import confirm_live
from rebalance_cli.console import confirm
from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError
from rebalance_cli.formatting import counted
from rebalance_cli.options import AccountDigits, CommandSession, target_command
from rebalance_cli.outputs import DeadLetter, DeadLetterDone, DeadLetters
from rebalance_cli.queries.dead_letters import LetterPlan, attempts, delivery_error, read_letter
from rebalance_cli.views.operations import ID_LENGTH, dead_letter_view, dead_letters_view
from rebalance_cli.views.tables import facts
from rebalance_executor.triggers import DELIVERY_ATTRIBUTE

app = typer.Typer(help="Inspect and replay dead-letter messages.", no_args_is_help=True)

_BATCH_SIZE = 10
"""Messages per request; the maximum of SQS."""
_MAX_MESSAGES = 100
_VISIBILITY_SECONDS = 60
"""Time for which SQS hides a message that a command reads, unless the command releases it earlier."""


class Queue(StrEnum):
    """A queue of messages that failed."""

    PLANS = "plans"
    """Dead letters of the plan queue: messages that failed six times."""
    EVENTS = "events"
    """Events that EventBridge could not deliver to the function."""
    SCHEDULES = "schedules"
    """Invocations that a schedule could not deliver to the function."""
    FAILURES = "failures"
    """Asynchronous invocations that failed after all retries."""

    @property
    def label(self) -> str:
        """The name for messages."""
        return {
            "plans": "plan dead-letter queue",
            "events": "event dead-letter queue",
            "schedules": "schedule dead-letter queue",
            "failures": "failed-invocation queue",
        }[self.value]

    @property
    def variable(self) -> str:
        """The environment variable with the queue's address."""
        return {
            "plans": "PLAN_DEAD_LETTER_QUEUE_URL",
            "events": "EVENT_DEAD_LETTER_QUEUE_URL",
            "schedules": "SCHEDULE_DEAD_LETTER_QUEUE_URL",
            "failures": "FAILURE_QUEUE_URL",
        }[self.value]


QueueOption = Annotated[
    Queue,
    typer.Option(
        "--queue", help="Dead letters of the plan queue, the event bus, the schedules, or failed invocations."
    ),
]
MessageId = Annotated[str, typer.Argument(metavar="MESSAGE", help="Message ID, or its first characters.")]


@dataclass(frozen=True, slots=True)
class _Received:
    """A message that this command has received and hides from other readers."""

    letter: DeadLetter
    receipt: str
    group: str | None
    account: str | None
    """Account of the plan in the message."""
    delivery_id: str
    """ID of the message that was delivered first: this one, or the one that it replays."""


# --- commands --------------------------------------------------------------------------------------------


@app.command("list")
@target_command
def list_(session: CommandSession, *, queue: QueueOption = Queue.PLANS) -> None:
    """List the messages without removing them: up to ten per account, and 100 in all."""
    with session.context() as ctx:
        url = _queue_url(ctx, queue)
        with _received(ctx, queue) as messages:
            answer = DeadLetters(queue=url, messages=tuple(message.letter for message in messages))
        ids = [letter.message_id[:ID_LENGTH] for letter in answer.messages]
        session.answer(
            answer, dead_letters_view(answer, session.out.width), _command(ctx, queue, "show", ids[0]) if ids else None
        )


@app.command()
@target_command
def show(session: CommandSession, message: MessageId, *, queue: QueueOption = Queue.PLANS) -> None:
    """Show a message with its body without removing it."""
    with session.context() as ctx:
        with _received(ctx, queue) as messages:
            letter = _select(ctx, messages, message, queue).letter
        action = "replay" if letter.problem is None else "discard"
        session.answer(letter, dead_letter_view(letter), _command(ctx, queue, action, message))


@app.command()
@target_command
def replay(
    session: CommandSession,
    message: MessageId,
    *,
    confirm_account: AccountDigits = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Send it although it is invalid, too old or no plan.")
    ] = False,
    queue: QueueOption = Queue.PLANS,
) -> None:
    """Send a message to the plan queue again and delete it here. Safe to repeat: no plan executes twice.

    A message that would fail again is not sent: an invalid plan, one that is too old, or an event that is no plan.
    """
    with session.context() as ctx:
        url = _queue_url(ctx, queue)
        plan_queue = ctx.variable("PLAN_QUEUE_URL", "it is the address of the plan queue")
        with _received(ctx, queue) as messages:
            selected = _select(ctx, messages, message, queue)
            letter = selected.letter
            if letter.problem is not None and not anyway:
                text = f"Message {letter.message_id} would fail again and was not sent: {letter.problem}"
                raise CliError(text, f"Delete it: {_command(ctx, queue, 'discard', message)}")
            # a pointer does not say the account; its message group does, by the rule for senders
            group = selected.group if letter.plan_id is None else None
            account = ctx.account_name(selected.account or group)
            confirm_live(ctx, account, confirm_account)
            _send(ctx, plan_queue, selected, account)
            _delete(ctx, url, selected)
        answer = DeadLetterDone(message_id=letter.message_id, plan_id=letter.plan_id, done="replayed")
        words = ["watch", letter.plan_id] if letter.plan_id is not None else ["status"]
        rows = [("Replayed", f"{letter.plan_id or letter.message_id} on account {account}")]
        session.answer(answer, facts(rows), ctx.command(*words, account=account))


@app.command()
@target_command
def discard(
    session: CommandSession,
    message: MessageId,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    queue: QueueOption = Queue.PLANS,
) -> None:
    """Delete a message permanently. Prints its body first, so that it can be restored after a mistake."""
    with session.context() as ctx:
        url = _queue_url(ctx, queue)
        with _received(ctx, queue) as messages:
            selected = _select(ctx, messages, message, queue)
            letter = selected.letter
            session.console.print(dead_letter_view(letter))
            if not yes:
                delete = _command(ctx, queue, "discard", message, "--yes")
                confirm("Delete this message?", f"Delete without asking: {delete}")
            _delete(ctx, url, selected)
        answer = DeadLetterDone(message_id=letter.message_id, plan_id=letter.plan_id, done="discarded")
        session.answer(answer, facts([("Discarded", letter.message_id)]))


# --- the queue -------------------------------------------------------------------------------------------


def _queue_url(ctx: CliContext, queue: Queue) -> str:
    return ctx.variable(queue.variable, f"it is the address of the {queue.label}")


def _command(ctx: CliContext, queue: Queue, *words: str) -> str:
    option = ["--queue", queue] if queue is not Queue.PLANS else []
    return ctx.command("dlq", *words, *option)


@contextmanager
def _received(ctx: CliContext, queue: Queue) -> Iterator[list[_Received]]:
    """Receive the queue's messages; at the end of the block, release those that were not deleted."""
    sqs, url = ctx.aws_client("sqs"), _queue_url(ctx, queue)
    received: dict[str, _Received] = {}
    try:
        while len(received) < _MAX_MESSAGES:
            messages = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=_BATCH_SIZE,
                VisibilityTimeout=_VISIBILITY_SECONDS,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            new = [message for message in messages if message["MessageId"] not in received]
            if not new:
                break
            received |= {message["MessageId"]: _parse(ctx, queue, message) for message in new}
        yield list(received.values())
    finally:
        for message in received.values():
            _release(sqs, url, message)


def _release(sqs: Any, url: str, message: _Received) -> None:
    try:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message.receipt, VisibilityTimeout=0)
    except sqs.exceptions.ClientError:
        return  # the message is deleted, or becomes visible by itself within a minute


def _parse(ctx: CliContext, queue: Queue, message: dict[str, Any]) -> _Received:
    attributes, body = message.get("Attributes", {}), str(message["Body"])
    own: dict[str, Any] = message.get("MessageAttributes", {})
    plan = read_letter(body, ctx.config, ctx.now)
    started = _journalled_reason(ctx, plan)
    problem = plan.problem or (plan.age_problem if started is None else None)
    sent, received = attributes.get("SentTimestamp"), int(attributes.get("ApproximateReceiveCount", 0))
    letter = DeadLetter(
        message_id=message["MessageId"],
        plan_id=plan.plan_id,
        problem=problem,
        reason=delivery_error(own, body) or problem or started,
        sent_at=datetime.fromtimestamp(int(sent) / 1000, UTC) if sent is not None else None,
        attempts=attempts(own, body, received, from_plan_queue=queue is Queue.PLANS),
        body=body,
    )
    delivery_id = own.get(DELIVERY_ATTRIBUTE, {}).get("StringValue") or letter.message_id
    return _Received(letter, message["ReceiptHandle"], attributes.get("MessageGroupId"), plan.account, delivery_id)


def _journalled_reason(ctx: CliContext, plan: LetterPlan) -> str | None:
    """Return how the plan's last run ended, or that the plan has a result; None if it never started."""
    if plan.plan_id is None:
        return None
    account = ctx.account_name(plan.account)
    stored = ctx.ports.journal.load(account, plan.plan_id)
    if stored is None:
        return None
    if stored.result is not None:
        return f"the plan has its result by now: {stored.result.status}"
    run = ctx.journal.runs(account, plan.plan_id)[-1]
    end = run.end.value.lower() if run.end is not None else "was killed"
    return f"the plan started; its last run {end}" + (f": {run.reason}" if run.reason else "")


def _select(ctx: CliContext, messages: list[_Received], prefix: str, queue: Queue) -> _Received:
    matching = [message for message in messages if message.letter.message_id.startswith(prefix)]
    if len(matching) != 1:
        count = counted(len(matching), "message") if matching else "No message"
        text = f"{count} in the {queue.label} {'has' if len(matching) < 2 else 'have'} an ID that starts with {prefix}."
        raise CliError(text, f"List the messages: {_command(ctx, queue, 'list')}")
    return matching[0]


def _send(ctx: CliContext, url: str, message: _Received, account: str) -> None:
    """Send the message to the plan queue, in the account's group so that plans of one account run in order.

    The attribute with the first message's ID makes the program read the plan's version that the first delivery read.
    """
    attribute: Any = {DELIVERY_ATTRIBUTE: {"DataType": "String", "StringValue": message.delivery_id}}
    fifo: dict[str, str] = {}
    if url.endswith(".fifo"):
        # without a new deduplication ID, SQS drops a message that was sent within the last five minutes
        fifo = {"MessageGroupId": message.group or account, "MessageDeduplicationId": uuid.uuid4().hex}
    ctx.aws_client("sqs").send_message(
        QueueUrl=url, MessageBody=message.letter.body, MessageAttributes=attribute, **fifo
    )


def _delete(ctx: CliContext, url: str, message: _Received) -> None:
    ctx.aws_client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message.receipt)
