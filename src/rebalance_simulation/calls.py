"""The hook that every external call of the program passes, so that faults can be injected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol

from rebalance_simulation.faults import Fault

Submission = Mapping[str, Any]
"""Body of an order submission, as it is sent to the broker."""


class CallHook(Protocol):
    """An external call. ``effect`` receives the injected fault when it must produce it itself."""

    def __call__[T](self, name: str, effect: Callable[[Fault | None], T], order: Submission | None = None, /) -> T:
        """Run ``effect``, possibly failing before or after it.

        Args:
            name: names the call, for example ``journal.write`` or ``broker POST /orders``.
            effect: performs the call.
            order: the body, if the call submits an order.
        """
        ...


def call_directly[T](name: str, effect: Callable[[Fault | None], T], order: Submission | None = None, /) -> T:
    """Run ``effect`` without any fault. Implements ``CallHook``."""
    del name, order
    return effect(None)


def with_timeouts[T](effect: Callable[[], T], time_out: Callable[[], NoReturn]) -> Callable[[Fault | None], T]:
    """Return ``effect`` as one that can time out.

    Args:
        effect: performs the call.
        time_out: waits as long as the client does and raises the client's error. Called before the effect for
            ``Fault.NO_ANSWER``, after it for ``Fault.LOST_ANSWER``.
    """

    def run(fault: Fault | None) -> T:
        if fault is Fault.NO_ANSWER:
            time_out()
        answer = effect()
        if fault is Fault.LOST_ANSWER:
            time_out()
        return answer

    return run
