"""The health request, ``{"health": true}``: checks every dependency once and trades nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import RebalanceError
from rebalance_executor.domain.market import Account, BrokerKind
from rebalance_executor.domain.plan_controls import deployment_denial
from rebalance_executor.domain.risk_state import AccountBinding
from rebalance_executor.domain.values import format_decimal, format_time
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Broker, Clock, EventLog
from rebalance_executor.settings import Settings

TOLERATED_CLOCK_SKEW = timedelta(seconds=30)
"""Maximum difference between our clock and the broker's. A larger one falsifies the ages of quotes and plans."""

_PAPER_NUMBER = "PA"
"""Start of the number of every paper account at Alpaca."""

_SYMBOL = "SPY"
"""One of the most actively quoted symbols: without a quote for it there is no market data."""


class Unhealthy(RebalanceError):
    """A dependency answers, but its state does not allow trading. The message says what is wrong."""

    code = "UNHEALTHY"


class BoundElsewhere(Unhealthy):
    """The broker account belongs to another account name or deployment. Plans of this name are denied."""

    code = Code.ACCOUNT_MISMATCH.value


def check_health(checks: Mapping[str, Callable[[], str]], log: EventLog) -> dict[str, Any]:
    """Run every check. A failed check does not prevent the following ones.

    Args:
        checks: the checks by name. A check returns a sentence about a healthy dependency, or raises.
        log: receives the summary.

    Returns:
        ``healthy`` and ``checks``. Each check has a ``name``, ``ok`` and a ``detail``: its sentence, or the error.
    """
    results = [_run(name, check) for name, check in checks.items()]
    healthy = all(check["ok"] for check in results)
    failing = ", ".join(check["name"] for check in results if not check["ok"])
    log.emit(LogEvent.HEALTH_CHECKED, healthy=healthy, failing=failing or None)
    return {"healthy": healthy, "checks": results}


def _run(name: str, check: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"name": name, "ok": True, "detail": check()}
    except RebalanceError as error:
        return {"name": name, "ok": False, "detail": f"{error.code}: {error}"}
    except (BotoCoreError, ClientError) as error:
        return {"name": name, "ok": False, "detail": str(error)}


def check_account(broker: Broker, binding: Callable[[str], AccountBinding | None], settings: Settings) -> str:
    """Check that the broker accepts the credentials, that they belong to this account, and that it may trade.

    Args:
        broker: the account at the broker.
        binding: returns the binding of a broker account.
        settings: the environment, with the name of the account.

    Raises:
        Unhealthy: another account, a broker account of another name or deployment, or trading is blocked.
    """
    account = broker.account()
    expected = broker.expected_account_number
    if expected is not None and account.account_number != expected:
        raise Unhealthy(f"the credentials belong to account {account.account_number}; account_number is {expected}")
    if account.blocked_by is not None:
        raise Unhealthy(f"trading is blocked: {account.blocked_by}")
    bound = binding(account.account_number)
    if bound is not None and bound.account != settings.account:
        raise BoundElsewhere(f"broker account {account.account_number} belongs to account {bound.account}")
    denial = deployment_denial(broker.recent_orders(), bound, account.account_number, settings.deployment)
    if denial is not None:
        raise BoundElsewhere(denial.message)
    return f"account {account.account_number} is {account.status}"


def account_warnings(account: Account, settings: Settings) -> dict[str, str]:
    """Return what should be changed at the broker although the account may trade, by a short name."""
    warnings: dict[str, str] = {}
    if account.shorting_enabled:
        warnings["short selling"] = "the account may sell short"
    if account.multiplier > 1:
        times = format_decimal(account.multiplier)
        warnings["margin"] = f"the account may borrow: buying power is up to {times} times equity"
    is_paper_number = account.account_number.startswith(_PAPER_NUMBER)
    if settings.broker_kind is BrokerKind.PAPER and not is_paper_number:
        warnings["paper money"] = f"ALPACA_PAPER is true, but {account.account_number} is no paper account's number"
    return warnings


def check_clock(broker: Broker, clock: Clock) -> str:
    """Check that our clock and the broker's agree; return the state of the market.

    Raises:
        Unhealthy: the clocks differ by more than ``TOLERATED_CLOCK_SKEW``.
    """
    market = broker.clock()
    skew = abs(clock.now() - market.now)
    if skew > TOLERATED_CLOCK_SKEW:
        limit = TOLERATED_CLOCK_SKEW.total_seconds()
        raise Unhealthy(
            f"our clock and the broker's differ by {skew.total_seconds():.0f} s; the limit is {limit:.0f} s"
        )
    return "the market is open" if market.is_open else f"the market opens at {format_time(market.next_open)}"


def check_quotes(broker: Broker) -> str:
    """Check that the market-data endpoint returns a quote.

    Raises:
        Unhealthy: there is no quote for ``SPY``.
    """
    if _SYMBOL not in broker.quotes([_SYMBOL]):
        raise Unhealthy(f"no quote for {_SYMBOL}")
    return f"{_SYMBOL} is quoted"
