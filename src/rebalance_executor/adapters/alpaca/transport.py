"""HTTP requests to one Alpaca endpoint: rate limited, bounded by a deadline, with typed errors.

Reads and cancels are retried. Submissions are never retried, and neither are reads that no plan depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from rebalance_executor.adapters.alpaca.client import APIError, Response, Timeouts
from rebalance_executor.adapters.alpaca.early import Answer, EarlyReader, Query
from rebalance_executor.adapters.alpaca.error_response import ErrorResponse, parse_error
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
_NO_USABLE_RESPONSE = (OSError, ValueError, ArithmeticError, RecursionError)
"""No response, or one that is not JSON: cut, nested too deeply, or with a number that has too many digits."""
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

    def ask(self, requests: Sequence[tuple[str, str, Any]]) -> Callable[[], list[Any | Exception]]: ...

    def close(self) -> None: ...


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

    def get(self, query: Query, early: Answer | None = None) -> Any:
        """Send a read; return the decoded response.

        Args:
            query: the read.
            early: its answer, if it was sent already. The read is sent again only if that is a passing failure.

        Raises:
            NotFound: Alpaca says that the named object does not exist. Any other 404 is an outage.
            CredentialsRejected: 401, or 403 without Alpaca's code.
            BrokerUnavailable: no usable response within the retries (``RateLimited`` for 429).
        """
        for attempt in self._attempts:
            with attempt:
                answer, early = early, None
                if answer is not None:
                    return self._outcome(answer, query.name, query.kind)
                return self._read(lambda: self._api.get(query.path, query.params), query.name, query.kind)
        raise AssertionError("unreachable: the last attempt raises")  # pragma: no cover

    def wait_to_ask(self, requests: int) -> None:
        """Wait until the rate limit allows so many reads at once.

        Raises:
            RateLimited: that would be after the run's deadline.
        """
        self._rate_limiter.wait_for_all(self._deadline.until, requests)

    def ask(self, queries: Sequence[Query]) -> Callable[[], EarlyReader]:
        """Send these reads, for which ``wait_to_ask`` has waited; return what waits for their answers."""
        for query in queries:
            self._note(query.name)
        read = self._api.ask([("GET", query.path, query.params) for query in queries])

        def answers() -> EarlyReader:
            early = [_early(answer) for answer in read()]
            self._rate_limiter.count(len(queries))  # they count from their answers: none was sent later
            return EarlyReader(self, dict(zip((query.key for query in queries), early, strict=True)))

        return answers

    def get_once(self, query: Query) -> Any:
        """Send a read that no plan depends on: one attempt, without a wait for the rate limit.

        Raises:
            BrokerUnavailable: no usable response, whatever the reason. A 403 can mean that the subscription does not
                include the data: it is not held against the credentials.
        """
        name = query.name
        self._acquire(name, until=self._deadline.clock.now())
        try:
            return self._api.get(query.path, query.params)
        except APIError as error:
            response = parse_error(error, self._secrets)
            text = f"{name}: {response.text}"
            raise BrokerUnavailable(text, http_status=response.status, broker_message=response.message) from None
        except _NO_USABLE_RESPONSE as error:
            raise BrokerUnavailable(f"{name}: no usable response: {type(error).__name__}") from error

    def delete(self, path: str, *, template: str) -> bool:
        """Request a cancel. Return whether it was accepted: False if Alpaca says that there is nothing to cancel.

        Raises:
            CredentialsRejected, BrokerUnavailable: as for ``get``.
        """
        for attempt in self._attempts:
            with attempt:
                return self._cancel(path, f"DELETE {template}")
        raise AssertionError("unreachable: the last attempt raises")  # pragma: no cover

    def wait_for_rate_limit(self, until: datetime, requests: int) -> int:
        """Wait until some of these requests are within the rate limit; return how many are now.

        Raises:
            RateLimited: that would be after ``until`` or after the run's deadline.
        """
        return self._rate_limiter.wait(min(until, self._deadline.until), requests)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Send a submission exactly once and without a wait, because a wait could invalidate the checks before it.

        Returns:
            The decoded response.

        Raises:
            OrderRejected, DuplicateClientOrderId, RateLimited, CredentialsRejected, OutcomeUnknown: as in the port.
        """
        self._acquire(f"POST {path}", until=self._deadline.clock.now())
        return self._submitted(lambda: self._api.post(path, dict(body)))

    def post_together(self, path: str, bodies: Sequence[Mapping[str, object]]) -> list[Answer]:
        """Send submissions as ``post`` does, all before the first answer is read; return what ``post`` returns of each.

        Raises:
            RateLimited: the rate limit does not allow all of them now; nothing was sent.
        """
        self._rate_limiter.wait_for_all(self._deadline.clock.now(), len(bodies))
        for _ in bodies:
            self._note(f"POST {path}")
        answers = self._api.ask([("POST", path, dict(body)) for body in bodies])()
        self._rate_limiter.count(len(bodies))
        return [partial(self._submitted, _early(answer)) for answer in answers]

    def _submitted(self, answer: Answer) -> Any:
        try:
            return answer()
        except APIError as error:
            raise self._submission_error(parse_error(error, self._secrets)) from None
        except _NO_USABLE_RESPONSE as error:
            raise OutcomeUnknown(f"no definite response to the submission: {type(error).__name__}") from error

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    # --- one request -------------------------------------------------------------------------------------

    def _acquire(self, name: str, until: datetime) -> None:
        self._rate_limiter.acquire(until)
        self._note(name)

    def _note(self, name: str) -> None:
        self._on_request(name.replace(" ", " /v2", 1))

    def _observe(self, response: Response) -> None:
        self._rate_limiter.observe_headers(response.headers, is_rate_limited=response.status_code == 429)

    def _read(self, send: Callable[[], Any], name: str, kind: str | None) -> Any:
        self._acquire(name, self._deadline.until)
        return self._outcome(send, name, kind)

    def _outcome(self, answer: Answer, name: str, kind: str | None) -> Any:
        try:
            response = answer()
        except APIError as error:
            raise self._read_error(parse_error(error, self._secrets), name, kind) from None
        except _NO_USABLE_RESPONSE as error:
            text = f"{name}: no usable response: {type(error).__name__}"
            raise _Transient(BrokerUnavailable(text)) from error
        if response is None and name.startswith("GET "):
            raise _Transient(BrokerUnavailable(f"{name}: the response is empty"))
        return response

    def _cancel(self, path: str, name: str) -> bool:
        try:
            self._read(lambda: self._api.delete(path), name, "order")
        except (NotFound, _NotCancelable):
            return False
        return True

    def _read_error(self, response: ErrorResponse, name: str, kind: str | None) -> Exception:
        text = f"{name}: {response.text}"
        if kind is not None and response.says_not_found(kind):
            return NotFound(text)
        if kind == "asset" and response.says_invalid_symbol():
            return NotFound(text)
        if response.rejects_credentials:
            return self._reject_credentials(text)
        if response.status == 422 and response.code is not None and name.startswith("DELETE "):
            return _NotCancelable(text)
        if response.status == 429:
            return _Transient(RateLimited(text, retry_at=self._rate_limiter.closed_until))
        if response.is_transient:
            return _Transient(BrokerUnavailable(text))
        return BrokerUnavailable(
            text, http_status=response.status, broker_code=response.code, broker_message=response.message
        )

    def _submission_error(self, response: ErrorResponse) -> Exception:
        """Return the error for a submission. Without Alpaca's code a gateway may have answered after the effect."""
        if response.rejects_credentials:
            return self._reject_credentials(response.text)
        if response.is_duplicate_id:
            return DuplicateClientOrderId(response.message)
        if not response.rejects_order:
            return OutcomeUnknown(f"no definite response to the submission: {response.text}")
        if response.status == 429:
            return RateLimited(response.text, retry_at=self._rate_limiter.closed_until)
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


def _early(answer: Any | Exception) -> Answer:
    def take() -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return take


def _raise_final(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _Transient):
        raise error.final from error
