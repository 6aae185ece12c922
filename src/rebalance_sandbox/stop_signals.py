"""SIGTERM and SIGHUP with the effect of Ctrl-C: a service manager, a time-out or a closed terminal stops safely."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def as_interrupt() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` at the first SIGTERM or SIGHUP in the block, and ignore the others.

    ``timeout`` and a closed terminal send their signal more than once; only a second Ctrl-C stops at once. A signal
    that the process ignores, as under ``nohup``, stays ignored. For the main thread only.
    """
    before = {number: signal.getsignal(number) for number in _STOP_SIGNALS}

    def interrupt(_number: int, _frame: object) -> None:
        ignore()
        raise KeyboardInterrupt

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore() -> None:
    """Ignore SIGTERM and SIGHUP until the end of the block of ``as_interrupt``."""
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
