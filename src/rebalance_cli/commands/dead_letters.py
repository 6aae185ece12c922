"""``rebalance dlq list | show | replay | discard``: messages that could not be worked, one by one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from rebalance_cli.commands.plan import Digits, confirm_live
from rebalance_cli.console import answer, command
from rebalance_cli.context import CONFIG_FILE, HOME, AsJson, CliContext, ConfigFile, Home, cli_context
from rebalance_cli.exit_codes import CliError
from rebalance_cli.outputs import DeadLetter, DeadLetterDone, DeadLetters
from rebalance_cli.views.operations import dead_letter_view, dead_letters_view
from rebalance_cli.views.result import facts
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.triggers import PlanDocument, decode

app = typer.Typer(help="Messages that could not be worked.", no_args_is_help=True)

_AT_ONCE = 10
"""SQS's own limit."""
_MOST = 100
_LOOK_SECONDS = 60
"""How long a message that is looked at is hidden from others, unless it is given back before."""


class Queue(StrEnum):
    """Which dead letters."""

    PLANS = "plans"
    """Of the plan queue: messages that failed six times."""
    EVENTS = "events"
    """What the bus could not hand to the function."""
    SCHEDULES = "schedules"
    """What a schedule could not hand to the function."""
    FAILURES = "failures"
    """Asynchronous invocations that failed for good."""

    @property
    def variable(self) -> str:
        """Names the queue's address."""
        return {
            "plans": "PLAN_DEAD_LETTER_QUEUE_URL",
            "events": "EVENT_DEAD_LETTER_QUEUE_URL",
            "schedules": "SCHEDULE_DEAD_LETTER_QUEUE_URL",
            "failures": "FAILURE_QUEUE_URL",
        }[self.value]


Which = Annotated[
    Queue, typer.Option("--queue", help="The plan queue's, or those of the bus, the schedules or failed invocations.")
]
Message = Annotated[str, typer.Argument(metavar="MESSAGE", help="Its id, or how it begins.")]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in our hands."""

    told: DeadLetter
    receipt: str
    group: str | None
    account: str | None
    """Of the plan in it."""


@app.command("list")
def list_(
    *, queue: Which = Queue.PLANS, home: Home = HOME, config: ConfigFile = CONFIG_FILE, as_json: AsJson = False
) -> None:
    """List the messages; they stay where they are. At most ten of each account, a hundred in all."""
    with command(as_json=as_json) as (console, out), cli_context(home, config, console) as found:
        url = _url(found, queue)
        with _letters(found, url) as letters:
            told = DeadLetters(queue=url, messages=tuple(letter.told for letter in letters))
        answer(told, dead_letters_view(told), as_json=as_json, out=out)


@app.command()
def show(
    message: Message,
    *,
    queue: Which = Queue.PLANS,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Show a message with its body; it stays where it is."""
    with command(as_json=as_json) as (console, out), cli_context(home, config, console) as found:
        with _letters(found, _url(found, queue)) as letters:
            told = _named(letters, message).told
        answer(told, dead_letter_view(told), as_json=as_json, out=out)


@app.command()
def replay(
    message: Message,
    *,
    account_number: Digits = None,
    queue: Which = Queue.PLANS,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Send a message to the plan queue once more, and delete it here. Always safe: no plan is executed twice."""
    with command(as_json=as_json) as (console, out), cli_context(home, config, console) as found:
        url = _url(found, queue)
        plan_queue = found.variable("PLAN_QUEUE_URL", "the address of the plan queue")
        with _letters(found, url) as letters:
            letter = _named(letters, message)
            if letter.told.problem is not None:
                text = f"Message {letter.told.message_id} holds no plan ({letter.told.problem}): it would fail again."
                raise CliError(text, f"rebalance dlq discard {message}")
            account = found.account_name(letter.account)
            confirm_live(found, account, account_number)
            _send(found, plan_queue, letter, account)
            _delete(found, url, letter)
        told = DeadLetterDone(message_id=letter.told.message_id, plan_id=letter.told.plan_id, done="replayed")
        rows = [("Replayed", f"{told.plan_id or told.message_id} on account {account}")]
        next_step = f"rebalance watch {told.plan_id}" if told.plan_id is not None else "rebalance status"
        answer(told, facts([*rows, ("Next", next_step)]), as_json=as_json, out=out)


@app.command()
def discard(
    message: Message,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    queue: Which = Queue.PLANS,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Delete a message for good. Its body is printed, so that nothing is lost by mistake."""
    with command(as_json=as_json) as (console, out), cli_context(home, config, console) as found:
        url = _url(found, queue)
        with _letters(found, url) as letters:
            letter = _named(letters, message)
            console.print(dead_letter_view(letter.told))
            if not yes and not typer.confirm("Delete this message?", err=True):
                raise CliError("It was not deleted.", "rebalance dlq list")
            _delete(found, url, letter)
        told = DeadLetterDone(message_id=letter.told.message_id, plan_id=letter.told.plan_id, done="discarded")
        answer(told, facts([("Discarded", told.message_id)]), as_json=as_json, out=out)


# --- the queue -------------------------------------------------------------------------------------------


def _url(found: CliContext, queue: Queue) -> str:
    return found.variable(queue.variable, "the address of the dead-letter queue")


@contextmanager
def _letters(found: CliContext, url: str) -> Iterator[list[Letter]]:
    """The queue's messages; those that are still there at the end of the block are given back at once."""
    sqs = found.aws_client("sqs")
    letters: dict[str, Letter] = {}
    try:
        while len(letters) < _MOST:
            told = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=_AT_ONCE,
                VisibilityTimeout=_LOOK_SECONDS,
                AttributeNames=["All"],
            ).get("Messages", [])
            new = [letter for letter in map(_letter, told) if letter.told.message_id not in letters]
            if not new:
                break
            letters |= {letter.told.message_id: letter for letter in new}
        yield list(letters.values())
    finally:
        for letter in letters.values():
            _give_back(sqs, url, letter)


def _give_back(sqs: Any, url: str, letter: Letter) -> None:
    try:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=letter.receipt, VisibilityTimeout=0)
    except sqs.exceptions.ClientError:
        return  # it is deleted, or shows again by itself in a minute


def _letter(message: dict[str, Any]) -> Letter:
    attributes, body = message.get("Attributes", {}), str(message["Body"])
    plan_id, account, problem = _plan_in(body)
    sent = attributes.get("SentTimestamp")
    told = DeadLetter(
        message_id=message["MessageId"],
        plan_id=plan_id,
        problem=problem,
        sent_at=datetime.fromtimestamp(int(sent) / 1000, UTC) if sent is not None else None,
        deliveries=int(attributes.get("ApproximateReceiveCount", 0)),
        body=body,
    )
    return Letter(told, message["ReceiptHandle"], attributes.get("MessageGroupId"), account)


def _plan_in(body: str) -> tuple[str | None, str | None, str | None]:
    """Plan id and account of what is in a message, or why there is none; a pointer to a plan has neither."""
    try:
        request = decode(body)
    except InvalidInput as error:
        return None, None, str(error)
    if not isinstance(request, PlanDocument):
        return None, None, None
    if not isinstance(request.body, dict) or not isinstance(request.body.get("plan_id"), str):
        return None, None, "has no plan_id"
    account = request.body.get("account")
    return request.body["plan_id"], account if isinstance(account, str) else None, None


def _named(letters: list[Letter], begins: str) -> Letter:
    found = [letter for letter in letters if letter.told.message_id.startswith(begins)]
    if len(found) != 1:
        problem = "No message has" if not found else f"{len(found)} messages have"
        raise CliError(f"{problem} an id that begins with {begins}.", "rebalance dlq list")
    return found[0]


def _send(found: CliContext, url: str, letter: Letter, account: str) -> None:
    """In the account's group, so that it waits for its turn; with an id of its own, or SQS would drop a repetition."""
    own: dict[str, str] = {}
    if url.endswith(".fifo"):
        own = {"MessageGroupId": letter.group or account, "MessageDeduplicationId": uuid.uuid4().hex}
    found.aws_client("sqs").send_message(QueueUrl=url, MessageBody=letter.told.body, **own)


def _delete(found: CliContext, url: str, letter: Letter) -> None:
    found.aws_client("sqs").delete_message(QueueUrl=url, ReceiptHandle=letter.receipt)
