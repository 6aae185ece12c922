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
from pydantic import TypeAdapter, ValidationError

from rebalance_cli.commands.plan import confirm_live
from rebalance_cli.console import confirm
from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError
from rebalance_cli.formatting import counted
from rebalance_cli.options import AccountDigits, CommandSession, target_command
from rebalance_cli.outputs import DeadLetter, DeadLetterDone, DeadLetters
from rebalance_cli.views.operations import ID_LENGTH, dead_letter_view, dead_letters_view
from rebalance_cli.views.tables import facts
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.values import Name
from rebalance_executor.triggers import DELIVERY_ATTRIBUTE, PlanDocument, decode

app = typer.Typer(help="Inspect and replay dead-letter messages.", no_args_is_help=True)

_NAME: TypeAdapter[str] = TypeAdapter(Name)

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
        with _received(ctx, url) as messages:
            answer = DeadLetters(queue=url, messages=tuple(message.letter for message in messages))
        ids = [letter.message_id[:ID_LENGTH] for letter in answer.messages]
        session.answer(answer, dead_letters_view(answer), _command(ctx, queue, "show", ids[0]) if ids else None)


@app.command()
@target_command
def show(session: CommandSession, message: MessageId, *, queue: QueueOption = Queue.PLANS) -> None:
    """Show a message with its body without removing it."""
    with session.context() as ctx:
        with _received(ctx, _queue_url(ctx, queue)) as messages:
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
    queue: QueueOption = Queue.PLANS,
) -> None:
    """Send a message to the plan queue again and delete it here. Safe to repeat: no plan executes twice."""
    with session.context() as ctx:
        url = _queue_url(ctx, queue)
        plan_queue = ctx.variable("PLAN_QUEUE_URL", "it is the address of the plan queue")
        with _received(ctx, url) as messages:
            selected = _select(ctx, messages, message, queue)
            letter = selected.letter
            if letter.problem is not None:
                text = f"Message {letter.message_id} contains no plan and would fail again: {letter.problem}"
                raise CliError(text, f"Delete it: {_command(ctx, queue, 'discard', message)}")
            account = ctx.account_name(selected.account)
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
        with _received(ctx, url) as messages:
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
def _received(ctx: CliContext, url: str) -> Iterator[list[_Received]]:
    """Receive the queue's messages; at the end of the block, release those that were not deleted."""
    sqs = ctx.aws_client("sqs")
    received: dict[str, _Received] = {}
    try:
        while len(received) < _MAX_MESSAGES:
            messages = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=_BATCH_SIZE,
                VisibilityTimeout=_VISIBILITY_SECONDS,
                AttributeNames=["All"],
                MessageAttributeNames=[DELIVERY_ATTRIBUTE],
            ).get("Messages", [])
            new = [message for message in map(_parse, messages) if message.letter.message_id not in received]
            if not new:
                break
            received |= {message.letter.message_id: message for message in new}
        yield list(received.values())
    finally:
        for message in received.values():
            _release(sqs, url, message)


def _release(sqs: Any, url: str, message: _Received) -> None:
    try:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message.receipt, VisibilityTimeout=0)
    except sqs.exceptions.ClientError:
        return  # the message is deleted, or becomes visible by itself within a minute


def _parse(message: dict[str, Any]) -> _Received:
    attributes, body = message.get("Attributes", {}), str(message["Body"])
    plan_id, account, problem = _plan_in(body)
    sent = attributes.get("SentTimestamp")
    letter = DeadLetter(
        message_id=message["MessageId"],
        plan_id=plan_id,
        problem=problem,
        sent_at=datetime.fromtimestamp(int(sent) / 1000, UTC) if sent is not None else None,
        deliveries=int(attributes.get("ApproximateReceiveCount", 0)),
        body=body,
    )
    replayed = message.get("MessageAttributes", {}).get(DELIVERY_ATTRIBUTE, {}).get("StringValue")
    delivery_id = replayed or letter.message_id
    return _Received(letter, message["ReceiptHandle"], attributes.get("MessageGroupId"), account, delivery_id)


def _plan_in(body: str) -> tuple[str | None, str | None, str | None]:
    """Return plan ID, account and problem of a message; all are None for a pointer to a plan."""
    try:
        request = decode(body)
    except InvalidInput as error:
        return None, None, str(error)
    if not isinstance(request, PlanDocument):
        return None, None, None
    document = request.body if isinstance(request.body, dict) else {}
    try:
        account = document.get("account")
        return _NAME.validate_python(document.get("plan_id")), _NAME.validate_python(account) if account else None, None
    except ValidationError:
        return None, None, "has no valid plan_id, or no valid account"


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
