"""What can go wrong, typed.

Three families, because a caller does one of three things:

* ``InvalidInput`` and ``ConfigurationError`` — can never succeed as it stands: somebody must mend it.
* ``Redeliver`` — another delivery can help: the invocation raises, the queue delivers the plan again.
* ``BrokerError`` — what the broker (or the way to it) answered; the executor decides what it means.

Every error carries its context as fields (``context``), which the log shows as they are.
"""

from __future__ import annotations

from datetime import datetime


class RebalanceError(Exception):
    """Base of every error this program raises on purpose.

    Args:
        message: one sentence: what is wrong and what to do next.
        context: fields for the log; never a secret.
    """

    code = "ERROR"

    def __init__(self, message: str, **context: object) -> None:
        super().__init__(message)
        self.context = context


# --- somebody must mend it -------------------------------------------------------------------------------


class InvalidInput(RebalanceError):
    """The input can never be right as it stands; nothing was sent and nothing was written.

    Args:
        field: path of the offending field (``items.3.trade_amount``), or ``$`` for the whole document.
        problem: what is wrong with its value, and what to do.

    Attributes:
        problems: every offending field with what is wrong with it.
    """

    code = "INVALID_INPUT"

    def __init__(self, field: str, problem: str, **context: object) -> None:
        super().__init__(f"{field}: {problem}", field=field, **context)
        self.field = field
        self.problem = problem
        self.problems: tuple[tuple[str, str], ...] = ((field, problem),)


class PlanExpired(InvalidInput):
    """A plan too old, past its ``valid_until`` or from the future is not begun."""

    code = "PLAN_EXPIRED"


class PlanChanged(InvalidInput):
    """The plan id was used before with other content."""

    code = "PLAN_CHANGED"


class UnknownAccount(InvalidInput):
    """The plan names an account for which there are no credentials; another account's are never used."""

    code = "UNKNOWN_ACCOUNT"


class ConfigurationError(RebalanceError):
    """A setting is missing or unusable; ``field`` is the environment variable or secret key.

    Never holds the value of a credential.
    """

    code = "CONFIGURATION"

    def __init__(self, field: str, problem: str, **context: object) -> None:
        super().__init__(f"{field}: {problem}", field=field, **context)
        self.field = field
        self.problem = problem


class LiveNotAllowed(ConfigurationError):
    """Something leads to real money without the explicit switches that it needs."""

    code = "LIVE_NOT_ALLOWED"

    def __init__(self, field: str, problem: str, **context: object) -> None:
        super().__init__(field, f"{self.code}: {problem}", **context)


class OverfillGuard(RebalanceError):
    """The last line before the broker: a submission would exceed its parent order. The program stops."""

    code = "OVERFILL_GUARD"


class JournalContradiction(RebalanceError):
    """The front door's record and the journal disagree in a way that only a person can settle."""

    code = "JOURNAL_CONTRADICTION"


class PublishFailed(RebalanceError):
    """A result was stored, but could not be published."""

    code = "PUBLISH_FAILED"


# --- another delivery can help ---------------------------------------------------------------------------


class Redeliver(RebalanceError):
    """Raised to ask for another delivery; nothing is lost, the journal holds what was done."""

    code = "REDELIVER"


class PlanInProgress(Redeliver):
    """The front door holds another execution of the very same plan."""

    code = "PLAN_IN_PROGRESS"


class LeaseHeld(Redeliver):
    """Another run holds the account's lease."""

    code = "LEASE_HELD"


class Fenced(Redeliver):
    """This run's epoch is no longer the account's: another run took over. It must not send anything more."""

    code = "FENCED"


class DayChanged(Redeliver):
    """The account's day was written to between reading and reserving it; nothing was sent or journalled."""

    code = "DAY_CHANGED"


class PlanYielded(Redeliver):
    """The run stopped safely before its deadline; the next delivery resumes."""

    code = "PLAN_YIELDED"


class JournalUnavailable(Redeliver):
    """The database did not answer, or did not say whether it wrote."""

    code = "JOURNAL_UNAVAILABLE"


class PlanSourceUnavailable(Redeliver):
    """The plan's document (S3) or the account's secret could not be read just now."""

    code = "PLAN_SOURCE_UNAVAILABLE"


class CredentialsRejected(Redeliver):
    """The broker refused the account's credentials (401). Rotate them; the plan is delivered again."""

    code = "CREDENTIALS_REJECTED"


# --- what the broker answered ----------------------------------------------------------------------------


class BrokerError(RebalanceError):
    """Base of what the way to the broker can answer."""

    code = "BROKER"


class BrokerUnavailable(BrokerError, Redeliver):
    """A read or a cancel got no usable answer within its retries: time-out, 5xx, broken connection, HTML."""

    code = "BROKER_UNAVAILABLE"


class RateLimited(BrokerUnavailable):
    """HTTP 429: the request had no effect. ``retry_at`` (UTC) is when the window opens again, if known."""

    code = "RATE_LIMITED"

    def __init__(self, message: str, *, retry_at: datetime | None = None, **context: object) -> None:
        super().__init__(message, **context)
        self.retry_at = retry_at


class CircuitOpen(BrokerUnavailable):
    """The broker failed too often in a row: this was certainly not sent, and the run sends nothing more."""

    code = "CIRCUIT_OPEN"


class OutcomeUnknown(BrokerError):
    """A submission got no definite answer: the order may or may not exist. Look it up; never assume."""

    code = "OUTCOME_UNKNOWN"


class DuplicateClientOrderId(BrokerError):
    """The client order id exists at the broker already: read that order."""

    code = "DUPLICATE_CLIENT_ORDER_ID"


class NotFound(BrokerError):
    """The broker does not know the asset, order or position asked for (404)."""

    code = "NOT_FOUND"


class OrderRejected(BrokerError):
    """The broker definitely refused the request; nothing came into being.

    Args:
        http_status: the answer's HTTP status.
        broker_code: Alpaca's numeric code, or None where the answer held none.
        reason: Alpaca's message.
        extras: what else the answer held (``available``, ``held_for_orders``, …).
    """

    code = "REJECTED"

    def __init__(
        self,
        reason: str,
        *,
        http_status: int,
        broker_code: int | None = None,
        extras: dict[str, object] | None = None,
    ) -> None:
        super().__init__(reason, http_status=http_status, broker_code=broker_code)
        self.reason = reason
        self.http_status = http_status
        self.broker_code = broker_code
        self.extras = extras or {}
