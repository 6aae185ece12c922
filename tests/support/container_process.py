"""Execution environments as real processes: this server forks one, after the imports, for each connection.

Lambda imports a function's code before the first invocation and may reuse the process. With SnapStart all processes
start from one image, as here. The protocol is one JSON object per line: first the environment variables, answered
with the process ID; then invocations, each answered with the handler's response or error. The handler's output goes
to this server's output.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import uuid
from typing import IO, Any, cast

from rebalance_executor import bootstrap
from rebalance_executor.handler import lambda_handler
from tests.support.lambda_context import FakeContext


def main(port: int) -> None:
    """Fork a process for each connection, until this process is stopped."""
    bootstrap.telemetry()  # its imports are the slowest part of a cold start
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the children
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                with connection, connection.makefile("rw", encoding="utf-8") as lines:
                    _serve(cast("IO[str]", lines))
                os._exit(0)
            connection.close()


def _serve(lines: IO[str]) -> None:
    variables = lines.readline()
    if not variables:
        return  # a readiness check of the server
    os.environ.update(json.loads(variables))
    _send(lines, {"pid": os.getpid()})
    while text := lines.readline():
        invocation = json.loads(text)
        _send(lines, _invoke(invocation["event"], invocation["seconds"]))


def _invoke(event: object, seconds: float) -> dict[str, Any]:
    ends_at = time.monotonic() + seconds
    context = FakeContext(lambda: ends_at - time.monotonic(), aws_request_id=str(uuid.uuid4()))
    try:
        return {"response": lambda_handler(event, cast("Any", context))}
    except Exception as error:  # noqa: BLE001 - as the runtime does, return it to the caller
        return {"error": type(error).__name__, "message": str(error)}


def _send(lines: IO[str], message: dict[str, Any]) -> None:
    lines.write(json.dumps(message) + "\n")
    lines.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
