"""The client order IDs of this program."""

from __future__ import annotations

import hashlib

_PREFIX = "rb1-"


def child_order_prefix(account: str | None = None, plan_id: str = "") -> str:
    """Return the prefix of the client order IDs of one plan, or of all orders of this program."""
    if account is None:
        return _PREFIX
    return f"{_PREFIX}{hashlib.sha256(f'{account}\x1f{plan_id}'.encode()).hexdigest()[:20]}-"


def child_order_id(account: str, plan_id: str, symbol: str, attempt: int) -> str:
    """Return the client order ID of one child. It depends only on account, plan, symbol and attempt.

    It uses up to 78 of the 128 characters that Alpaca allows. 80 bits of a digest distinguish plans.
    """
    return f"{child_order_prefix(account, plan_id)}{symbol}-{attempt}"
