"""The error of a broken invariant."""

from __future__ import annotations


class Violation(AssertionError):
    """An invariant was broken."""
