"""The client order IDs of this program. The broker keeps them, so they show which deployment sent an order."""

from __future__ import annotations

import hashlib
import re

LOCAL_DEPLOYMENT = "local"
"""Deployment whose environment has no name for it."""

PREFIX = "rb1-"
"""Start of the client order IDs of this program, in every deployment."""
_ID = re.compile(r"rb1-[0-9a-f]{8}-[0-9a-f]{20}-")


def deployment_prefix(deployment: str) -> str:
    """Return the prefix of the client order IDs of one deployment."""
    return f"{PREFIX}{_digest(deployment, 8)}-"


def child_order_prefix(account: str, plan_id: str, deployment: str = LOCAL_DEPLOYMENT) -> str:
    """Return the prefix of the client order IDs of one plan."""
    return f"{deployment_prefix(deployment)}{_digest(f'{account}\x1f{plan_id}', 20)}-"


def child_order_id(account: str, plan_id: str, symbol: str, attempt: int, deployment: str = LOCAL_DEPLOYMENT) -> str:
    """Return the client order ID of one child. It depends only on deployment, account, plan, symbol and attempt.

    It uses up to 87 of the 128 characters that Alpaca allows. 80 bits of a digest distinguish plans.
    """
    return f"{child_order_prefix(account, plan_id, deployment)}{symbol}-{attempt}"


def is_of_another_deployment(client_order_id: str, deployment: str) -> bool:
    """Return whether this program sent the order in another deployment. Orders of other clients are of none."""
    return _ID.match(client_order_id) is not None and not client_order_id.startswith(deployment_prefix(deployment))


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
