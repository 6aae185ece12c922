"""Typed errors, in three families by what the caller does next.

* ``InvalidInput`` and ``ConfigurationError``: do not retry; fix the input or the setting first.
* ``Redeliver``: deliver the plan again; the invocation raises it, so that the event source does that.
* ``BrokerError``: answers of the broker; the executor handles them.

Every error carries fields for the log in ``context``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

_AUCTION_REPORT = timedelta(seconds=60)
"""Time after an auction at which a run reads what it filled; Alpaca has let orders expire 30 seconds after the close.
"""


class RebalanceError(Exception):
    """Base of every error that this program raises on purpose.

    Args:
        message: one sentence with the problem and the next step.
        context: fields for the log; never a secret.
    """

    code = "ERROR"

    def __init__(self, message: str, **context: object) -> None:
        super().__init__(message)
        self.context = context


# --- fix the cause first; another delivery does not help -------------------------------------------------


class InvalidInput(RebalanceError):
    """The input is invalid; nothing was sent or stored. Fix the named field and send the plan again.

    Args:
        field: path of the invalid field (``items.3.trade_amount``), or ``$`` for the whole document.
        problem: what is wrong with its value, and the next step.

    Attributes:
        problems: every invalid field with its problem.
    """

    code = "INVALID_INPUT"

    def __init__(self, field: str, problem: str, **context: object) -> None:
        super().__init__(f"{field}: {problem}", field=field, **context)
        self.field = field
        self.problem = problem
        self.problems: tuple[tuple[str, str], ...] = ((field, problem),)


class PlanExpired(InvalidInput):
    """The plan is too old, past its ``valid_until`` or dated in the future, and does not start. Create a new plan."""

    code = "PLAN_EXPIRED"


class PlanChanged(InvalidInput):
    """The plan ID was used before with other content. Use a new plan ID for the changed plan."""

    code = "PLAN_CHANGED"

    @classmethod
    def for_plan(cls, plan_id: str, **context: object) -> PlanChanged:
        """Return the error for this plan ID."""
        problem = f"{plan_id} was used before with other content; give the changed plan a new plan ID"
        return cls("plan_id", problem, **context)


class UnknownAccount(InvalidInput):
    """The plan's account is not served, or has no credentials; those of another are never used. Correct its name."""

    code = "UNKNOWN_ACCOUNT"


class ConfigurationError(RebalanceError):
    """A setting is missing or invalid. Correct ``field``, an environment variable or a key of the secret.

    Never contains the value of a credential.
    """

    code = "CONFIGURATION"

    def __init__(self, field: str, problem: str, **context: object) -> None:
        super().__init__(f"{field}: {problem}", field=field, **context)
        self.field = field
        self.problem = problem


class LiveNotAllowed(ConfigurationError):
    """A setting points to real money without the explicit switches for it. Set both switches, or use paper trading."""

    code = "LIVE_NOT_ALLOWED"

    def __init__(self, field: str, problem: str, **context: object) -> None:
        super().__init__(field, f"{self.code}: {problem}", **context)


class OverfillGuard(RebalanceError):
    """A submission would exceed its parent order, so the program stopped itself. Compare broker and journal."""

    code = "OVERFILL_GUARD"


class JournalContradiction(RebalanceError):
    """The journal contradicts the plan, the idempotency record or itself. An operator must find out which is right."""

    code = "JOURNAL_CONTRADICTION"


class PublishFailed(RebalanceError):
    """The result is stored but could not be published. Check the channel; the plan itself is finished."""

    code = "PUBLISH_FAILED"


# --- another delivery helps ------------------------------------------------------------------------------


class Redeliver(RebalanceError):
    """The plan is not finished; deliver it again. Nothing is lost, because the journal has every step.

    Attributes:
        retry_at: the time (UTC) before which another delivery cannot help; None if any may.
    """

    code = "REDELIVER"
    retry_at: datetime | None = None


class LeaseHeld(Redeliver):
    """Another run holds the account's lease. Deliver the plan again after that run."""

    code = "LEASE_HELD"


class EarlierPlanUnfinished(Redeliver):
    """Another plan of the account is started and not finished, and could not be finished now. This plan did not start.

    ``unfinished_plan_id`` names that plan. Deliver this plan again after it, not before ``retry_at`` if that is known.
    """

    code = "EARLIER_PLAN_UNFINISHED"

    def __init__(self, message: str, *, retry_at: datetime | None = None, **context: object) -> None:
        super().__init__(message, **({} if retry_at is None else {"retry_at": retry_at}), **context)
        self.retry_at = retry_at


class Fenced(Redeliver):
    """Another run took over the account (its epoch is newer). This run sends nothing more; deliver the plan again."""

    code = "FENCED"


class DayChanged(Redeliver):
    """Another plan reserved part of the day's limits at the same time. Nothing was sent; deliver the plan again."""

    code = "DAY_CHANGED"


class PlanYielded(Redeliver):
    """The run stopped safely before its deadline. Deliver the plan again; the next run resumes it."""

    code = "PLAN_YIELDED"


class AuctionPending(PlanYielded):
    """The plan's orders rest at the broker until an auction. Deliver the plan again at ``retry_at``; no run is needed
    before.
    """

    code = "AUCTION_PENDING"

    @classmethod
    def at(cls, auction: datetime) -> AuctionPending:
        """Return the error for an auction at this time."""
        text = f"the orders rest until the auction at {auction.isoformat()}"
        error = cls(text, retry_at=auction + _AUCTION_REPORT)
        error.retry_at = auction + _AUCTION_REPORT
        return error


class JournalUnavailable(Redeliver):
    """The database did not answer, or did not confirm a write. Deliver the plan again."""

    code = "JOURNAL_UNAVAILABLE"


class PlanSourceUnavailable(Redeliver):
    """The plan's document (S3) or the account's secret could not be read. Deliver the plan again."""

    code = "PLAN_SOURCE_UNAVAILABLE"


class CredentialsRejected(Redeliver):
    """The broker rejected the account's keys (401, or 403 without its code). Rotate them; the plan is redelivered."""

    code = "CREDENTIALS_REJECTED"


# --- answers of the broker -------------------------------------------------------------------------------


class BrokerError(RebalanceError):
    """Base of the answers and failures of requests to the broker."""

    code = "BROKER"


class BrokerUnavailable(BrokerError, Redeliver):
    """A read or a cancel failed despite retries: timeout, 5xx, broken connection, HTML. Deliver the plan again."""

    code = "BROKER_UNAVAILABLE"


class RateLimited(BrokerUnavailable):
    """HTTP 429: the request had no effect. Send it again at ``retry_at`` (UTC), if that is known."""

    code = "RATE_LIMITED"

    def __init__(self, message: str, *, retry_at: datetime | None = None, **context: object) -> None:
        super().__init__(message, **context)
        self.retry_at = retry_at


class CircuitOpen(BrokerUnavailable):
    """The broker failed too often in a row. This run sends no more orders; deliver the plan again."""

    code = "CIRCUIT_OPEN"


class OutcomeUnknown(BrokerError):
    """A submission got no definite answer: the order may or may not exist. Look it up at the broker."""

    code = "OUTCOME_UNKNOWN"


class DuplicateClientOrderId(BrokerError):
    """The broker already has an order with this client order ID. Read that order."""

    code = "DUPLICATE_CLIENT_ORDER_ID"


class NotFound(BrokerError):
    """The broker answers that the requested asset or order does not exist. Treat it as absent."""

    code = "NOT_FOUND"


class OrderRejected(BrokerError):
    """The broker's check of the order rejected it; it does not exist. Do not send it again unchanged.

    Args:
        http_status: HTTP status of the answer.
        broker_code: Alpaca's numeric code.
        reason: Alpaca's message.
    """

    code = "REJECTED"

    def __init__(self, reason: str, *, http_status: int, broker_code: int | None = None) -> None:
        super().__init__(reason, http_status=http_status, broker_code=broker_code)
        self.reason = reason
        self.http_status = http_status
        self.broker_code = broker_code
