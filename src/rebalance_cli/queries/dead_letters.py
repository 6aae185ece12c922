"""Facts about a dead letter: its plan, the reason why a replay would fail again, and why its deliveries failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rebalance_cli.formatting import counted
from rebalance_cli.queries.plan_checks import validate_plan
from rebalance_executor.adapters.sqs import MAX_DELIVERIES
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.values import Name, format_decimal, format_time, seconds
from rebalance_executor.triggers import PlanDocument, PlanPointer, decode

_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class LetterPlan:
    """The plan in a message, as far as it can be read."""

    plan_id: str | None = None
    account: str | None = None
    problem: str | None = None
    """Reason for which a replay would fail again; None if it may succeed."""
    age_problem: str | None = None
    """Reason for which the plan is too old to start; one that has started is resumed at any age."""


def read_letter(body: str, config: ExecutionConfig, now: datetime) -> LetterPlan:
    """Return the plan in a message; one that is invalid or no plan has a problem."""
    try:
        request = decode(body)
    except InvalidInput as error:
        return LetterPlan(problem=str(error))
    if isinstance(request, PlanPointer):
        return LetterPlan()
    if not isinstance(request, PlanDocument):
        return LetterPlan(problem=f"contains no plan but a {type(request).__name__}, which the function does not queue")
    document = request.body if isinstance(request.body, dict) else {}
    plan_id, account = _name(document.get("plan_id")), _name(document.get("account"))
    problem = _plan_problem(request.body, config, now)
    age_problem = _age_problem(request.body, config, now) if problem is None else None
    return LetterPlan(plan_id, account, problem, age_problem)


def _name(value: object) -> str | None:
    try:
        return _NAME.validate_python(value)
    except ValidationError:
        return None


def _plan_problem(document: object, config: ExecutionConfig, now: datetime) -> str | None:
    checked = validate_plan(document, config, now)
    if checked.problems:
        first = checked.problems[0]
        more = f", and {counted(len(checked.problems) - 1, 'problem')} more" if len(checked.problems) > 1 else ""
        return f"invalid plan: {first.path}: {first.text}{more}"
    return None


def _age_problem(document: object, config: ExecutionConfig, now: datetime) -> str | None:
    plan = RebalancePlan.parse(document)
    if now - plan.timestamp > seconds(config.max_plan_age_minutes * 60):
        limit = f"max_plan_age_minutes is {format_decimal(config.max_plan_age_minutes)}"
        return f"too old: the plan is of {format_time(plan.timestamp)}, and {limit}"
    if plan.valid_until is not None and plan.valid_until < now:
        return f"too old: the plan was valid until {format_time(plan.valid_until)}"
    return None


def delivery_error(attributes: Mapping[str, Any], body: str) -> str | None:
    """Return the error that AWS recorded with a message: of EventBridge, of its scheduler or of Lambda; None without.

    Args:
        attributes: message attributes, as SQS returns them.
        body: the message; one of Lambda's failure destination contains the error.
    """
    named = [
        _attribute(attributes, names) for names in (("ERROR_CODE", "ErrorCode"), ("ERROR_MESSAGE", "ErrorMessage"))
    ]
    if any(named):
        return ": ".join(text for text in named if text)
    response = _record(body).get("responsePayload")
    if not isinstance(response, dict) or "errorMessage" not in response:
        return None
    return ": ".join(str(response[name]) for name in ("errorType", "errorMessage") if response.get(name))


def attempts(attributes: Mapping[str, Any], body: str, received: int, *, from_plan_queue: bool) -> int | None:
    """Return how often the function was called with a message; None if AWS does not say.

    SQS counts each time that a command looks at a message, too. Those are left out: the plan queue gives a message up
    after a fixed number of deliveries, and the others record their own number.

    Args:
        attributes: message attributes, as SQS returns them.
        body: the message.
        received: SQS's count.
        from_plan_queue: True for the dead letters of the plan queue.
    """
    if from_plan_queue:
        return min(received, MAX_DELIVERIES)
    retries = _attribute(attributes, ("RETRY_ATTEMPTS",))
    if retries is not None and retries.isdecimal():
        return int(retries) + 1
    context = _record(body).get("requestContext")
    count = context.get("approximateInvokeCount") if isinstance(context, dict) else None
    return count if isinstance(count, int) else None


def _attribute(attributes: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((str(attributes[name].get("StringValue")) for name in names if name in attributes), None)


def _record(body: str) -> dict[str, Any]:
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
