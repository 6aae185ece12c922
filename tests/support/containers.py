"""The function in processes of its own, which tests may kill or freeze at any moment."""

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
"""The longest wait for a line: a bound, not what is usual."""


class Raised(Exception):
    """The handler raised; ``kind`` is the name of the error's class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Container:
    """One process with the real handler; warm after its first invocation."""

    pid: int
    lines: IO[str]

    def begin(self, event: object, *, seconds: float = 30) -> None:
        """Invoke the handler, with ``seconds`` until its time-out, and do not wait."""
        self.lines.write(json.dumps({"event": event, "seconds": seconds}) + "\n")
        self.lines.flush()

    def answer(self) -> Any:
        """What the invocation under way returns.

        Raises:
            Raised: what it raises.
        """
        text = self.lines.readline()
        assert text, f"process {self.pid} ended before it answered"
        told = json.loads(text)
        if "error" in told:
            raise Raised(told["error"], told["message"])
        return told["answer"]

    def invoke(self, event: object, *, seconds: float = 30) -> Any:
        """The answer to one invocation; raises ``Raised``."""
        self.begin(event, seconds=seconds)
        return self.answer()

    def kill(self) -> None:
        """SIGKILL, and wait until nothing of it is left."""
        os.kill(self.pid, signal.SIGKILL)
        with suppress(ConnectionError):  # it may have left something unread
            text = self.lines.readline()
            assert not text, f"process {self.pid} answered before it was killed: {text}"

    def freeze(self) -> None:
        """SIGSTOP: it stands still until :meth:`thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)


class Containers:
    """Starts containers, and closes them with the block."""

    def __init__(self, port: int, stack: ExitStack) -> None:
        self._port = port
        self._stack = stack

    def start(self, **variables: str) -> Container:
        """A new process with these variables on top of what all have."""
        connection = self._stack.enter_context(socket.create_connection((LOOPBACK, self._port), timeout=_SECONDS))
        lines = cast("IO[str]", connection.makefile("rw", encoding="utf-8"))
        self._stack.callback(_close, lines)
        lines.write(json.dumps(variables) + "\n")
        lines.flush()
        return Container(json.loads(lines.readline())["pid"], lines)


@contextmanager
def containers(folder: Path, **variables: str) -> Iterator[Containers]:
    """Where containers come from; all of them are ended with the block. Their output goes to ``containers.log``."""
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
    with suppress(OSError):  # what a dead process was to read
        lines.close()
