"""Publishing of results: once on each channel. A channel that fails does not fail the execution."""

from __future__ import annotations

from rebalance_executor.domain.errors import JournalUnavailable
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import EventLog, Ports


def publish(ports: Ports, result: ExecutionResult, published: frozenset[str] = frozenset()) -> None:
    """Publish the result on every channel that is not in ``published``, and journal the channels that accepted it.

    A channel that fails is logged; the other channels and the stored result are not affected.
    """
    accepted = []
    for publisher in ports.publishers:
        if publisher.channel in published:
            continue
        try:
            publisher.publish(result)
        except Exception as error:  # noqa: BLE001 - the plan is executed: no error here may cause a redelivery
            _log_failure(ports.log, publisher.channel, error)
        else:
            accepted.append(publisher.channel)
            ports.log.emit(LogEvent.RESULT_PUBLISHED, channel=publisher.channel)
    if not accepted:
        return
    try:
        ports.journal.mark_published(result.account, result.plan_id, accepted, ports.clock.now())
    except JournalUnavailable as error:
        _log_failure(ports.log, "journal", error)


def _log_failure(log: EventLog, channel: str, error: Exception) -> None:
    reason = str(error) or repr(error)
    log.emit(LogEvent.RESULT_PUBLISH_FAILED, channel=channel, error=type(error).__name__, reason=reason)
