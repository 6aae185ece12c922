"""HTTP requests to one Alpaca endpoint: rate limited, bounded by a deadline, with typed errors.

Reads and cancels are retried. Submissions are never retried.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from requests import Response
from requests.exceptions import RequestException
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from rebalance_executor.adapters.alpaca.client import APIError, Timeouts
from rebalance_executor.adapters.alpaca.rate_limiter import RateLimiter
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    CredentialsRejected,
    DuplicateClientOrderId,
    NotFound,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
)
from rebalance_executor.execution.ports import Clock

_MAX_ATTEMPTS = 4
_MIN_SECRET_LENGTH = 8
"""Shorter secrets are not redacted: a local broker's one-letter key occurs in every word. Alpaca's have 20 or more."""
_MIN_TIMEOUT_SECONDS = 0.2
"""The timeout of a request that starts close to the deadline."""


@dataclass(slots=True)
class RequestDeadline:
    """The timeouts of a request and the deadline of the current run."""

    clock: Clock
    connect_seconds: float
    read_seconds: float
    until: datetime
    """Deadline for retries and waits of the current run."""

    def timeouts(self) -> tuple[float, float]:
        """Return the connect and read timeouts of a request sent now, in seconds."""
        left = max((self.until - self.clock.now()).total_seconds(), _MIN_TIMEOUT_SECONDS)
        return min(self.connect_seconds, left), min(self.read_seconds, left)


class Api(Protocol):
    """The methods of alpaca-py's client that this module uses."""

    def get(self, path: str, data: Any = None) -> Any: ...

    def post(self, path: str, data: Any = None) -> Any: ...

    def delete(self, path: str, data: Any = None) -> Any: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _ErrorResponse:
    """An error response. ``document`` is Alpaca's ``{"code", "message", …}``, or None for any other body."""

    status: int
    document: Mapping[str, Any] | None

    @property
    def message(self) -> str:
        return str(self.document["message"]) if self.document is not None else ""

    @property
    def text(self) -> str:
        return f"HTTP {self.status}{f': {self.message}' if self.document is not None else ' with a non-JSON body'}"

    @property
    def code(self) -> int | None:
        code = self.document.get("code") if self.document is not None else None
        return code if isinstance(code, int) else None


class _Transient(Exception):
    """A failed read that may succeed on a retry. Carries the error to raise once the retries are used up."""

    def __init__(self, final: BrokerUnavailable) -> None:
        super().__init__(str(final))
        self.final = final


class AlpacaTransport:
    """Requests to one endpoint of one account.

    Args:
        make: creates alpaca-py's client from timeouts and an observer of responses.
        deadline: shared by the endpoints of an account.
        per_minute: the endpoint's rate limit, in requests per minute.
        on_request: called with method and path of every request, without IDs.
        secrets: redacted in error messages, even if the response contains them.
    """

    def __init__(
        self,
        make: Callable[[Timeouts, Callable[[Response], None]], Api],
        deadline: RequestDeadline,
        per_minute: int,
        on_request: Callable[[str], None],
        secrets: Sequence[str] = (),
    ) -> None:
        self._deadline = deadline
        self._secrets = [secret for secret in secrets if len(secret) >= _MIN_SECRET_LENGTH]
        self._rate_limiter = RateLimiter(per_minute, deadline.clock)
        self._on_request = on_request
        self._api = make(deadline.timeouts, self._observe)
        self._attempts = Retrying(
            retry=retry_if_exception_type(_Transient),
            wait=wait_exponential(multiplier=0.1, exp_base=3, max=3),
            stop=self._retries_are_used_up,
            sleep=lambda seconds: deadline.clock.sleep(timedelta(seconds=seconds)),
            retry_error_callback=_raise_final,
        )
        self.credentials_rejected = False
        """True once the broker has rejected the credentials."""

    def get(self, path: str, params: Mapping[str, str] | None = None, *, template: str | None = None) -> Any:
        """Send a read; return the decoded response.

        Args:
            path: the path after ``/v2``.
            params: the query parameters.
            template: the path without IDs, for counts and messages; ``path`` by default.

        Raises:
            NotFound: 404.
            CredentialsRejected: 401 or 403.
            BrokerUnavailable: no usable response within the retries (``RateLimited`` for 429).
        """
        for attempt in self._attempts:
            with attempt:
                return self._read(lambda: self._api.get(path, params), f"GET {template or path}")
        raise AssertionError("unreachable: the last attempt raises")  # pragma: no cover

    def delete(self, path: str, *, template: str) -> bool:
        """Request a cancel. Return whether it was accepted: 404 and 422 (nothing to cancel) return False.

        Raises:
            CredentialsRejected, BrokerUnavailable: as for ``get``.
        """
        for attempt in self._attempts:
            with attempt:
                return self._cancel(path, f"DELETE {template}")
        raise AssertionError("unreachable: the last attempt raises")  # pragma: no cover

    def wait_for_rate_limit(self, until: datetime) -> None:
        """Wait until a request is within the rate limit.

        Raises:
            RateLimited: that would be after ``until`` or after the run's deadline.
        """
        self._rate_limiter.wait(min(until, self._deadline.until))

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Send a submission exactly once and without a wait, because a wait could invalidate the checks before it.

        Returns:
            The decoded response.

        Raises:
            OrderRejected, DuplicateClientOrderId, RateLimited, CredentialsRejected, OutcomeUnknown: as in the port.
        """
        self._acquire(f"POST {path}", until=self._deadline.clock.now())
        try:
            return self._api.post(path, dict(body))
        except APIError as error:
            raise self._submission_error(_parse_error(error, self._secrets)) from None
        except (RequestException, ValueError) as error:
            raise OutcomeUnknown(f"no definite response to the submission: {type(error).__name__}") from error

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    # --- one request -------------------------------------------------------------------------------------

    def _acquire(self, name: str, until: datetime) -> None:
        self._rate_limiter.acquire(until)
        self._on_request(name.replace(" ", " /v2", 1))

    def _observe(self, response: Response) -> None:
        self._rate_limiter.observe_headers(response.headers, is_rate_limited=response.status_code == 429)

    def _read(self, send: Callable[[], Any], name: str) -> Any:
        self._acquire(name, self._deadline.until)
        try:
            response = send()
        except APIError as error:
            raise self._read_error(_parse_error(error, self._secrets), name) from None
        except (RequestException, ValueError) as error:
            text = f"{name}: no usable response: {type(error).__name__}"
            raise _Transient(BrokerUnavailable(text)) from error
        if response is None and name.startswith("GET "):
            raise _Transient(BrokerUnavailable(f"{name}: the response is empty"))
        return response

    def _cancel(self, path: str, name: str) -> bool:
        try:
            self._read(lambda: self._api.delete(path), name)
        except (NotFound, _NotCancelable):
            return False
        return True

    def _read_error(self, response: _ErrorResponse, name: str) -> Exception:
        text = f"{name}: {response.text}"
        if response.status == 404 and response.document is not None:
            return NotFound(text)
        if response.status in (401, 403):
            return self._reject_credentials(text)
        if response.status == 422 and name.startswith("DELETE "):
            return _NotCancelable(text)
        if response.status == 429:
            return _Transient(RateLimited(text, retry_at=self._rate_limiter.closed_until))
        if response.status >= 500 or response.document is None:
            return _Transient(BrokerUnavailable(text))
        return BrokerUnavailable(
            text, http_status=response.status, broker_code=response.code, broker_message=response.message
        )

    def _submission_error(self, response: _ErrorResponse) -> Exception:
        text = response.text
        if response.status == 429:
            return RateLimited(text, retry_at=self._rate_limiter.closed_until)
        if response.status == 401:
            return self._reject_credentials(text)
        if response.status >= 500 or response.status == 408 or response.document is None:
            return OutcomeUnknown(f"no definite response to the submission: {text}")
        if response.status == 422 and "client_order_id must be unique" in response.message:
            return DuplicateClientOrderId(response.message)
        return OrderRejected(response.message, http_status=response.status, broker_code=response.code)

    def _reject_credentials(self, text: str) -> CredentialsRejected:
        self.credentials_rejected = True
        return CredentialsRejected(f"{text}; check the account's keys and their permissions")

    # --- retries -----------------------------------------------------------------------------------------

    def _retries_are_used_up(self, state: RetryCallState) -> bool:
        next_attempt_at = self._deadline.clock.now() + timedelta(seconds=state.upcoming_sleep)
        return state.attempt_number >= _MAX_ATTEMPTS or next_attempt_at >= self._deadline.until


class _NotCancelable(Exception):
    """HTTP 422 on a cancel: the order can no longer be canceled."""


def _raise_final(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _Transient):
        raise error.final from error


def _parse_error(error: APIError, secrets: Sequence[str]) -> _ErrorResponse:
    """Parse an error response. alpaca-py's own properties fail on bodies that are empty or HTML."""
    status = error.status_code or 0
    try:
        document = json.loads(str(error), parse_float=Decimal)
    except ValueError:
        return _ErrorResponse(status, None)
    if not isinstance(document, dict) or not isinstance(message := document.get("message"), str):
        return _ErrorResponse(status, None)
    for secret in secrets:  # a proxy or gateway may repeat the request headers in its response
        message = message.replace(secret, "…")
    return _ErrorResponse(status, document | {"message": message})
