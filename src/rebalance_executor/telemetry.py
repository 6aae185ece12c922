"""Logger, metrics and tracer of Powertools behind one door.

``emit`` writes one JSON line an event of the catalogue (``execution.events``) and counts what the dashboards need.
Every line carries correlation_id, causation_id, plan_id, account and run. No secret is ever passed here.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import IO, TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import InvalidInput, RebalanceError, Redeliver
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.values import format_decimal
from rebalance_executor.execution.events import LogEvent, Severity

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SERVICE = "rebalance-executor"
NAMESPACE = "RebalanceExecutor"

METRICS = {
    "PlansFinished": "Plans that reached a result, by status in `PlansSuccess`, `PlansFailure`, …",
    "DuplicatesAnswered": "Repeats of a finished plan that were answered with its stored result.",
    "PlansInvalid": "Documents that can never be a plan; nothing was stored or sent.",
    "PlansDenied": "Valid plans of which a control denied every item.",
    "RedeliveriesRequested": "Deliveries that asked for another one.",
    "DeliveryFailures": "Deliveries that the program ended by itself: a setting, a contradiction, a mistake of its own.",
    "PublishFailures": "Results that a channel did not get.",
    "DailyCheckOverdue": "Watches that found no completed plan on a trading day.",
    "TimeToCompletion": "Seconds from a plan's begin to its result.",
    "SlippageBps": "Implementation shortfall of a plan against arrival mid, in basis points.",
    "TradedDollars": "Filled dollars of a plan.",
    "BrokerRequests": "Requests to the broker for one delivery.",
    "ColdStarts": "Invocations that had to build everything first.",
    "SubmissionsRejected": "Submissions that the broker definitely refused.",
    "SubmissionsUnknown": "Submissions without a definite answer; each is looked up.",
    "KillSwitchTrips": "Times the program halted an account by itself; a person must resume it.",
    "CircuitsOpened": "Runs that sent nothing more because the broker kept failing.",
    "ReconciliationMismatches": "Items in which broker and journal differed after the trade.",
    "OrdersDeniedHalted": "Parent orders denied because the account is halted.",
    "OrdersFilled": "Parent orders by outcome; likewise OrdersDenied, OrdersRejected, OrdersUnresolved, …",
}
"""Metric names and what they count. The namespace is ``RebalanceExecutor``, the one dimension ``service``."""

_OUTCOME_METRIC = {outcome: "Orders" + outcome.title().replace("_", "") for outcome in Outcome}


# No line shows them, and looking them up for each one costs a sixth of it. There is one thread and one process.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def to_log_value(value: object) -> object:
    """A value as the log shows it: decimals in plain notation, times in ISO 8601."""
    if isinstance(value, Decimal):
        return format_decimal(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return value


_ENCODER = json.JSONEncoder(default=lambda value: str(to_log_value(value)), separators=(",", ":"), ensure_ascii=False)
"""Made once: Powertools would make one a line."""


def new_logger(service: str = SERVICE, stream: IO[str] | None = None) -> Logger:
    """Powertools' logger as this program uses it; by default to where Lambda reads.

    An event's name is never JSON, so that nobody needs to try to read it as such.
    """
    return Logger(
        service=service,
        location=None,
        utc=True,
        stream=stream,
        json_serializer=_ENCODER.encode,
        json_deserializer=str,
    )


class Telemetry:
    """Implements ``EventLog`` on Powertools. One for each container."""

    def __init__(
        self, *, logger: Logger | None = None, metrics: Metrics | None = None, tracer: Tracer | None = None
    ) -> None:
        self._logger = logger or new_logger()
        self._write = {
            Severity.INFO: self._logger.info,
            Severity.WARNING: self._logger.warning,
            Severity.ERROR: self._logger.error,
            Severity.CRITICAL: self._logger.critical,
        }
        self._metrics = metrics or Metrics(namespace=NAMESPACE, service=SERVICE)
        self._tracer = tracer or Tracer(service=SERVICE, patch_modules=("boto3", "requests"))
        self._is_cold = True
        self._broker_requests: Counter[str] = Counter()

    def emit(self, event: LogEvent, **fields: object) -> None:
        """One line for one event, with these fields; fields that are None are left out."""
        extra = {name: to_log_value(value) for name, value in fields.items() if value is not None}
        self._write[event.severity](str(event), extra=extra)
        self._measure(event, fields)

    def error(self, error: BaseException) -> None:
        """One line for what ended a delivery: refused, deferred, or stopped by the program itself."""
        if isinstance(error, RebalanceError):
            event = LogEvent.PLAN_FAILED
            if isinstance(error, InvalidInput):
                event = LogEvent.PLAN_INVALID
            elif isinstance(error, Redeliver):
                event = LogEvent.PLAN_REDELIVERY_REQUESTED
            context = {name: value for name, value in error.context.items() if name != "code"}
            self.emit(event, code=error.code, reason=str(error), error=type(error).__name__, **context)
        else:
            self._logger.critical(str(LogEvent.PLAN_FAILED), exc_info=error, extra={"error": type(error).__name__})
            self._measure(LogEvent.PLAN_FAILED, {})

    def count_request(self, path: str) -> None:
        """Count one request to the broker, by its path."""
        self._broker_requests[path] += 1

    @contextmanager
    def invocation(self, context: LambdaContext) -> Iterator[None]:
        """One invocation: its request id on every line, its metrics in one line at the end, one trace segment."""
        self._logger.append_keys(function_request_id=context.aws_request_id, cold_start=self._is_cold)
        if self._is_cold:
            self._metrics.add_metric("ColdStarts", MetricUnit.Count, 1)
            self._is_cold = False
        try:
            with self._tracer.provider.in_subsegment("## rebalance"):
                yield
        except Exception as error:
            self.error(error)
            raise
        finally:
            self.unbind_plan()
            if self._metrics.metric_set:
                self._metrics.flush_metrics()

    def bind_plan(self, plan: RebalancePlan, account: str, run_id: str) -> None:
        """From here on every line carries this plan's identity, until ``forget``."""
        self._logger.append_keys(
            correlation_id=plan.correlation_id,
            causation_id=plan.causation_id,
            plan_id=plan.plan_id,
            account=account,
            run=run_id,
        )
        self._tracer.put_annotation("plan_id", plan.plan_id)
        self._tracer.put_annotation("correlation_id", plan.correlation_id)

    def unbind_plan(self) -> None:
        """The next line belongs to another plan, or to none; what this one asked of the broker is told before."""
        self._flush_request_count()
        self._logger.remove_keys(["correlation_id", "causation_id", "plan_id", "account", "run"])

    def _flush_request_count(self) -> None:
        if self._broker_requests:
            total = self._broker_requests.total()
            self._metrics.add_metric("BrokerRequests", MetricUnit.Count, total)
            self.emit(LogEvent.BROKER_REQUESTS, total=total, by_path=dict(self._broker_requests))
            self._broker_requests.clear()

    def _measure(self, event: LogEvent, fields: dict[str, object]) -> None:
        add = self._metrics.add_metric
        if event in (LogEvent.PLAN_FINISHED, LogEvent.PLAN_UNRESOLVED):
            add("PlansFinished", MetricUnit.Count, 1)
            add("Plans" + str(fields["status"]).title().replace("_", ""), MetricUnit.Count, 1)
            add("TimeToCompletion", MetricUnit.Seconds, _number(fields["seconds"]))
            add("TradedDollars", MetricUnit.NoUnit, _number(fields["total_trade_value"]))
            if fields.get("slippage_bps") is not None:
                add("SlippageBps", MetricUnit.NoUnit, _number(fields["slippage_bps"]))
        elif isinstance(outcome := fields.get("outcome"), Outcome):
            add(_OUTCOME_METRIC[outcome], MetricUnit.Count, 1)
            if fields.get("code") == Code.HALTED:
                add("OrdersDeniedHalted", MetricUnit.Count, 1)
        elif event is LogEvent.ORDER_REJECTED and not fields.get("in_answer"):
            return  # a late reject: the submission itself was accepted
        elif event in _COUNTED:
            add(_COUNTED[event], MetricUnit.Count, 1)


_COUNTED = {
    LogEvent.PLAN_DUPLICATE: "DuplicatesAnswered",
    LogEvent.PLAN_INVALID: "PlansInvalid",
    LogEvent.PLAN_DENIED: "PlansDenied",
    LogEvent.PLAN_REDELIVERY_REQUESTED: "RedeliveriesRequested",
    LogEvent.PLAN_FAILED: "DeliveryFailures",
    LogEvent.ORDER_REJECTED: "SubmissionsRejected",
    LogEvent.ORDER_OUTCOME_UNKNOWN: "SubmissionsUnknown",
    LogEvent.KILL_SWITCH_TRIPPED: "KillSwitchTrips",
    LogEvent.CIRCUIT_OPENED: "CircuitsOpened",
    LogEvent.RECONCILIATION_MISMATCH: "ReconciliationMismatches",
    LogEvent.RESULT_PUBLISH_FAILED: "PublishFailures",
    LogEvent.DAILY_CHECK_OVERDUE: "DailyCheckOverdue",
}


def _number(value: object) -> float:
    """A metric's value: CloudWatch knows floats only; no decision is taken from it."""
    return float(str(value))
