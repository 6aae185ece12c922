"""The function in separate processes, which tests may kill or freeze at any moment."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from tests.support.processes import LOOPBACK, clean_environment, free_port, listens, server

ROOT = Path(__file__).parents[2]
_SECONDS = 60
"""Upper bound of the wait for a line."""


class Raised(Exception):
    """An error raised by the handler; ``kind`` is the name of its class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Container:
    """One process with the real handler; warm after its first invocation."""

    pid: int
    lines: IO[str]

    def start(self, event: object, *, seconds: float = 30) -> None:
        """Invoke the handler, with ``seconds`` until its timeout, without waiting for the response."""
        self.lines.write(json.dumps({"event": event, "seconds": seconds}) + "\n")
        self.lines.flush()

    def response(self) -> Any:
        """Return the response of the running invocation.

        Raises:
            Raised: the handler raised.
        """
        text = self.lines.readline()
        assert text, f"process {self.pid} ended before it responded"
        message = json.loads(text)
        if "error" in message:
            raise Raised(message["error"], message["message"])
        return message["response"]

    def invoke(self, event: object, *, seconds: float = 30) -> Any:
        """Return the response to one invocation; raise ``Raised`` if the handler raises."""
        self.start(event, seconds=seconds)
        return self.response()

    def kill(self) -> None:
        """Send SIGKILL and wait until the process is gone."""
        os.kill(self.pid, signal.SIGKILL)
        with suppress(ConnectionError):  # unread data resets the connection
            text = self.lines.readline()
            assert not text, f"process {self.pid} responded before it was killed: {text}"

    def freeze(self) -> None:
        """Send SIGSTOP; the process stops until :meth:`thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Send SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)


class Containers:
    """Containers of a test; all of them end with the block."""

    def __init__(self, port: int, stack: ExitStack) -> None:
        self._port = port
        self._stack = stack

    def start(self, **variables: str) -> Container:
        """Start a process with these variables in addition to the common ones."""
        connection = self._stack.enter_context(socket.create_connection((LOOPBACK, self._port), timeout=_SECONDS))
        lines = cast("IO[str]", connection.makefile("rw", encoding="utf-8"))
        self._stack.callback(_close, lines)
        lines.write(json.dumps(variables) + "\n")
        lines.flush()
        return Container(json.loads(lines.readline())["pid"], lines)


@contextmanager
def containers(folder: Path, **variables: str) -> Iterator[Containers]:
    """Yield a source of containers that end with the block. Their output goes to ``containers.log``."""
    port = free_port()
    command = [sys.executable, "-m", "tests.support.container_process", str(port)]
    environment = clean_environment(
        PYTHONPATH=os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        AWS_LAMBDA_FUNCTION_NAME="rebalance-executor",
        POWERTOOLS_TRACE_DISABLED="true",  # there is no X-Ray daemon here
        **variables,
    )
    log = folder / "containers.log"
    with server(command, environment, log, lambda: listens(port)), ExitStack() as stack:
        yield Containers(port, stack)


def _close(lines: IO[str]) -> None:
    with suppress(OSError):  # data that a dead process did not read
        lines.close()
