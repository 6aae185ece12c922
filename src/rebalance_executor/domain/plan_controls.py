"""Controls of a whole plan: its age, its account, the session, the number of runs and plans, and its dollars.

Pure functions like those of ``domain.controls``, which lists the order of all controls.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.controls import Denial
from rebalance_executor.domain.errors import PlanExpired
from rebalance_executor.domain.limits import Limits
from rebalance_executor.domain.market import Account, BrokerOrder, MarketClock
from rebalance_executor.domain.order_ids import deployment_prefix, is_of_another_deployment
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.risk_state import AccountBinding, DailyUsage, RiskState
from rebalance_executor.domain.session import EARLY_HOURS
from rebalance_executor.domain.values import format_decimal, format_dollars, format_time, seconds


def check_fresh(plan: RebalancePlan, now: datetime, *, max_age_minutes: Decimal, max_skew_seconds: Decimal) -> None:
    """Check that the plan may start now. A plan that has already started may continue at any age.

    Raises:
        PlanExpired: the plan is too old, past its ``valid_until``, or dated in the future.
    """
    age, made_at = now - plan.timestamp, plan.timestamp.isoformat()
    if age > seconds(max_age_minutes * 60):
        limit = format_decimal(max_age_minutes)
        raise PlanExpired("timestamp", f"{made_at} is over {limit} minutes ago; create a new plan")
    if age < -seconds(max_skew_seconds):
        limit = format_decimal(max_skew_seconds)
        raise PlanExpired("timestamp", f"{made_at} is over {limit} seconds in the future; check the sender's clock")
    if plan.valid_until is not None and now > plan.valid_until:
        raise PlanExpired("valid_until", f"{plan.valid_until.isoformat()} has passed; create a new plan")


def account_denial(account: Account, expected_number: str | None) -> Denial | None:
    """Deny unless the credentials belong to the configured account and the broker lets it trade.

    Live trading is checked earlier: ``settings`` and the source of credentials raise ``LiveNotAllowed``.
    """
    if expected_number is not None and account.account_number != expected_number:
        text = f"the credentials belong to account {account.account_number}; account_number is {expected_number}"
        return Denial(Code.ACCOUNT_MISMATCH, text)
    if account.blocked_by is not None:
        return Denial(Code.ACCOUNT_BLOCKED, f"the broker blocks trading on this account: {account.blocked_by}")
    return None


def binding_denial(account: str, bound_to: str, account_number: str) -> Denial | None:
    """Deny if the broker account is bound to another account name: both would spend the same cash."""
    if bound_to == account:
        return None
    text = f"broker account {account_number} belongs to account {bound_to}; to move it to {account}: "
    text += f'rebalance bind --account {account} --reason "..."'
    return Denial(Code.ACCOUNT_MISMATCH, text)


def deployment_denial(
    recent: Iterable[BrokerOrder], binding: AccountBinding | None, account_number: str, deployment: str
) -> Denial | None:
    """Deny if another deployment of this program sent one of the account's recent orders.

    Each deployment has a table of its own: neither knows the leases, limits and kill switch of the other. Orders from
    before an operator moved the broker account here do not count.
    """
    own = deployment_prefix(deployment)
    since = binding.bound_at if binding is not None and binding.by is not None else None
    for order in recent:
        is_later = since is None or order.submitted_at is None or order.submitted_at > since
        if is_later and is_of_another_deployment(order.client_order_id, deployment):
            text = f"another deployment trades on broker account {account_number}: it sent {order.client_order_id}"
            text += f" at {format_time(order.submitted_at)}" if order.submitted_at is not None else ""
            text += f", and the IDs of this one start with {own}; use another broker account, or stop that deployment, "
            text += "then: rebalance bind"
            return Denial(Code.ACCOUNT_MISMATCH, text)
    return None


def trading_day_denial(started: date | None, now: date | None) -> Denial | None:
    """Deny new orders of a plan that was started on an earlier trading day: its orders and quotes are of that day."""
    if started is None or now is None or started == now:
        return None
    return Denial(Code.MARKET_CLOSED, f"the plan's trading day, {started.isoformat()}, has ended")


def session_denial(clock: MarketClock, *, extended_hours: bool = False) -> Denial | None:
    """Deny while the broker's clock shows a closed market; ``extended_hours`` also allows the hours before the open."""
    if clock.is_open or (extended_hours and clock.now >= clock.next_open - EARLY_HOURS):
        return None
    return Denial(Code.MARKET_CLOSED, f"the market is closed; it opens at {format_time(clock.next_open)}")


def runs_denial(runs: int, limits: Limits) -> Denial | None:
    """Deny a plan that takes more than ``max_runs`` runs: further runs would not finish it either."""
    if runs <= limits.max_runs:
        return None
    return Denial(Code.TOO_MANY_RUNS, f"this is run {runs} of the plan; max_runs is {limits.max_runs}")


def plans_denial(risk: RiskState, limits: Limits) -> Denial | None:
    """Deny when ``max_plans_per_day`` plans started today; count from the latest change of the kill switch."""
    since = risk.kill_switch.at
    started = sum(since is None or plan.at > since for plan in risk.plans)
    if started < limits.max_plans_per_day:
        return None
    text = f"plans started today: {started}; max_plans_per_day is {limits.max_plans_per_day}"
    return Denial(Code.TOO_MANY_PLANS, text)


# --- the plan's orders together --------------------------------------------------------------------------


def plan_limit_denial(buys: Decimal, sells: Decimal, equity: Decimal, limits: Limits) -> Denial | None:
    """Check gross, net and turnover of the plan, in dollars. An equity of 0 means that it is unknown."""
    bounds = (limits.max_plan_gross_dollars, limits.max_plan_net_dollars, limits.max_plan_turnover)
    text = _exceeded_limit("plan", buys, sells, equity, bounds)
    return Denial(Code.PLAN_LIMIT, f"the plan would trade {text}") if text is not None else None


def day_limit_denial(after: DailyUsage, equity: Decimal, limits: Limits) -> Denial | None:
    """Check gross, net and turnover of the account's trading day, in dollars and with this plan included."""
    bounds = (limits.max_day_gross_dollars, limits.max_day_net_dollars, limits.max_day_turnover)
    text = _exceeded_limit("day", after.buys, after.sells, equity, bounds)
    return Denial(Code.DAILY_LIMIT, f"trading day {after.on} would reach {text}") if text is not None else None


def _exceeded_limit(
    period: str, buys: Decimal, sells: Decimal, equity: Decimal, bounds: tuple[Decimal | None, ...]
) -> str | None:
    gross, net = buys + sells, abs(buys - sells)
    max_gross, max_net, max_turnover = bounds
    if max_gross is not None and gross > max_gross:
        return f"{format_dollars(gross)} gross; max_{period}_gross_dollars is {format_dollars(max_gross)}"
    if max_net is not None and net > max_net:
        return f"{format_dollars(net)} net; max_{period}_net_dollars is {format_dollars(max_net)}"
    if max_turnover is not None and gross > max_turnover * equity:
        of = f"equity of {format_dollars(equity)}" if equity else "unknown equity"
        return f"{format_dollars(gross)} with {of}; max_{period}_turnover is {format_decimal(max_turnover)}"
    return None
