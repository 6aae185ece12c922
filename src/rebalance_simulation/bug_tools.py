"""Helpers of the deliberate bugs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Replacement = tuple[Any, str, Callable[[], Any]]
"""Owner, attribute, and a function that makes the attribute's replacement."""


def nothing(*_: Any, **__: Any) -> None:
    """Do nothing, in place of any function."""
    return
