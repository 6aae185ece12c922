"""Files with a plan or an event, read as the handler reads them, so that commands know the plans in advance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.json_text import decode_json
from rebalance_executor.domain.plan import RebalancePlan, unknown_fields
from rebalance_executor.triggers import (
    DailyCheckRequest,
    HealthRequest,
    PlanDocument,
    PlanPointer,
    QueueBatch,
    Request,
    ResumeRequest,
    decode,
    read,
    unwrap,
)
from rebalance_sandbox.errors import SandboxError


@dataclass(frozen=True, slots=True)
class EventMessage:
    """One message of a queue event."""

    message_id: str
    plan: RebalancePlan | None
    problem: str | None
    """Reason why the message contains no valid plan."""
    pointer: PlanPointer | None = None
    """Location of the plan, if the message contains only a pointer."""


@dataclass(frozen=True, slots=True)
class EventFile:
    """An event and the plans in it."""

    path: Path
    event: Any
    plans: tuple[RebalancePlan, ...]
    """Valid plans in the event, each once."""
    pointers: tuple[PlanPointer, ...]
    """Pointers to plans in S3."""
    messages: tuple[EventMessage, ...] | None
    """Messages of a queue event; None for every other event."""
    is_health: bool
    """True for a health request or a daily check, which have no plan."""
    ignored_fields: tuple[str, ...] = ()
    """Fields of an inline plan that its schema does not have, up to 20."""


def read_event(path: Path) -> EventFile:
    """Read the event in a file. An invalid event yields no plans; the handler reports what is wrong with it.

    Raises:
        SandboxError: the file does not exist or is not JSON.
    """
    event = read_json(path)
    try:
        request = read(event)
    except InvalidInput:
        return EventFile(path, event, (), (), None, is_health=False)
    if isinstance(request, QueueBatch):
        return _queue_event(path, event, request)
    pointers = (request,) if isinstance(request, PlanPointer) else ()
    plan = _parse_plan(request)[0]
    is_health = isinstance(request, HealthRequest | DailyCheckRequest | ResumeRequest)
    ignored = unknown_fields(request.body) if isinstance(request, PlanDocument) else ()
    plans = (plan,) if plan is not None else ()
    return EventFile(path, event, plans, pointers, None, is_health=is_health, ignored_fields=ignored)


def read_json(path: Path) -> Any:
    """Return the decoded content of a JSON file, read as the handler reads a document in S3.

    Raises:
        SandboxError: the file cannot be read, or ``decode_json`` does not accept its content.
    """
    try:
        return decode_json(_read_bytes(path))
    except InvalidInput as error:
        problem = f" {error.problem}" if error.field == "$" else f": {error}"
        raise SandboxError(f"The file {path}{problem}.", "Correct the file, then try again.") from None


def read_document(path: Path) -> Request:
    """Return the request in a file with one document, read as the handler reads a document in S3.

    Raises:
        SandboxError: the file cannot be read.
        InvalidInput: the handler would not accept it.
    """
    return decode(_read_bytes(path))


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise SandboxError(f"The file {path} {reason}.", "Check the path. Samples: ls events/*.json") from None


def document_for(pointer: PlanPointer, candidates: Iterable[Path]) -> Path | None:
    """Return the first file with an inline plan; a file with the name of the pointer's key is tried first."""
    name = pointer.key.rpartition("/")[2]
    for path in sorted(candidates, key=lambda path: (path.name != name, path.name)):
        try:
            if plan_in(decode_json(path.read_bytes())) is not None:
                return path
        except (OSError, InvalidInput):
            continue
    return None


def plan_in(document: object) -> RebalancePlan | None:
    """Return the valid plan in a document, in any envelope except a queue event; None if there is none."""
    try:
        return _parse_plan(unwrap(document))[0]
    except InvalidInput:
        return None


def with_documents(event_file: EventFile, documents: Mapping[PlanPointer, RebalancePlan]) -> EventFile:
    """Return the event with the plans that its pointers refer to."""
    plans = {plan.plan_id: plan for plan in (*event_file.plans, *documents.values())}
    messages = event_file.messages
    if messages is not None:
        messages = tuple(
            replace(message, plan=documents.get(message.pointer)) if message.pointer is not None else message
            for message in messages
        )
    return replace(event_file, plans=tuple(plans.values()), messages=messages)


def _queue_event(path: Path, event: object, batch: QueueBatch) -> EventFile:
    messages = []
    plans: dict[str, RebalancePlan] = {}
    pointers = []
    for message in batch.messages:
        try:
            request = message.request()
        except InvalidInput as error:
            messages.append(EventMessage(message.message_id, None, str(error)))
            continue
        pointer = request if isinstance(request, PlanPointer) else None
        if pointer is not None:
            pointers.append(pointer)
        plan, problem = _parse_plan(request)
        messages.append(EventMessage(message.message_id, plan, problem, pointer))
        if plan is not None:
            plans.setdefault(plan.plan_id, plan)
    return EventFile(path, event, tuple(plans.values()), tuple(pointers), tuple(messages), is_health=False)


def _parse_plan(request: Request) -> tuple[RebalancePlan | None, str | None]:
    if not isinstance(request, PlanDocument):
        return None, None
    try:
        return RebalancePlan.parse(request.body), None
    except InvalidInput as error:
        return None, str(error)
