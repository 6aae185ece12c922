"""Execution environments as real processes: each connection to this server gets one, forked after the imports.

Lambda imports a function's code before the first invocation and may keep the process for more (with SnapStart it
starts all of them from one image, as here). The protocol is one JSON object a line: first the variables of the
environment, answered with the process's id; then invocations, each answered with what the handler returned or
raised. What the handler prints goes to this server's output.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import uuid
from dataclasses import dataclass, field
from typing import IO, Any, cast

from rebalance_executor import bootstrap
from rebalance_executor.handler import lambda_handler


@dataclass(frozen=True, slots=True)
class Context:
    """Lambda's context: an invocation that ends at ``ends_at`` on this machine's monotonic clock."""

    ends_at: float
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    function_name: str = "rebalance"
    function_version: str = "$LATEST"
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:rebalance"
    memory_limit_in_mb: int = 512
    log_group_name: str = "/aws/lambda/rebalance"
    log_stream_name: str = "local"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation's time-out."""
        return max(0, int((self.ends_at - time.monotonic()) * 1000))


def main(port: int) -> None:
    """Fork a process for each connection, until this one is ended."""
    bootstrap.telemetry()  # with what it imports the slowest part of a cold start
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: the kernel buries the dead
    with socket.create_server(("127.0.0.1", port)) as door:
        while True:
            connection, _ = door.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                door.close()
                with connection, connection.makefile("rw", encoding="utf-8") as lines:
                    _serve(cast("IO[str]", lines))
                os._exit(0)
            connection.close()


def _serve(lines: IO[str]) -> None:
    variables = lines.readline()
    if not variables:
        return  # somebody looked whether the server is up
    os.environ.update(json.loads(variables))
    _say(lines, {"pid": os.getpid()})
    while text := lines.readline():
        invocation = json.loads(text)
        _say(lines, _invoke(invocation["event"], invocation["seconds"]))


def _invoke(event: object, seconds: float) -> dict[str, Any]:
    context = Context(ends_at=time.monotonic() + seconds)
    try:
        return {"answer": lambda_handler(event, cast("Any", context))}
    except Exception as error:  # noqa: BLE001 - as the runtime does: told to whoever invoked
        return {"error": type(error).__name__, "message": str(error)}


def _say(lines: IO[str], what: dict[str, Any]) -> None:
    lines.write(json.dumps(what) + "\n")
    lines.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
