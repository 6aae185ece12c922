"""Invariants of requests: the rate limits, and the permission to send an order."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from rebalance_executor.domain.market import Side
from rebalance_executor.domain.risk_state import TradingState
from rebalance_simulation.calls import Submission
from rebalance_simulation.invariants_account import PlanKey
from rebalance_simulation.invocation import Invocation
from rebalance_simulation.violation import Violation
from rebalance_simulation.world_view import WorldView

_KILL_SWITCH_DELAY = timedelta(seconds=2)
"""Longest time until a kill switch takes effect: it may be cached for a second, and the calls themselves take time."""
_MINUTE = timedelta(minutes=1)


class RequestInvariants:
    """Checks of requests to the broker before they are sent.

    Args:
        world: the world to check. Every check raises ``Violation`` if an invariant is broken.
    """

    def __init__(self, world: WorldView) -> None:
        self._world = world
        self._request_times: dict[tuple[int, str, str], deque[datetime]] = {}
        """Requests of the last minute, by process, account name and endpoint."""
        self._submission_times: dict[tuple[str, PlanKey], deque[datetime]] = {}
        """Submissions of the last minute, by run and plan."""

    def check_rate_limit(self, name: str) -> None:
        """Check that a process keeps the rate limit of each account name and endpoint."""
        endpoint = "data" if "/stocks" in name else "trading"
        invocation = self._world.current
        invocation.has_asked_broker = True
        times = self._request_times.setdefault((invocation.process, invocation.account, endpoint), deque())
        if _count_last_minute(times, self._world.clock.world()) > self._world.config.rate_limit_per_minute:
            raise Violation(f"{len(times)} requests per minute exceed the rate limit")

    def reset_rate_limit(self, process: int, account: str) -> None:
        """Restart the count of a process that opened new connections, and with them a new rate limiter."""
        for endpoint in ("data", "trading"):
            self._request_times.pop((process, account, endpoint), None)

    def check_timeout(self, invocation: Invocation) -> None:
        """Check that an invocation that timed out was disturbed by a fault."""
        if not invocation.is_disturbed:
            raise Violation(f"invocation {invocation.number} timed out without any fault")

    def check_permission(self, plan: PlanKey, order: Submission) -> None:
        """Check market hours, the holder of the lease, the kill switch, and the rate of submissions."""
        account, _ = plan
        run_id, ledger = self._world.current.run_id, self._world.ledger
        is_extended = order.get("extended_hours") and self._world.config.extended_hours
        is_for_auction = order["time_in_force"] != "day"  # its times are an invariant of their own
        if not is_extended and not is_for_auction and self._world.is_market_closed():
            raise Violation(f"{run_id} sends an order while the market is closed")
        lease = ledger.lease(account)
        if lease is None or lease.run_id != run_id:
            raise Violation(f"{run_id} sends an order, the lease is held by {lease and lease.run_id}")
        self._check_kill_switch(account, order)
        self._check_message_rate(run_id, plan)

    def _check_kill_switch(self, account: str, order: Submission) -> None:
        switch = self._world.ledger.kill_switch(account)
        if switch.at is None or switch.state is TradingState.ACTIVE:
            return
        if switch.state is TradingState.REDUCING and order["side"] == Side.SELL:
            return
        if self._world.clock.now() - switch.at > _KILL_SWITCH_DELAY:
            run_id = self._world.current.run_id
            raise Violation(f"{run_id} sends a {order['side']}, the account is {switch.state} since {switch.at}")

    def _check_message_rate(self, run_id: str, plan: PlanKey) -> None:
        """Check that a run sends no more orders of a plan per minute than the controls allow."""
        times = self._submission_times.setdefault((run_id, plan), deque())
        limit = self._world.config.max_messages_per_minute
        if _count_last_minute(times, self._world.clock.world()) > limit:
            raise Violation(f"{run_id} sends {len(times)} orders per minute, the limit is {limit}")


def _count_last_minute(times: deque[datetime], now: datetime) -> int:
    """Add ``now`` to ``times``, drop everything older than a minute, and return what is left."""
    times.append(now)
    while times[0] <= now - _MINUTE:
        times.popleft()
    return len(times)
