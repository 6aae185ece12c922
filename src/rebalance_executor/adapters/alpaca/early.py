"""Answers to reads that were sent together, each taken by the read that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Key = tuple[str, frozenset[tuple[str, str]]]
"""Path and parameters of a query."""


@dataclass(frozen=True, slots=True)
class Query:
    """A read.

    Args:
        path: the path after ``/v2``.
        params: the query parameters.
        template: the path without IDs, for counts and messages; ``path`` by default.
        kind: ``asset`` or ``order`` if the path names one; None for lists.
    """

    path: str
    params: Mapping[str, str] | None = None
    template: str | None = None
    kind: str | None = None

    @property
    def key(self) -> Key:
        """Path and parameters, by which two equal reads are recognised."""
        return self.path, frozenset((self.params or {}).items())

    @property
    def name(self) -> str:
        """Method and path, without IDs."""
        return f"GET {self.template or self.path}"


Answer = Callable[[], Any]
"""Returns the decoded response of one request, or raises the error that it got instead."""


class Reader(Protocol):
    """Sends reads to one endpoint."""

    def get(self, query: Query) -> Any:
        """Send a read, with retries; return the decoded response."""
        ...

    def get_once(self, query: Query) -> Any:
        """Send a read that no plan depends on, without retries."""
        ...


class RepeatingReader(Reader, Protocol):
    """A reader that takes an early answer instead of its first attempt."""

    def get(self, query: Query, early: Answer | None = None) -> Any:
        """Take the early answer, or send the read; send it again after a passing failure."""
        ...


class EarlyReader:
    """Implementation of ``Reader`` that takes early answers, each of them once, and sends every other read.

    Args:
        reader: sends the other reads, and repeats those whose early answer is a passing failure.
        answers: the answers by the key of their query.
    """

    def __init__(self, reader: RepeatingReader, answers: Mapping[Key, Answer]) -> None:
        self._reader = reader
        self._answers = dict(answers)

    def get(self, query: Query) -> Any:
        """Return the early answer to this read, or send it."""
        return self._reader.get(query, self._answers.pop(query.key, None))

    def get_once(self, query: Query) -> Any:
        """Send the read: none of this kind is asked early."""
        return self._reader.get_once(query)
