"""Error responses, and what each one proves.

Alpaca's own errors are JSON with an integer ``code``. A gateway, a firewall or a proxy answers with other bodies, and
may do so after the request had its effect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rebalance_executor.adapters.alpaca.client import APIError

_MAX_MESSAGE_LENGTH = 500
"""Longer messages are cut: they are journalled with the order, and a journal item has a maximum size."""
_NOT_ABOUT_THE_ORDER = (401, 404, 408)
"""Statuses of a submission that do not come from the check of the order: keys, a missing path, a timeout."""
_INVALID_SYMBOL_STATUSES = (400, 422)


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An error response. ``document`` is a JSON object with a message, or None for any other body."""

    status: int
    document: Mapping[str, Any] | None

    @property
    def message(self) -> str:
        """The message; empty if the body has none."""
        return str(self.document["message"]) if self.document is not None else ""

    @property
    def text(self) -> str:
        """The status and the message."""
        return f"HTTP {self.status}{f': {self.message}' if self.document is not None else ' with a non-JSON body'}"

    @property
    def code(self) -> int | None:
        """Alpaca's integer code; None if the body has none: another system may have answered."""
        code = self.document.get("code") if self.document is not None else None
        return code if isinstance(code, int) and not isinstance(code, bool) else None

    @property
    def rejects_credentials(self) -> bool:
        """True for 401, and for 403 without a code. With a code, 403 is about the request, not about the keys."""
        return self.status == 401 or (self.status == 403 and self.code is None)

    @property
    def is_transient(self) -> bool:
        """True if a read may succeed on a retry: the answer is not about the request itself."""
        return self.status >= 500 or self.status in (404, 408) or self.document is None

    @property
    def is_duplicate_id(self) -> bool:
        """True if the client order ID is already in use. Alpaca sends it with different codes."""
        return self.status == 422 and "client_order_id must be unique" in self.message

    @property
    def rejects_order(self) -> bool:
        """True if only Alpaca's check of the order can have given this answer."""
        is_client_error = 400 <= self.status < 500 and self.status not in _NOT_ABOUT_THE_ORDER
        return is_client_error and self.code is not None

    def says_not_found(self, kind: str) -> bool:
        """Return whether Alpaca says that this ``asset`` or ``order`` does not exist.

        A missing route has the same status and code.
        """
        pattern = rf"\b{kind} not found\b"
        return self.status == 404 and self.code is not None and re.search(pattern, self.message, re.I) is not None

    def says_invalid_symbol(self) -> bool:
        """Return whether Alpaca says that the symbol in the path cannot be one."""
        has_status = self.status in _INVALID_SYMBOL_STATUSES and self.code is not None
        return has_status and re.search(r"\b(asset|symbol)\b", self.message, re.I) is not None


def parse_error(error: APIError, secrets: Sequence[str]) -> ErrorResponse:
    """Parse an error response. alpaca-py's own properties fail on bodies that are empty or HTML.

    Args:
        error: alpaca-py's error.
        secrets: redacted in the message: a proxy or gateway may repeat the request headers in its response.
    """
    status = error.status_code or 0
    try:
        document = json.loads(str(error))
    except (ValueError, RecursionError):
        return ErrorResponse(status, None)
    if not isinstance(document, dict) or not isinstance(message := document.get("message"), str):
        return ErrorResponse(status, None)
    for secret in secrets:
        message = message.replace(secret, "…")
    if len(message) > _MAX_MESSAGE_LENGTH:
        message = message[:_MAX_MESSAGE_LENGTH] + "…"
    return ErrorResponse(status, {"message": message, "code": document.get("code")})
