"""The real handler in a process of its own: ``python -m rebalance_executor.cli.invoke EVENT``.

Its stdout is what CloudWatch would get, one JSON line each, and then one more line, ``{"invocation": …}``, with the
answer or the error as Lambda would return it, and the stored results of the plans the event held.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rebalance_executor.cli.documents import read_event
from rebalance_executor.cli.exits import Exit, of_error
from rebalance_executor.domain.errors import RebalanceError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

FUNCTION = "rebalance-executor-local"
SECONDS = 300.0
"""Seconds an invocation has, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class LocalContext:
    """What Lambda tells a function of its invocation, for one that runs here."""

    deadline: float
    """On ``time.monotonic()``."""
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    function_name: str = FUNCTION
    function_version: str = "$LATEST"
    invoked_function_arn: str = f"arn:aws:lambda:us-east-1:000000000000:function:{FUNCTION}"
    memory_limit_in_mb: int = 512
    log_group_name: str = f"/aws/lambda/{FUNCTION}"
    log_stream_name: str = "local"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation would be ended."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


def main(arguments: list[str]) -> int:
    """Invoke the handler with the event file ``arguments[0]``, for at most ``arguments[1]`` seconds."""
    context = LocalContext(deadline=time.monotonic() + (float(arguments[1]) if len(arguments) > 1 else SECONDS))
    event_file = read_event(Path(arguments[0]))
    account_plans = [(plan.account, plan.plan_id) for plan in event_file.plans]
    code, told = _invoke(event_file.event, context)
    if event_file.messages is not None:
        told["results"] = _stored_results(account_plans)
    print(json.dumps({"invocation": told}), flush=True)
    return code


def _invoke(event: object, context: LocalContext) -> tuple[int, dict[str, Any]]:
    from rebalance_executor.handler import lambda_handler  # here: what cannot even be imported is an answer, too

    try:
        answer = lambda_handler(event, cast("LambdaContext", context))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - Lambda turns every error into an answer, so here
        known = {"code": error.code} if isinstance(error, RebalanceError) else {}
        told = {"errorType": type(error).__name__, "errorMessage": str(error) or "interrupted", **known}
        return of_error(error), {"error": told}
    return Exit.COMPLETE, {"answer": answer}


def _stored_results(plans: Iterable[tuple[str | None, str]]) -> list[dict[str, Any]]:
    """The journal's results of these plans: a queue's answer names failed messages only."""
    from rebalance_executor import bootstrap

    service = bootstrap.service()
    found = (service.journal.result(account or service.account, plan_id) for account, plan_id in plans)
    return [result.model_dump(mode="json") for result in found if result is not None]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
