"""Event files: what they hold, read with the handler's own eyes, so that a local run can prepare for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rebalance_cli.exit_codes import CliError
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.triggers import (
    DailyCheckRequest,
    HealthRequest,
    PlanDocument,
    PlanPointer,
    QueueBatch,
    Request,
    decode,
    read,
    unwrap,
)


@dataclass(frozen=True, slots=True)
class EventMessage:
    """One queue message, as far as it can be read."""

    message_id: str
    plan: RebalancePlan | None
    problem: str | None
    """Why it holds no plan, in the program's own words."""
    pointer: PlanPointer | None = None
    """Where its plan lies, if it does not hold it."""


@dataclass(frozen=True, slots=True)
class EventFile:
    """An event and what is known of it before it is sent."""

    path: Path
    event: Any
    plans: tuple[RebalancePlan, ...]
    """Valid plans it holds, or points to; each once."""
    pointers: tuple[PlanPointer, ...]
    messages: tuple[EventMessage, ...] | None
    """The messages of a queue's event; None for every other way in."""
    is_health: bool


def read_event(path: Path) -> EventFile:
    """The event in a file. What the handler will refuse is left for the handler to refuse.

    Raises:
        CliError: no such file, or not JSON.
    """
    event = read_json(path)
    try:
        request = read(event)
    except InvalidInput:
        return EventFile(path, event, (), (), None, is_health=False)
    if isinstance(request, QueueBatch):
        return _queue(path, event, request)
    pointers = (request,) if isinstance(request, PlanPointer) else ()
    plan = _plan(request)[0]
    is_health = isinstance(request, HealthRequest | DailyCheckRequest)
    return EventFile(path, event, (plan,) if plan else (), pointers, None, is_health=is_health)


def read_json(path: Path) -> Any:
    """The decoded content of a JSON file.

    Raises:
        CliError: it cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise CliError(f"The event file {path} {reason}.", "Name one that does; samples are in events/.") from None
    except ValueError as error:
        raise CliError(f"The event file {path} is not JSON: {error}.", "Mend the file, then run it again.") from None


def document_for(pointer: PlanPointer, candidates: Iterable[Path]) -> Path | None:
    """The first file that holds an inline plan; one with the name of the pointer's key comes first."""
    name = pointer.key.rpartition("/")[2]
    for path in sorted(candidates, key=lambda path: (path.name != name, path.name)):
        try:
            if plan_in(json.loads(path.read_text(encoding="utf-8"))) is not None:
                return path
        except (OSError, ValueError):
            continue
    return None


def plan_in(document: object) -> RebalancePlan | None:
    """The valid plan that a document holds in any envelope but a queue's, if it holds one."""
    try:
        return _plan(unwrap(document))[0]
    except InvalidInput:
        return None


def with_documents(event_file: EventFile, documents: Mapping[PlanPointer, RebalancePlan]) -> EventFile:
    """The event with the plans that its pointers point to."""
    plans = {plan.plan_id: plan for plan in (*event_file.plans, *documents.values())}
    messages = event_file.messages
    if messages is not None:
        messages = tuple(
            replace(message, plan=documents.get(message.pointer)) if message.pointer is not None else message
            for message in messages
        )
    return replace(event_file, plans=tuple(plans.values()), messages=messages)


def _queue(path: Path, event: object, batch: QueueBatch) -> EventFile:
    messages = []
    plans: dict[str, RebalancePlan] = {}
    pointers = []
    for message in batch.messages:
        try:
            request = decode(message.body)
        except InvalidInput as error:
            messages.append(EventMessage(message.message_id, None, str(error)))
            continue
        pointer = request if isinstance(request, PlanPointer) else None
        if pointer is not None:
            pointers.append(pointer)
        plan, problem = _plan(request)
        messages.append(EventMessage(message.message_id, plan, problem, pointer))
        if plan is not None:
            plans.setdefault(plan.plan_id, plan)
    return EventFile(path, event, tuple(plans.values()), tuple(pointers), tuple(messages), is_health=False)


def _plan(request: Request) -> tuple[RebalancePlan | None, str | None]:
    if not isinstance(request, PlanDocument):
        return None, None
    try:
        return RebalancePlan.parse(request.body), None
    except InvalidInput as error:
        return None, str(error)
