"""Answers to reads that were sent together, each taken by the read that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Key = tuple[str, frozenset[tuple[str, str]]]
"""Path and parameters of a query."""


@dataclass(frozen=True, slots=True)
class Query:
    """A read: its path after ``/v2``, and its query parameters."""

    path: str
    params: Mapping[str, str] | None = None

    @property
    def key(self) -> Key:
        """What two equal reads have in common."""
        return self.path, frozenset((self.params or {}).items())


Answer = Callable[[], Any]
"""Returns the decoded response of one request, or raises the error that it got instead."""


class Reader(Protocol):
    """Sends reads to one endpoint."""

    def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        template: str | None = None,
        kind: str | None = None,
    ) -> Any:
        """Send a read, with retries; return the decoded response."""
        ...

    def get_once(self, path: str, params: Mapping[str, str]) -> Any:
        """Send a read that no plan depends on, without retries."""
        ...


class Retrying(Protocol):
    """The part of the transport that early answers need."""

    def get_once(self, path: str, params: Mapping[str, str]) -> Any:
        """Send a read that no plan depends on, without retries."""
        ...

    def get_after(
        self, early: Answer | None, query: Query, *, template: str | None = None, kind: str | None = None
    ) -> Any:
        """Take ``early`` as the answer to the first attempt; send the read if it is None, or failed for a while."""
        ...


class EarlyReader:
    """Implementation of ``Reader`` that takes early answers, each of them once, and sends every other read.

    Args:
        transport: sends the other reads, and repeats those whose early answer is a passing failure.
        answers: the answers by the key of their query.
    """

    def __init__(self, transport: Retrying, answers: Mapping[Key, Answer]) -> None:
        self._transport = transport
        self._answers = dict(answers)

    def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        template: str | None = None,
        kind: str | None = None,
    ) -> Any:
        """Return the early answer to this read, or send it."""
        query = Query(path, params)
        return self._transport.get_after(self._answers.pop(query.key, None), query, template=template, kind=kind)

    def get_once(self, path: str, params: Mapping[str, str]) -> Any:
        """Send the read: none of this kind is asked early."""
        return self._transport.get_once(path, params)
