"""The process that ``invocation.invoke`` starts: the real handler on one event.

``python -m rebalance_sandbox.handler_process SECONDS PLANS`` reads the event from stdin and prints the log lines that
CloudWatch would receive, one JSON object per line, and at the end one line ``{"invocation": …}`` with the fields of
``InvocationResult``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from rebalance_executor.domain.errors import RebalanceError
from rebalance_executor.domain.json_text import decode_json

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rebalance_executor.service import Service

_FUNCTION = "rebalance-executor-local"


class Interrupted(Exception):
    """The second Ctrl-C. It ends the invocation, which releases its idempotency claim and its lease at once.

    It is deliberately not a ``RebalanceError``. After one of those, the program journals the orders that it knows it
    did not send; an interrupt can hit between sending an order and journalling it.
    """


@dataclass(frozen=True, slots=True)
class LocalContext:
    """The context object that Lambda passes to a function."""

    deadline: float
    """Reading of ``time.monotonic()`` at the timeout."""
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    function_name: str = _FUNCTION
    function_version: str = "$LATEST"
    invoked_function_arn: str = f"arn:aws:lambda:us-east-1:000000000000:function:{_FUNCTION}"
    memory_limit_in_mb: int = 512
    log_group_name: str = f"/aws/lambda/{_FUNCTION}"
    log_stream_name: str = "local"

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the timeout."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


def main(arguments: list[str]) -> None:
    """Invoke the handler with the event on stdin; print the payload, with the stored results of ``PLANS``."""
    seconds, plans = arguments
    stop = _StopRequest()
    signal.signal(signal.SIGINT, stop.on_signal)
    context = LocalContext(deadline=time.monotonic() + float(seconds))
    payload = _invoke(decode_json(sys.stdin.buffer.read()), context, stop)
    if "response" in payload:
        payload["results"] = _stored_results(json.loads(plans))
    print(json.dumps({"invocation": payload}), flush=True)


@dataclass(slots=True)
class _StopRequest:
    """Ctrl-C: the first requests a safe stop, the second ends the invocation at once.

    The end of the command requests a safe stop as well: a process without a watcher must not continue to trade.
    """

    is_set: bool = False
    command: int = field(default_factory=os.getppid)
    """Process ID of the command, while it lives."""

    def is_requested(self) -> bool:
        """Return whether the run has to stop safely."""
        return self.is_set or os.getppid() != self.command

    def on_signal(self, number: int, _frame: object) -> None:
        """Handle SIGINT."""
        if self.is_set:
            signal.signal(number, signal.SIG_IGN)  # a third one must not interrupt the release of the lease
            raise Interrupted("interrupted")
        self.is_set = True


def _invoke(event: object, context: LocalContext, stop: _StopRequest) -> dict[str, Any]:
    from rebalance_executor import bootstrap  # imported late: takes a second, in which Ctrl-C must count
    from rebalance_executor.handler import handle
    from rebalance_executor.settings import load_settings

    telemetry = bootstrap.telemetry()

    def service() -> Service:
        return bootstrap.build(load_settings(), telemetry, stop_requested=stop.is_requested)

    try:
        return {"response": handle(event, cast("LambdaContext", context), telemetry, service)}
    except Exception as error:  # noqa: BLE001 - Lambda returns every error to its caller
        code = {"code": error.code} if isinstance(error, RebalanceError) else {}
        return {
            "error": {"errorType": type(error).__name__, "errorMessage": str(error), **code},
            "error_types": [kind.__name__ for kind in type(error).__mro__],
        }


def _stored_results(plans: Sequence[tuple[str | None, str]]) -> list[dict[str, Any]]:
    """Return the journalled results of these plans."""
    if not plans:
        return []
    from rebalance_executor import bootstrap

    service = bootstrap.service()
    results = (service.journal.result(account or service.account, plan_id) for account, plan_id in plans)
    return [result.model_dump(mode="json") for result in results if result is not None]


if __name__ == "__main__":
    main(sys.argv[1:])
