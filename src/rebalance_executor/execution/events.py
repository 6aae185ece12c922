"""Catalogue of log events: one per state change, with its level."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """Log level of an event."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class LogEvent(StrEnum):
    """A log event: its name, with its level in ``severity`` and its definition in ``meaning``."""

    severity: Severity
    meaning: str

    def __new__(cls, name: str, severity: Severity, meaning: str) -> LogEvent:
        """Return a member whose value is the event's name."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.severity = severity
        member.meaning = meaning
        return member

    PLAN_RECEIVED = "plan.received", Severity.INFO, "A delivery contains a valid plan."
    PLAN_FIELDS_IGNORED = (
        "plan.fields_ignored",
        Severity.WARNING,
        "The plan has fields that its schema does not have; they change nothing.",
    )
    PLAN_VERSION_PINNED = (
        "plan.version_pinned",
        Severity.WARNING,
        "The plan's object was replaced or deleted; this delivery executes what the first one read.",
    )
    PLAN_INVALID = "plan.invalid", Severity.WARNING, "The document can never be executed; nothing was stored or sent."
    PLAN_DENIED = "plan.denied", Severity.WARNING, "A control denied a valid plan as a whole."
    PLAN_CLAIMED = "plan.claimed", Severity.INFO, "The idempotency record of the plan was claimed."
    PLAN_DUPLICATE = "plan.duplicate", Severity.INFO, "A redelivered plan got its stored result."
    PLAN_STARTED = "plan.started", Severity.INFO, "Parent orders were sized and their quantities frozen."
    PLAN_RESUMED = "plan.resumed", Severity.WARNING, "A run continues a plan that an earlier run left unfinished."
    PLAN_EARLIER_RESUMED = (
        "plan.earlier_resumed",
        Severity.WARNING,
        "The account has an unfinished plan; the run finishes it before its own plan.",
    )
    PLAN_BLOCKED = (
        "plan.blocked",
        Severity.CRITICAL,
        "An unfinished plan cannot be finished without an operator; the account's other plans wait for it.",
    )
    PLAN_REDELIVERY_REQUESTED = "plan.redelivery_requested", Severity.WARNING, "Another delivery is asked for."
    PLAN_AWAITS_AUCTION = (
        "plan.awaits_auction",
        Severity.INFO,
        "The orders of a plan rest at the broker until an auction; no run is needed before.",
    )
    PLAN_FINISHED = "plan.finished", Severity.INFO, "The result is stored."
    PLAN_UNRESOLVED = "plan.unresolved", Severity.ERROR, "The result is stored; an operator must look."
    PLAN_FAILED = (
        "plan.failed",
        Severity.CRITICAL,
        "A configuration error, contradictory data or a defect ended the delivery.",
    )
    RUN_STARTED = "run.started", Severity.INFO, "A run took the account's lease."
    RUN_ENDED = "run.ended", Severity.INFO, "A run released the lease before the plan was finished."
    RUN_YIELDING = (
        "run.yielding",
        Severity.WARNING,
        "A run stops early: it cancels open orders and asks for redelivery.",
    )
    RUN_CONCLUDING = "run.concluding", Severity.WARNING, "A control denied further orders; the run settles every item."
    RUN_END_NOT_JOURNALLED = (
        "run.end_not_journalled",
        Severity.ERROR,
        "The end of a run could not be journalled; the next run reads the orders from the broker.",
    )
    GATE_WAITING = "gate.waiting", Severity.INFO, "The account does not show the proceeds of the sells yet."
    GATE_PASSED = "gate.passed", Severity.INFO, "The buy budget is fixed."
    GATE_BUDGET_REDUCED = (
        "gate.budget_reduced",
        Severity.WARNING,
        "The account has less cash than the buys' budget; the buys are bounded by the cash.",
    )
    ORDER_INTENDED = "order.intended", Severity.INFO, "A child order is about to be journalled and sent."
    ORDER_PRICED_FROM_LAST_TRADE = (
        "order.priced_from_last_trade",
        Severity.WARNING,
        "A child order is priced from the last trade because no quote is usable.",
    )
    ORDER_SUBMITTED = "order.submitted", Severity.INFO, "The broker accepted a child order."
    ORDER_OUTCOME_UNKNOWN = (
        "order.outcome_unknown",
        Severity.WARNING,
        "A submission got no definite answer; the program looks the order up.",
    )
    ORDER_FOUND = "order.found", Severity.INFO, "A submission without an answer was found at the broker."
    ORDER_RESENT = "order.resent", Severity.WARNING, "The broker does not know the order; it is sent again unchanged."
    ORDER_CANCEL_REQUESTED = "order.cancel_requested", Severity.INFO, "A cancel was sent; the order may still fill."
    ORDER_FILLED = "order.filled", Severity.INFO, "A child order is filled."
    ORDER_CANCELED = "order.canceled", Severity.INFO, "A child order was canceled; it may be partly filled."
    ORDER_EXPIRED = "order.expired", Severity.INFO, "A child order has expired; it may be partly filled."
    ORDER_REPLACED = "order.replaced", Severity.WARNING, "A child order was replaced by an order of another client."
    ORDER_LATE_FILL = (
        "order.late_fill",
        Severity.WARNING,
        "The broker filled shares of a child order after its end was confirmed; its item is settled again.",
    )
    ORDER_REJECTED = "order.rejected", Severity.WARNING, "The broker rejected a child order."
    ITEM_FILLED = "item.filled", Severity.INFO, "An item is filled completely."
    ITEM_PARTIALLY_FILLED = "item.partially_filled", Severity.WARNING, "An item ended partly filled."
    ITEM_UNFILLED = "item.unfilled", Severity.WARNING, "An item ended without a fill; orders were sent."
    ITEM_REJECTED = "item.rejected", Severity.WARNING, "An item ended because the broker rejected its order."
    ITEM_DENIED = "item.denied", Severity.WARNING, "A control denied an item; nothing was sent for it."
    ITEM_SKIPPED = "item.skipped", Severity.INFO, "An item was skipped: nothing to do, or no cash left."
    ITEM_RETARGETED = "item.retargeted", Severity.INFO, "An item was sized by its target instead of the plan's dollars."
    ITEM_SCALED = "item.scaled", Severity.INFO, "The quantity of an item was reduced before its first order."
    ITEM_UNRESOLVED = "item.unresolved", Severity.ERROR, "An item cannot be settled; an operator must look."
    FOREIGN_CANCEL_REQUESTED = (
        "foreign_order.cancel_requested",
        Severity.WARNING,
        "A cancel was sent for an order of another client, as configured.",
    )
    RECONCILIATION_MISMATCH = (
        "reconciliation.mismatch",
        Severity.ERROR,
        "Broker and journal differ after the trade for one symbol.",
    )
    KILL_SWITCH_TRIPPED = (
        "kill_switch.tripped",
        Severity.CRITICAL,
        "The program halted the account; an operator must resume it.",
    )
    KILL_SWITCH_TRIP_FAILED = (
        "kill_switch.trip_failed",
        Severity.CRITICAL,
        "The program could not store that the account is halted; this run sends nothing more.",
    )
    CIRCUIT_OPENED = "circuit.opened", Severity.ERROR, "The circuit breaker opened; this run sends nothing more."
    BROKER_RATE_LIMITED = "broker.rate_limited", Severity.WARNING, "The broker answered 429; submissions pause."
    BROKER_REQUESTS = "broker.requests", Severity.INFO, "The number of requests to the broker in one delivery."
    ASSET_CACHE_READ_FAILED = (
        "asset_cache.read_failed",
        Severity.WARNING,
        "Cached asset flags could not be read; the broker is asked about every symbol.",
    )
    ASSET_CACHE_WRITE_FAILED = (
        "asset_cache.write_failed",
        Severity.WARNING,
        "Asset flags could not be cached, or not be dropped from the cache; trading continues.",
    )
    ASSET_LIST_FAILED = (
        "asset_list.failed",
        Severity.WARNING,
        "The list of all assets could not be read; the broker is asked about each symbol.",
    )
    VOLUME_UNKNOWN = (
        "volume.unknown",
        Severity.WARNING,
        "The average volume of some symbols is unknown; their orders are worked by the displayed size alone.",
    )
    VOLUME_CACHE_FAILED = (
        "volume_cache.failed",
        Severity.WARNING,
        "Average volumes could not be read from the cache, or not be cached; trading continues.",
    )
    IDEMPOTENCY_BYPASSED = (
        "idempotency.bypassed",
        Severity.WARNING,
        "The idempotency record is claimed or cannot be claimed; the account's lease decides whether the plan runs.",
    )
    IDEMPOTENCY_SAVE_FAILED = (
        "idempotency.save_failed",
        Severity.WARNING,
        "The idempotency record could not be saved; a redelivered plan gets its result from the journal.",
    )
    QUEUE_VISIBILITY_FAILED = (
        "queue.visibility_failed",
        Severity.WARNING,
        "The visibility timeout of a message could not be set; the queue's default applies.",
    )
    LEASE_WAITING = "lease.waiting", Severity.INFO, "Another run holds the account's lease; this run waits for it."
    LEASE_RELEASE_FAILED = (
        "lease.release_failed",
        Severity.WARNING,
        "The lease could not be released; it expires by itself.",
    )
    RESULT_PUBLISHED = "result.published", Severity.INFO, "The result was published on a channel (event bus, topic)."
    RESULT_PUBLISH_FAILED = (
        "result.publish_failed",
        Severity.ERROR,
        "The result is stored, but could not be published on a channel.",
    )
    DAILY_CHECK_COMPLETED = (
        "daily_check.completed",
        Severity.INFO,
        "The daily check found a completed plan, or no plan is due.",
    )
    DAILY_CHECK_OVERDUE = (
        "daily_check.overdue",
        Severity.ERROR,
        "The daily check found no completed plan on a trading day.",
    )
    DAILY_CHECK_PLAN_UNFINISHED = (
        "daily_check.plan_unfinished",
        Severity.ERROR,
        "The daily check found a plan that is past its time limit and not finished, and no run that works on it.",
    )
    COSTS_READ = "costs.read", Severity.INFO, "The market data for the costs of a finished plan was read completely."
    COSTS_READ_FAILED = (
        "costs.read_failed",
        Severity.WARNING,
        "The market data for the costs of a finished plan could not be read; the next daily check tries again.",
    )
    HEALTH_CHECKED = "health.checked", Severity.INFO, "A health request was answered."
    DRY_RUN_COMPLETED = "dry_run.completed", Severity.INFO, "A dry run was answered; nothing was sent or stored."
