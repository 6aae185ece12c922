"""One door to Alpaca: paced, bounded by the deadline, reads and cancels repeated, submissions never, errors typed."""

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

_ATTEMPTS = 4
_SHORTEST_SECRET = 8
"""Letters; a local broker's key of one letter would be found in every word. Alpaca's have twenty and more."""
_LEAST_SECONDS = 0.2
"""A request that is begun gets at least this long, however near the deadline."""


@dataclass(slots=True)
class RequestDeadline:
    """How long a request may take, and until when anything may be tried."""

    clock: Clock
    connect_seconds: float
    read_seconds: float
    until: datetime
    """The end of patience of the run under way: nothing is waited for beyond."""

    def timeouts(self) -> tuple[float, float]:
        """Seconds to connect and to read for a request that is sent now."""
        left = max((self.until - self.clock.now()).total_seconds(), _LEAST_SECONDS)
        return min(self.connect_seconds, left), min(self.read_seconds, left)


class Api(Protocol):
    """What is used of alpaca-py's clients."""

    def get(self, path: str, data: Any = None) -> Any: ...

    def post(self, path: str, data: Any = None) -> Any: ...

    def delete(self, path: str, data: Any = None) -> Any: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error answer: Alpaca's ``{"code", "message", …}``, or None where the body is something else."""

    status: int
    told: Mapping[str, Any] | None

    @property
    def message(self) -> str:
        return str(self.told["message"]) if self.told is not None else "an answer that is not Alpaca's"

    @property
    def code(self) -> int | None:
        code = self.told.get("code") if self.told is not None else None
        return code if isinstance(code, int) else None


class _Transient(Exception):
    """A read failed in a way that may pass; carries what to raise when it did not."""

    def __init__(self, final: BrokerUnavailable) -> None:
        super().__init__(str(final))
        self.final = final


class AlpacaTransport:
    """Requests to one endpoint of one account.

    Args:
        make: makes alpaca-py's client from time-outs and an observer of responses.
        limits: shared by the endpoints of an account.
        per_minute: the endpoint's rate limit.
        on_request: told of every request, as method and path without ids.
        secrets: what no error may show, even where the answer does.
    """

    def __init__(
        self,
        make: Callable[[Timeouts, Callable[[Response], None]], Api],
        limits: RequestDeadline,
        per_minute: int,
        on_request: Callable[[str], None],
        secrets: Sequence[str] = (),
    ) -> None:
        self._limits = limits
        self._secrets = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        self._pacer = RateLimiter(per_minute, limits.clock)
        self._on_request = on_request
        self._api = make(limits.timeouts, self._observe)
        self._attempts = Retrying(
            retry=retry_if_exception_type(_Transient),
            wait=wait_exponential(multiplier=0.1, exp_base=3, max=3),
            stop=self._is_over,
            sleep=lambda seconds: limits.clock.sleep(timedelta(seconds=seconds)),
            retry_error_callback=_give_up,
        )
        self.credentials_rejected = False
        """Whether the broker has refused the credentials."""

    def get(self, path: str, params: Mapping[str, str] | None = None, *, template: str | None = None) -> Any:
        """The decoded answer to a read.

        Raises:
            NotFound: 404.
            CredentialsRejected: 401 or 403.
            BrokerUnavailable: no usable answer within the retries (``RateLimited`` for 429).
        """
        for attempt in self._attempts:
            with attempt:
                return self._read(lambda: self._api.get(path, params), f"GET {template or path}")
        raise AssertionError("unreachable: the last attempt raises")  # pragma: no cover

    def delete(self, path: str, *, template: str) -> bool:
        """Ask for a cancel; whether it was taken: 404 and 422 (nothing to cancel) are no errors.

        Raises:
            CredentialsRejected, BrokerUnavailable: as for reads.
        """
        for attempt in self._attempts:
            with attempt:
                return self._cancel(path, f"DELETE {template}")
        raise AssertionError("unreachable: the last attempt raises")  # pragma: no cover

    def wait_for_rate_limit(self, until: datetime) -> None:
        """Wait until a request is within the rate limit; raises ``RateLimited`` where that is after ``until``."""
        self._pacer.wait(min(until, self._limits.until))

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """The decoded answer to a submission, sent exactly once and at once: what was checked before it still holds.

        Raises:
            OrderRejected, DuplicateClientOrderId, RateLimited, CredentialsRejected, OutcomeUnknown: as the port says.
        """
        self._count(f"POST {path}", until=self._limits.clock.now())
        try:
            return self._api.post(path, dict(body))
        except APIError as error:
            raise self._submission_failure(_failure(error, self._secrets)) from None
        except (RequestException, ValueError) as error:
            raise OutcomeUnknown(f"no definite answer to the submission: {type(error).__name__}") from error

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    # --- one request -------------------------------------------------------------------------------------

    def _count(self, name: str, until: datetime) -> None:
        self._pacer.acquire(until)
        method, path = name.split(" ", 1)
        self._on_request(f"{method} /v2{path}")

    def _observe(self, response: Response) -> None:
        self._pacer.observe_headers(response.headers, is_rate_limited=response.status_code == 429)

    def _read(self, ask: Callable[[], Any], name: str) -> Any:
        self._count(name, self._limits.until)
        try:
            answer = ask()
        except APIError as error:
            raise self._read_failure(_failure(error, self._secrets), name) from None
        except (RequestException, ValueError) as error:
            text = f"{name} got no usable answer: {type(error).__name__}"
            raise _Transient(BrokerUnavailable(text)) from error
        if answer is None and name.startswith("GET "):
            raise _Transient(BrokerUnavailable(f"{name} got an empty answer"))
        return answer

    def _cancel(self, path: str, name: str) -> bool:
        try:
            self._read(lambda: self._api.delete(path), name)
        except (NotFound, _NotCancelable):
            return False
        return True

    def _read_failure(self, failure: _Failure, name: str) -> Exception:
        text = f"{name} was answered with {failure.status}: {failure.message}"
        if failure.status == 404 and failure.told is not None:
            return NotFound(text)
        if failure.status in (401, 403):
            self.credentials_rejected = True
            return CredentialsRejected(f"{text}; check the account's keys and what they may do")
        if failure.status == 422 and name.startswith("DELETE "):
            return _NotCancelable(text)
        if failure.status == 429:
            return _Transient(RateLimited(text, retry_at=self._pacer.closed_until))
        if failure.status >= 500 or failure.told is None:
            return _Transient(BrokerUnavailable(text))
        return BrokerUnavailable(text, http_status=failure.status, broker_code=failure.code)

    def _submission_failure(self, failure: _Failure) -> Exception:
        text = f"{failure.status}: {failure.message}"
        if failure.status == 429:
            return RateLimited(text, retry_at=self._pacer.closed_until)
        if failure.status == 401:
            self.credentials_rejected = True
            return CredentialsRejected(f"{text}; check the account's keys and what they may do")
        if failure.status >= 500 or failure.status == 408 or failure.told is None:
            return OutcomeUnknown(f"no definite answer to the submission: {text}")
        if failure.status == 422 and "client_order_id must be unique" in failure.message:
            return DuplicateClientOrderId(failure.message)
        extras = {name: value for name, value in failure.told.items() if name not in ("code", "message")}
        return OrderRejected(failure.message, http_status=failure.status, broker_code=failure.code, extras=extras)

    # --- again -------------------------------------------------------------------------------------------

    def _is_over(self, state: RetryCallState) -> bool:
        next_try = self._limits.clock.now() + timedelta(seconds=state.upcoming_sleep)
        return state.attempt_number >= _ATTEMPTS or next_try >= self._limits.until


class _NotCancelable(Exception):
    """422 on a cancel: the order can no longer be cancelled."""


def _give_up(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _Transient):
        raise error.final from error


def _failure(error: APIError, secrets: Sequence[str]) -> _Failure:
    """What an error answer says. alpaca-py's own properties fail on bodies that are empty or HTML."""
    status = error.status_code or 0
    try:
        told = json.loads(str(error), parse_float=Decimal)
    except ValueError:
        return _Failure(status, None)
    if not isinstance(told, dict) or not isinstance(message := told.get("message"), str):
        return _Failure(status, None)
    for secret in secrets:  # what is in the way may show what it was sent
        message = message.replace(secret, "…")
    return _Failure(status, told | {"message": message})
