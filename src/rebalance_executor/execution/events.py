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
    PLAN_REFUSED = "plan.refused", Severity.WARNING, "A plan or message was refused as a whole; says why."
    PLAN_CLAIMED = "plan.claimed", Severity.INFO, "The front door let this execution in."
    PLAN_DUPLICATE = "plan.duplicate", Severity.INFO, "A repeat was answered with the stored result."
    PLAN_BEGUN = "plan.begun", Severity.INFO, "Parent orders were sized and frozen."
    PLAN_RESUMED = "plan.resumed", Severity.WARNING, "An earlier run left the plan unfinished; this one goes on."
    PLAN_DEFERRED = "plan.deferred", Severity.WARNING, "Another delivery is needed; says why."
    PLAN_FINISHED = "plan.finished", Severity.INFO, "The result is stored."
    PLAN_UNRESOLVED = "plan.unresolved", Severity.ERROR, "The result is stored and an operator must look."
    PLAN_FAILED = "plan.failed", Severity.CRITICAL, "The program stopped itself; nothing more is sent."
    RUN_STARTED = "run.started", Severity.INFO, "A run took the account's lease."
    RUN_ENDED = "run.ended", Severity.INFO, "A run gave the lease back; says how it ended."
    RUN_STOPPING = "run.stopping", Severity.WARNING, "The deadline is near: what rests is cancelled."
    GATE_WAITING = "gate.waiting", Severity.INFO, "The account does not show the sells' proceeds yet."
    GATE_PASSED = "gate.passed", Severity.INFO, "The buys' budget is known."
    ORDER_INTENDED = "order.intended", Severity.INFO, "A child order was journalled, before it is sent."
    ORDER_WITHOUT_QUOTE = (
        "order.without_quote",
        Severity.WARNING,
        "No quote can be used; the last trade prices a child order.",
    )
    ORDER_SUBMITTED = "order.submitted", Severity.INFO, "The broker accepted a child order."
    ORDER_UNKNOWN = "order.unknown", Severity.WARNING, "A submission got no definite answer; it is looked up."
    ORDER_FOUND = "order.found", Severity.INFO, "A submission without an answer was found at the broker."
    ORDER_RESENT = "order.resent", Severity.WARNING, "The broker does not know the order; the same one is sent again."
    ORDER_REJECTED = "order.rejected", Severity.WARNING, "The broker refused a child order."
    ORDER_CANCEL_REQUESTED = "order.cancel_requested", Severity.INFO, "A cancel was requested (not yet an outcome)."
    FOREIGN_CANCEL_REQUESTED = "foreign_order.cancel_requested", Severity.WARNING, "Somebody else's order is cancelled."
    ORDER_CLOSED = "order.closed", Severity.INFO, "A child order is terminal at the broker, with its fills."
    ORDER_FILLED = "order.filled", Severity.INFO, "A parent order is filled."
    ORDER_UNFINISHED = "order.unfinished", Severity.WARNING, "A parent order ended partly filled or unfilled."
    ORDER_DENIED = "order.denied", Severity.WARNING, "A control refused a parent order."
    ORDER_SKIPPED = "order.skipped", Severity.INFO, "A parent order was skipped."
    ORDER_SCALED = "order.scaled", Severity.INFO, "A parent order was reduced before it was frozen."
    ORDER_UNRESOLVED = "order.unresolved", Severity.ERROR, "A parent order cannot be settled; an operator must look."
    ORDER_FAILED = "order.failed", Severity.WARNING, "A parent order ended because the broker refused it."
    SWITCH_TRIPPED = (
        "switch.tripped",
        Severity.CRITICAL,
        "The program halted the account; a person must resume it.",
    )
    SWITCH_NOT_SET = "switch.not_set", Severity.CRITICAL, "The program could not halt the account; it stops itself."
    RUN_CONCLUDING = "run.concluding", Severity.WARNING, "A control stops the plan: nothing new is sent; says why."
    PLAN_DIFFERS = "plan.differs", Severity.ERROR, "The broker and the journal differ after the trade; says in what."
    BROKER_FAILING = "broker.failing", Severity.ERROR, "The circuit breaker opened: this run sends nothing more."
    BROKER_RATE_LIMITED = "broker.rate_limited", Severity.WARNING, "The broker answered 429; sending pauses."
    BROKER_REQUESTS = "broker.requests", Severity.INFO, "How many requests a run made."
    CACHE_FAILED = "cache.failed", Severity.WARNING, "Asset flags could not be remembered; trading goes on."
    MESSAGE_NOT_TIMED = "message.not_timed", Severity.WARNING, "The queue keeps its own time until the next delivery."
    LEASE_AWAITED = "lease.awaited", Severity.INFO, "Another run holds the account's lease; its end is waited for."
    LEASE_NOT_RETURNED = "lease.not_returned", Severity.WARNING, "Giving back the lease failed; it runs out by itself."
    JOURNAL_FAILED = "journal.failed", Severity.ERROR, "How a run ended could not be written; the next run finds out."
    RECORD_NOT_SAVED = "record.not_saved", Severity.WARNING, "The front door's record failed; the journal answers."
    REPORT_FAILED = "report.failed", Severity.ERROR, "The result is stored, but a channel did not get it."
    RESULT_PUBLISHED = "result.published", Severity.INFO, "A channel (event, notice) has the result."
    DAY_WATCHED = "day.watched", Severity.INFO, "The plans of the day were counted: one is completed, or none is due."
    DAY_OVERDUE = "day.overdue", Severity.ERROR, "A trading day, and no plan of it is completed."
    HEALTH_CHECKED = "health.checked", Severity.INFO, "A health request was answered."
