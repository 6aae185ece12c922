"""The catalogue of what is told while a plan is executed: one name a state change, with its severity."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How loudly an event is told."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class LogEvent(StrEnum):
    """Names of log events. ``severity`` and ``meaning`` belong to each."""

    severity: Severity
    meaning: str

    def __new__(cls, name: str, severity: Severity, meaning: str) -> LogEvent:
        """A member whose value is the event's name."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.severity = severity
        member.meaning = meaning
        return member

    PLAN_RECEIVED = "plan.received", Severity.INFO, "A valid plan came in."
    PLAN_INVALID = (
        "plan.invalid",
        Severity.WARNING,
        "The document can never be a plan of this account; nothing was stored or sent.",
    )
    PLAN_DENIED = "plan.denied", Severity.WARNING, "A control denied every item of a valid plan."
    PLAN_CLAIMED = "plan.claimed", Severity.INFO, "The front door let this execution in."
    PLAN_DUPLICATE = "plan.duplicate", Severity.INFO, "A repeat was answered with the stored result."
    PLAN_STARTED = "plan.started", Severity.INFO, "Parent orders were sized and frozen."
    PLAN_RESUMED = "plan.resumed", Severity.WARNING, "An earlier run left the plan unfinished; this one goes on."
    PLAN_REDELIVERY_REQUESTED = "plan.redelivery_requested", Severity.WARNING, "Another delivery is needed; says why."
    PLAN_FINISHED = "plan.finished", Severity.INFO, "The result is stored."
    PLAN_UNRESOLVED = "plan.unresolved", Severity.ERROR, "The result is stored and an operator must look."
    PLAN_FAILED = "plan.failed", Severity.CRITICAL, "The program stopped itself; nothing more is sent."
    RUN_STARTED = "run.started", Severity.INFO, "A run took the account's lease."
    RUN_ENDED = "run.ended", Severity.INFO, "A run gave the lease back; says how it ended."
    RUN_YIELDING = "run.yielding", Severity.WARNING, "The deadline is near: what rests is cancelled."
    GATE_WAITING = "gate.waiting", Severity.INFO, "The account does not show the sells' proceeds yet."
    GATE_PASSED = "gate.passed", Severity.INFO, "The buys' budget is known."
    ORDER_INTENDED = "order.intended", Severity.INFO, "A child order was journalled, before it is sent."
    ORDER_PRICED_FROM_LAST_TRADE = (
        "order.priced_from_last_trade",
        Severity.WARNING,
        "No quote can be used; the last trade prices a child order.",
    )
    ORDER_SUBMITTED = "order.submitted", Severity.INFO, "The broker accepted a child order."
    ORDER_OUTCOME_UNKNOWN = (
        "order.outcome_unknown",
        Severity.WARNING,
        "A submission got no definite answer; it is looked up.",
    )
    ORDER_FOUND = "order.found", Severity.INFO, "A submission without an answer was found at the broker."
    ORDER_RESENT = "order.resent", Severity.WARNING, "The broker does not know the order; the same one is sent again."
    ORDER_REJECTED = "order.rejected", Severity.WARNING, "The broker refused a child order."
    ORDER_CANCEL_REQUESTED = "order.cancel_requested", Severity.INFO, "A cancel was requested (not yet an outcome)."
    FOREIGN_CANCEL_REQUESTED = "foreign_order.cancel_requested", Severity.WARNING, "Somebody else's order is cancelled."
    ORDER_FILLED = "order.filled", Severity.INFO, "The broker reports a child order as filled."
    ORDER_CANCELED = (
        "order.canceled",
        Severity.INFO,
        "The broker reports a child order as canceled; it may be partly filled.",
    )
    ORDER_EXPIRED = (
        "order.expired",
        Severity.INFO,
        "The broker reports a child order as expired; it may be partly filled.",
    )
    ORDER_REPLACED = (
        "order.replaced",
        Severity.WARNING,
        "The broker reports a child order as replaced by another order.",
    )
    ITEM_FILLED = "item.filled", Severity.INFO, "A parent order is filled."
    ITEM_PARTIALLY_FILLED = "item.partially_filled", Severity.WARNING, "An item ended partly filled."
    ITEM_UNFILLED = "item.unfilled", Severity.WARNING, "Orders were sent for an item; none was filled."
    ITEM_DENIED = "item.denied", Severity.WARNING, "A control refused a parent order."
    ITEM_SKIPPED = "item.skipped", Severity.INFO, "A parent order was skipped."
    ITEM_SCALED = "item.scaled", Severity.INFO, "A parent order was reduced before it was frozen."
    ITEM_UNRESOLVED = "item.unresolved", Severity.ERROR, "A parent order cannot be settled; an operator must look."
    ITEM_REJECTED = "item.rejected", Severity.WARNING, "A parent order ended because the broker refused it."
    KILL_SWITCH_TRIPPED = (
        "kill_switch.tripped",
        Severity.CRITICAL,
        "The program halted the account; a person must resume it.",
    )
    KILL_SWITCH_TRIP_FAILED = (
        "kill_switch.trip_failed",
        Severity.CRITICAL,
        "The program could not halt the account; it stops itself.",
    )
    RUN_CONCLUDING = "run.concluding", Severity.WARNING, "A control stops the plan: nothing new is sent; says why."
    RECONCILIATION_MISMATCH = (
        "reconciliation.mismatch",
        Severity.ERROR,
        "The broker and the journal differ after the trade; says in what.",
    )
    CIRCUIT_OPENED = "circuit.opened", Severity.ERROR, "The circuit breaker opened: this run sends nothing more."
    BROKER_RATE_LIMITED = "broker.rate_limited", Severity.WARNING, "The broker answered 429; sending pauses."
    BROKER_REQUESTS = "broker.requests", Severity.INFO, "How many requests a run made."
    ASSET_CACHE_WRITE_FAILED = (
        "asset_cache.write_failed",
        Severity.WARNING,
        "Asset flags could not be remembered; trading goes on.",
    )
    QUEUE_VISIBILITY_FAILED = (
        "queue.visibility_failed",
        Severity.WARNING,
        "The queue keeps its own time until the next delivery.",
    )
    LEASE_WAITING = "lease.waiting", Severity.INFO, "Another run holds the account's lease; its end is waited for."
    LEASE_RELEASE_FAILED = (
        "lease.release_failed",
        Severity.WARNING,
        "Giving back the lease failed; it runs out by itself.",
    )
    RUN_END_NOT_JOURNALLED = (
        "run.end_not_journalled",
        Severity.ERROR,
        "How a run ended could not be written; the next run finds out.",
    )
    IDEMPOTENCY_SAVE_FAILED = (
        "idempotency.save_failed",
        Severity.WARNING,
        "The front door's record failed; the journal answers.",
    )
    RESULT_PUBLISH_FAILED = (
        "result.publish_failed",
        Severity.ERROR,
        "The result is stored, but a channel did not get it.",
    )
    RESULT_PUBLISHED = "result.published", Severity.INFO, "A channel (event, notice) has the result."
    DAILY_CHECK_COMPLETED = (
        "daily_check.completed",
        Severity.INFO,
        "The plans of the day were counted: one is completed, or none is due.",
    )
    DAILY_CHECK_OVERDUE = "daily_check.overdue", Severity.ERROR, "A trading day, and no plan of it is completed."
    HEALTH_CHECKED = "health.checked", Severity.INFO, "A health request was answered."
