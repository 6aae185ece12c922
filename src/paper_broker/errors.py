"""Errors with the HTTP statuses, codes and messages that Alpaca uses.

Clients may rely on the HTTP status and the code. Alpaca may change its messages without notice.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from paper_broker.formats import format_decimal

FORBIDDEN = 40310000
MALFORMED = 40010001
UNPROCESSABLE = 42210000


class BrokerError(Exception):
    """A request that the broker rejects.

    Attributes:
        http_status: HTTP status of the response.
        code: Alpaca's eight-digit code. Codes are coarse: one covers many reasons. None for errors of the historical
            market data, which have a message alone.
        message: human-readable message.
        extras: further fields of the body, such as ``buying_power`` or ``related_orders``.
    """

    def __init__(
        self, http_status: int, code: int | None, message: str, extras: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(http_status, code, message)
        self.http_status = http_status
        self.code = code
        self.message = message
        self.extras = dict(extras or {})

    def __str__(self) -> str:
        return f"{self.http_status} {self.code} {self.message}"

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the response."""
        code = {} if self.code is None else {"code": self.code}
        return {**code, "message": self.message, **self.extras}


def malformed(message: str) -> BrokerError:
    """Return a 422 for a request with a missing or invalid field."""
    return BrokerError(422, MALFORMED, message)


def unprocessable(message: str) -> BrokerError:
    """Return a 422 for a well-formed request that breaks an order rule, such as a sub-penny price."""
    return BrokerError(422, UNPROCESSABLE, message)


def forbidden(message: str, extras: Mapping[str, Any] | None = None) -> BrokerError:
    """Return a 403 for something that this account is not allowed to do."""
    return BrokerError(403, FORBIDDEN, message, extras)


def bad_request(message: str) -> BrokerError:
    """Return a 400 for a body or parameter that cannot be read."""
    return BrokerError(400, 40010000, message)


def not_found(message: str) -> BrokerError:
    """Return a 404 for an unknown order, position or asset."""
    return BrokerError(404, 40410000, message)


def unauthorized() -> BrokerError:
    """Return a 401 for missing or wrong keys."""
    return BrokerError(401, 40110000, "request is not authorized")


def rate_limited() -> BrokerError:
    """Return a 429 for a request above the limit of this minute."""
    return BrokerError(429, 42910000, "rate limit exceeded")


def duplicate_client_order_id(code: int = MALFORMED) -> BrokerError:
    """Return a 422 for a client order ID that was used before, regardless of the outcome of that order.

    Alpaca has been observed to send two different codes.
    """
    return BrokerError(422, code, "client_order_id must be unique")


def scripted_error(spec: Mapping[str, Any]) -> BrokerError:
    """Return the error that a scenario defines: ``status``, ``code``, ``message`` and any further fields of the body.

    Raises:
        ValueError: one of the three is missing.
    """
    if missing := {"status", "code", "message"} - spec.keys():
        raise ValueError(f"The error {dict(spec)} lacks {sorted(missing)}.")
    extras = {name: value for name, value in spec.items() if name not in ("status", "code", "message")}
    return BrokerError(int(spec["status"]), int(spec["code"]), str(spec["message"]), extras)


def insufficient_buying_power(buying_power: Decimal, cost_basis: Decimal) -> BrokerError:
    """Return a 403 for a buy whose cost in dollars exceeds the buying power."""
    extras = {"buying_power": format_decimal(buying_power), "cost_basis": format_decimal(cost_basis)}
    return forbidden("insufficient buying power", extras)


def insufficient_qty(
    symbol: str, requested: Decimal, existing: Decimal, held: Decimal, related_orders: Iterable[str]
) -> BrokerError:
    """Return a 403 for a sale of more shares than the position has free of other orders."""
    available = format_decimal(existing - held)
    return forbidden(
        f"insufficient qty available for order (requested: {format_decimal(requested)}, available: {available})",
        {
            "available": available,
            "existing_qty": format_decimal(existing),
            "held_for_orders": format_decimal(held),
            "symbol": symbol,
            "related_orders": list(related_orders),
        },
    )


def wash_trade(existing_order_id: str, reason: str, http_status: int = 403) -> BrokerError:
    """Return a 403 for an order that could trade with an open order of the same account.

    Alpaca has been observed to send 422 as well.
    """
    extras = {"existing_order_id": existing_order_id, "reject_reason": reason}
    return BrokerError(http_status, FORBIDDEN, "potential wash trade detected. use complex orders", extras)


def already_in_status(status: str) -> BrokerError:
    """Return a 422 for a cancel or replace request that comes too late."""
    return unprocessable(f'order is already in "{status}" state')
