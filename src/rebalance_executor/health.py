"""``{"health": true}``: asks every dependency once, trades nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rebalance_executor.domain.errors import RebalanceError
from rebalance_executor.domain.values import format_utc
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Broker, Clock, EventLog

MAX_CLOCK_DIFFERENCE_SECONDS = 30
"""A clock further off than this would misjudge the age of plans and of leases."""


class Unhealthy(RebalanceError):
    """A dependency answers, but not as it must for trading."""

    code = "UNHEALTHY"


def check_health(checks: Mapping[str, Callable[[], str]], log: EventLog) -> dict[str, Any]:
    """Run every check.

    Returns:
        ``healthy``, and for each check its name, whether it is ``ok`` and a ``detail``: what was found, or what
        is wrong and what to do. One broken dependency does not hide the next.
    """
    report = [_answer(name, ask) for name, ask in checks.items()]
    healthy = all(check["ok"] for check in report)
    failing = ", ".join(check["name"] for check in report if not check["ok"])
    log.emit(LogEvent.HEALTH_CHECKED, healthy=healthy, failing=failing or None)
    return {"healthy": healthy, "checks": report}


def _answer(name: str, ask: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"name": name, "ok": True, "detail": ask()}
    except RebalanceError as error:
        return {"name": name, "ok": False, "detail": f"{error.code}: {error}"}
    except (BotoCoreError, ClientError) as error:
        return {"name": name, "ok": False, "detail": str(error)}


def check_account(broker: Broker) -> str:
    """The broker accepts the credentials, they lead to the configured account, and it may trade."""
    account = broker.account()
    expected = broker.expected_account_number
    if expected is not None and account.account_number != expected:
        raise Unhealthy(f"the credentials lead to account {account.account_number}, {expected} is configured")
    if account.blocked_by is not None:
        raise Unhealthy(f"the account may not trade: {account.blocked_by}")
    return f"account {account.account_number} is {account.status}"


def check_clock(broker: Broker, clock: Clock) -> str:
    """The broker's clock and ours differ by little."""
    market = broker.clock()
    difference = abs((clock.now() - market.now).total_seconds())
    if difference > MAX_CLOCK_DIFFERENCE_SECONDS:
        raise Unhealthy(f"the broker's clock differs by {difference:.0f} s")
    return "the market is open" if market.is_open else f"the market opens at {format_utc(market.next_open)}"


def check_quotes(broker: Broker) -> str:
    """The data endpoint answers with a quote."""
    symbol = "SPY"  # the most quoted of all: without it there is no data at all
    if symbol not in broker.quotes([symbol]):
        raise Unhealthy(f"no quote of {symbol}")
    return f"{symbol} is quoted"
