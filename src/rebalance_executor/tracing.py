"""Traces of invocations and of their requests to the broker, with X-Ray through Powertools.

Only this module imports the tracing library. To use another one, replace ``new_tracing`` and the three public members
of ``Tracing``. ``docs/decisions/tracing.md`` says which one will follow, and when.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, cast
from urllib.parse import urlsplit

from aws_lambda_powertools import Tracer


def new_tracing() -> Tracing:
    """Return the tracing of a container: X-Ray, with the requests of boto3 as subsegments of their own."""
    return Tracing(Tracer(patch_modules=("boto3",)))


class Tracing:
    """The tracer of a container.

    Args:
        tracer: Powertools' tracer.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self.request = None if tracer.disabled else self._request
        """Starts the trace of a request to the broker; None if nothing is traced. It gets the method and the URL
        without IDs and query, and returns a function to be called once, with the HTTP status or with the error."""

    def invocation(self) -> AbstractContextManager[object]:
        """Return a context manager that traces the work of an invocation."""
        return cast("AbstractContextManager[object]", self._tracer.provider.in_subsegment("## rebalance"))

    def annotate(self, name: str, value: str) -> None:
        """Add a value by which traces can be searched."""
        self._tracer.put_annotation(name, value)

    def _request(self, method: str, url: str) -> Callable[[int | BaseException], None]:
        """Start a subsegment of what is traced now.

        Subsegments of requests can overlap, so they never become the recorder's current one, to which it would add
        whatever starts next.
        """
        from aws_xray_sdk.core.models.subsegment import Subsegment

        recorder: Any = self._tracer.provider
        parent = recorder.get_trace_entity()
        if parent is None or not parent.sampled:
            return _ignore
        subsegment = Subsegment(urlsplit(url).hostname, "remote", recorder.current_segment())
        parent.add_subsegment(subsegment)
        subsegment.put_http_meta("method", method)
        subsegment.put_http_meta("url", url)

        def finish(outcome: int | BaseException) -> None:
            """End the subsegment with the HTTP status or the error."""
            if isinstance(outcome, int):
                subsegment.put_http_meta("status", outcome)
            else:  # without its message, which can contain a value of the request
                subsegment.add_fault_flag()
                subsegment.put_annotation("error", type(outcome).__name__)
            subsegment.close()
            recorder.stream_subsegments()

        return finish


def _ignore(_outcome: int | BaseException) -> None:
    """End a request that is not traced."""
