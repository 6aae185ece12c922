"""Output streams whose reader may go away: a closed pipe (``| head``), or a terminal that was closed."""

from __future__ import annotations

import errno
import os
import re
import sys
import threading
from typing import IO, Any

_TRAILING_BLANKS = re.compile(r" +(?=\n)")
_CLOSED = (errno.EPIPE, errno.EIO)
"""Errors of a write without a reader: to a pipe, and to a terminal that hung up."""


class OutputClosed(BrokenPipeError):
    """The reader has closed the output."""


class Output:
    """Stdout or stderr, with ``is_closed`` after a write that had no reader.

    That write raises; later writes are discarded, so that the code that handles the error can print. A write of
    another thread does not raise: an animation must not end with a traceback.

    Args:
        name: ``stdout`` or ``stderr``; looked up at each write, because tests replace the streams.

    Raises:
        OutputClosed: from ``write`` and ``flush`` of the main thread, once.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.is_closed = False

    @property
    def _stream(self) -> IO[str]:
        stream: IO[str] = getattr(sys, self._name)
        return stream

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the stream: its encoding, or whether it is a terminal."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, without the blanks with which tables fill their lines."""
        text = _TRAILING_BLANKS.sub("", text)
        try:
            return len(text) if self.is_closed else self._stream.write(text)
        except OSError as error:
            self._handle(error)
            return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        try:
            if not self.is_closed:
                self._stream.flush()
        except OSError as error:
            self._handle(error)

    def _handle(self, error: OSError) -> None:
        if error.errno not in _CLOSED:
            raise error
        self.is_closed = True
        discard(self._stream)
        if threading.current_thread() is threading.main_thread():
            raise OutputClosed(errno.EPIPE, "the output was closed") from None


def is_closed(stream: object) -> bool:
    """Return whether the reader has closed this output."""
    return isinstance(stream, Output) and stream.is_closed


def write_line(text: str) -> None:
    """Write a line to stdout.

    Raises:
        OutputClosed: the reader has closed stdout.
    """
    output = Output("stdout")
    output.write(text + "\n")
    output.flush()


def discard(stream: IO[str]) -> None:
    """Send everything that is still written to the stream, also when the process exits, to the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, stream.fileno())
    finally:
        os.close(null)


def discard_all() -> None:
    """Send everything that is still written to stdout and stderr to the null device."""
    for stream in (sys.stdout, sys.stderr):
        discard(stream)
