"""Refusals, worded and coded as Alpaca words and codes them.

The HTTP status and the code are what clients may rely on; the sentences may change on Alpaca's side without notice.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from paper_broker.formats import plain

FORBIDDEN = 40310000
MALFORMED = 40010001
UNPROCESSABLE = 42210000


class BrokerError(Exception):
    """A request the broker refuses.

    Attributes:
        http_status: the status of the answer.
        code: Alpaca's eight-digit code; codes are coarse, one covers many reasons.
        message: a sentence for people.
        extras: further fields of the body, such as ``buying_power`` or ``related_orders``.
    """

    def __init__(self, http_status: int, code: int, message: str, extras: Mapping[str, Any] | None = None) -> None:
        super().__init__(http_status, code, message)
        self.http_status = http_status
        self.code = code
        self.message = message
        self.extras = dict(extras or {})

    def __str__(self) -> str:
        return f"{self.http_status} {self.code} {self.message}"

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return {"code": self.code, "message": self.message, **self.extras}


def malformed(message: str) -> BrokerError:
    """422 for a request that lacks a field or holds an unreadable one."""
    return BrokerError(422, MALFORMED, message)


def unprocessable(message: str) -> BrokerError:
    """422 for a readable request that breaks a rule of orders, such as a sub-penny price."""
    return BrokerError(422, UNPROCESSABLE, message)


def forbidden(message: str, extras: Mapping[str, Any] | None = None) -> BrokerError:
    """403 for what this account must not do."""
    return BrokerError(403, FORBIDDEN, message, extras)


def bad_request(message: str) -> BrokerError:
    """400 for a body that is no JSON object."""
    return BrokerError(400, 40010000, message)


def not_found(message: str) -> BrokerError:
    """404 for an unknown order, position or asset."""
    return BrokerError(404, 40410000, message)


def unauthorized() -> BrokerError:
    """401 for missing or unaccepted keys."""
    return BrokerError(401, 40110000, "request is not authorized")


def rate_limited() -> BrokerError:
    """429 for a request beyond this minute's budget."""
    return BrokerError(429, 42910000, "rate limit exceeded")


def duplicate_client_order_id(code: int = MALFORMED) -> BrokerError:
    """422 for a client order id that was used before, whatever became of that order; two codes have been seen."""
    return BrokerError(422, code, "client_order_id must be unique")


def scripted(spec: Mapping[str, Any]) -> BrokerError:
    """The refusal that a scenario words itself: ``status``, ``code``, ``message``, and any further fields of the body.

    Raises:
        ValueError: if one of the three is missing.
    """
    if missing := {"status", "code", "message"} - spec.keys():
        raise ValueError(f"An error is {dict(spec)}: write {sorted(missing)} as well.")
    extras = {name: value for name, value in spec.items() if name not in ("status", "code", "message")}
    return BrokerError(int(spec["status"]), int(spec["code"]), str(spec["message"]), extras)


def insufficient_buying_power(buying_power: Decimal, cost_basis: Decimal) -> BrokerError:
    """403 for a buy that costs more dollars than there are."""
    extras = {"buying_power": plain(buying_power), "cost_basis": plain(cost_basis)}
    return forbidden("insufficient buying power", extras)


def insufficient_qty(
    symbol: str, requested: Decimal, existing: Decimal, held: Decimal, related_orders: Iterable[str]
) -> BrokerError:
    """403 for a sale of more shares than are held and not promised to other orders."""
    available = plain(existing - held)
    return forbidden(
        f"insufficient qty available for order (requested: {plain(requested)}, available: {available})",
        {
            "available": available,
            "existing_qty": plain(existing),
            "held_for_orders": plain(held),
            "symbol": symbol,
            "related_orders": list(related_orders),
        },
    )


def wash_trade(existing_order_id: str, reason: str, http_status: int = 403) -> BrokerError:
    """403 for an order that could trade with an open one of the same account; it has been seen with 422 as well."""
    extras = {"existing_order_id": existing_order_id, "reject_reason": reason}
    return BrokerError(http_status, FORBIDDEN, "potential wash trade detected. use complex orders", extras)


def already(status: str) -> BrokerError:
    """422 for a cancel or replace that comes too late."""
    return unprocessable(f'order is already in "{status}" state')
