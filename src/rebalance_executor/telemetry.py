"""Structured log, metrics and traces with Powertools.

``emit`` writes one JSON line per log event (``execution.events``) and updates the metrics of the dashboards and alarms.
The lines of a plan contain correlation_id, causation_id, plan_id, account and run. No secret is passed to this module.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import IO, TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import AuctionPending, InvalidInput, RebalanceError, Redeliver
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.values import format_decimal
from rebalance_executor.execution.events import LogEvent, Severity
from rebalance_executor.tracing import Tracing, new_tracing

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SERVICE = "rebalance-executor"
NAMESPACE = "RebalanceExecutor"
"""Service of log lines, traces and metrics, and namespace of metrics, unless the environment has others."""

METRICS = {
    "PlansFinished": "Plans with a result; `PlansSuccess`, `PlansFailure`, … count them by status.",
    "DuplicatesAnswered": "Redelivered plans that got their stored result.",
    "PlansInvalid": "Documents that can never be a valid plan; nothing was stored or sent.",
    "PlansDenied": "Valid plans that a control denied as a whole.",
    "RedeliveriesRequested": "Deliveries that ended with a request for redelivery.",
    "PlansBlocked": "Unfinished plans that a run could not finish; an operator must look. Other plans wait for them.",
    "DailyCheckUnfinished": "Plans that a daily check found past their time limit, with no run working on them.",
    "DeliveryFailures": "Deliveries that the program stopped: a wrong setting, contradictory data or a defect.",
    "PublishFailures": "Results that could not be published on a channel.",
    "DailyCheckOverdue": "Daily checks that found no completed plan on a trading day.",
    "TimeToCompletion": "Seconds from the start of a plan to its result.",
    "SlippageBps": "Implementation shortfall of a plan against the arrival mid, in basis points.",
    "TradedDollars": "Filled value of a plan, in dollars.",
    "BrokerRequests": "Requests to the broker per delivery.",
    "ColdStarts": "Invocations in a new container.",
    "SubmissionsRejected": "Submissions that the broker rejected in its response. Later rejects are not counted.",
    "SubmissionsUnknown": "Submissions without a definite response; each one is looked up.",
    "KillSwitchTrips": "Times the program halted an account; an operator must resume it.",
    "CircuitsOpened": "Runs that stopped sending orders because the broker kept failing.",
    "ReconciliationMismatches": "Items in which the broker and the journal differ after the trade.",
    "OrdersDeniedHalted": "Plan items denied because the account is halted; part of `OrdersDenied`.",
    "OrdersFilled": "Plan items that were filled; `OrdersDenied`, `OrdersRejected`, … count the other outcomes.",
}
"""Metric names and what they count. The only dimension is ``service``, the name of the stack."""

_OUTCOME_METRIC = {outcome: "Orders" + outcome.title().replace("_", "") for outcome in Outcome}


# Looking these up takes a sixth of the time of a line, and no line shows them: there is one thread and one process.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def to_log_value(value: object) -> object:
    """Return a value as the log shows it: decimals in plain notation, times in ISO 8601."""
    if isinstance(value, Decimal):
        return format_decimal(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return value


_ENCODER = json.JSONEncoder(default=lambda value: str(to_log_value(value)), separators=(",", ":"), ensure_ascii=False)
"""Created once: Powertools would create one per line."""


def service_name() -> str:
    """Return the service in log lines, traces and metrics: in a deployed function the name of its stack."""
    return os.environ.get("POWERTOOLS_SERVICE_NAME") or SERVICE


def new_metrics() -> Metrics:
    """Return Powertools' metrics with the namespace and the service of the environment."""
    return Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or NAMESPACE, service=service_name())


def new_logger(service: str | None = None, stream: IO[str] | None = None) -> Logger:
    """Return a Powertools logger with this program's options.

    Args:
        service: the service; that of the environment by default. Loggers of one service share their first stream.
        stream: the output; standard output by default, which Lambda reads.
    """
    return Logger(
        service=service or service_name(),
        location=None,
        utc=True,
        stream=stream,
        json_serializer=_ENCODER.encode,
        json_deserializer=str,  # Powertools tries to parse each message as JSON; event names never are
    )


class Telemetry:
    """Implementation of ``EventLog`` with Powertools, one per container.

    Args:
        logger, metrics: Powertools' objects; created by default.
        tracing: traces invocations and requests; created by default.
    """

    def __init__(
        self, *, logger: Logger | None = None, metrics: Metrics | None = None, tracing: Tracing | None = None
    ) -> None:
        self._logger = logger or new_logger()
        self._write = {
            Severity.INFO: self._logger.info,
            Severity.WARNING: self._logger.warning,
            Severity.ERROR: self._logger.error,
            Severity.CRITICAL: self._logger.critical,
        }
        self._metrics = metrics or new_metrics()
        self.tracing = tracing or new_tracing()
        self._is_cold = True
        self._plan: RebalancePlan | None = None
        """The plan whose IDs are added to every line."""
        self._broker_requests: Counter[str] = Counter()

    def emit(self, event: LogEvent, **fields: object) -> None:
        """Write one line for the event and update its metrics. Fields that are None are left out."""
        extra = {name: to_log_value(value) for name, value in fields.items() if value is not None}
        self._write[event.severity](str(event), extra=extra)
        self._record_metrics(event, fields)

    def error(self, error: BaseException) -> None:
        """Log the error that ended a delivery, by its family, as one of the events ``plan.*``."""
        if isinstance(error, RebalanceError):
            event = LogEvent.PLAN_FAILED
            if isinstance(error, InvalidInput):
                event = LogEvent.PLAN_INVALID
            elif isinstance(error, AuctionPending):
                event = LogEvent.PLAN_AWAITS_AUCTION
            elif isinstance(error, Redeliver):
                event = LogEvent.PLAN_REDELIVERY_REQUESTED
            context = {name: value for name, value in error.context.items() if name != "code"}
            self.emit(event, code=error.code, reason=str(error), error=type(error).__name__, **context)
        else:
            self._logger.critical(str(LogEvent.PLAN_FAILED), exc_info=error, extra={"error": type(error).__name__})
            self._record_metrics(LogEvent.PLAN_FAILED, {})

    def count_request(self, path: str) -> None:
        """Count one request to the broker by its path."""
        self._broker_requests[path] += 1

    @contextmanager
    def invocation(self, context: LambdaContext) -> Iterator[None]:
        """Wrap an invocation: add its request ID to every line, trace it, and write its metrics at the end."""
        self._logger.append_keys(function_request_id=context.aws_request_id, cold_start=self._is_cold)
        if self._is_cold:
            self._metrics.add_metric("ColdStarts", MetricUnit.Count, 1)
            self._is_cold = False
        try:
            with self.tracing.invocation():
                yield
        except Exception as error:
            self.error(error)
            raise
        finally:
            self.unbind_plan()
            if self._metrics.metric_set:
                self._metrics.flush_metrics()

    def bind_plan(self, plan: RebalancePlan, account: str, run_id: str) -> None:
        """Add the plan's identity to every line until ``unbind_plan``."""
        self._plan = plan
        self._logger.append_keys(account=account, run=run_id, **_ids(plan))
        self.tracing.annotate("plan_id", plan.plan_id)
        self.tracing.annotate("correlation_id", plan.correlation_id)

    @property
    def bound_plan(self) -> RebalancePlan | None:
        """The plan whose identity is added to every line; None if no plan is bound."""
        return self._plan

    @contextmanager
    def earlier_plan(self, plan: PlanState) -> Iterator[None]:
        """Add this plan's IDs to every line within, instead of those of the bound plan."""
        self._logger.append_keys(**_ids(plan))
        try:
            yield
        finally:
            self._flush_request_count()
            if self._plan is not None:
                self._logger.append_keys(**_ids(self._plan))

    def unbind_plan(self) -> None:
        """Unbind the plan from the logger; log its broker request count first."""
        self._flush_request_count()
        self._plan = None
        self._logger.remove_keys(["correlation_id", "causation_id", "plan_id", "account", "run"])

    def _flush_request_count(self) -> None:
        if self._broker_requests:
            total = self._broker_requests.total()
            self._metrics.add_metric("BrokerRequests", MetricUnit.Count, total)
            self.emit(LogEvent.BROKER_REQUESTS, total=total, by_path=dict(self._broker_requests))
            self._broker_requests.clear()

    def _record_metrics(self, event: LogEvent, fields: dict[str, object]) -> None:
        add = self._metrics.add_metric
        if event in (LogEvent.PLAN_FINISHED, LogEvent.PLAN_UNRESOLVED):
            add("PlansFinished", MetricUnit.Count, 1)
            add("Plans" + str(fields["status"]).title().replace("_", ""), MetricUnit.Count, 1)
            add("TimeToCompletion", MetricUnit.Seconds, _to_float(fields["seconds"]))
            add("TradedDollars", MetricUnit.NoUnit, _to_float(fields["total_trade_value"]))
            if fields.get("slippage_bps") is not None:
                add("SlippageBps", MetricUnit.NoUnit, _to_float(fields["slippage_bps"]))
        elif isinstance(outcome := fields.get("outcome"), Outcome):
            add(_OUTCOME_METRIC[outcome], MetricUnit.Count, 1)
            if outcome is Outcome.DENIED and fields.get("code") == Code.HALTED:
                add("OrdersDeniedHalted", MetricUnit.Count, 1)
        elif event is LogEvent.ORDER_REJECTED and not fields.get("on_submission"):
            return  # a late reject: the broker had accepted the submission
        elif event in _COUNTED:
            add(_COUNTED[event], MetricUnit.Count, 1)


def _ids(plan: RebalancePlan | PlanState) -> dict[str, str]:
    return {"correlation_id": plan.correlation_id, "causation_id": plan.causation_id, "plan_id": plan.plan_id}


_COUNTED = {
    LogEvent.PLAN_DUPLICATE: "DuplicatesAnswered",
    LogEvent.PLAN_INVALID: "PlansInvalid",
    LogEvent.PLAN_DENIED: "PlansDenied",
    LogEvent.PLAN_REDELIVERY_REQUESTED: "RedeliveriesRequested",
    LogEvent.PLAN_FAILED: "DeliveryFailures",
    LogEvent.PLAN_BLOCKED: "PlansBlocked",
    LogEvent.ORDER_REJECTED: "SubmissionsRejected",
    LogEvent.ORDER_OUTCOME_UNKNOWN: "SubmissionsUnknown",
    LogEvent.KILL_SWITCH_TRIPPED: "KillSwitchTrips",
    LogEvent.CIRCUIT_OPENED: "CircuitsOpened",
    LogEvent.RECONCILIATION_MISMATCH: "ReconciliationMismatches",
    LogEvent.RESULT_PUBLISH_FAILED: "PublishFailures",
    LogEvent.DAILY_CHECK_OVERDUE: "DailyCheckOverdue",
    LogEvent.DAILY_CHECK_PLAN_UNFINISHED: "DailyCheckUnfinished",
}


def _to_float(value: object) -> float:
    """Return a metric's value. CloudWatch accepts only floats; no decision depends on them."""
    return float(str(value))
