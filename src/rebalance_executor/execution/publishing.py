"""Publishing of results: once on each channel. A channel that fails does not fail the execution.

The run holds the account's lease while it publishes. If it is killed, the lease names the plan, and the next run of the
account publishes the result.
"""

from __future__ import annotations

from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import EventLog, Lease, Ports


def publish(ports: Ports, lease: Lease, result: ExecutionResult, published: frozenset[str] = frozenset()) -> None:
    """Publish the result on every channel that is not in ``published``, and journal the channels that accepted it.

    A channel that fails is logged; the other channels and the stored result are not affected. One attempt is enough:
    the lease is released, and the account's next plan does not wait for the channel.

    Raises:
        JournalUnavailable: the publication was not journalled; the lease may not be released.
    """
    accepted = []
    for publisher in ports.publishers:
        if publisher.channel in published:
            continue
        try:
            publisher.publish(result)
        except Exception as error:  # noqa: BLE001 - the plan is executed: no error here may cause a redelivery
            log_failure(ports.log, publisher.channel, error)
        else:
            accepted.append(publisher.channel)
            ports.log.emit(LogEvent.RESULT_PUBLISHED, channel=publisher.channel)
    ports.journal.mark_published(lease, result.plan_id, accepted, ports.clock.now())


def log_failure(log: EventLog, channel: str, error: Exception) -> None:
    """Log that the result was not published on a channel, or that the publication was not journalled."""
    reason = str(error) or repr(error)
    log.emit(LogEvent.RESULT_PUBLISH_FAILED, channel=channel, error=type(error).__name__, reason=reason)
