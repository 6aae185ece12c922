"""Deliberate bugs of the account: its unfinished plans, cash, positions and name, old prices, targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from rebalance_executor.adapters.dynamodb import journal_actions
from rebalance_executor.adapters.dynamodb.delivery_log import DynamoDeliveryLog
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.domain import controls, sizing, targets
from rebalance_executor.domain.errors import PlanChanged
from rebalance_executor.domain.plan import SizeBy
from rebalance_executor.domain.risk_state import AccountBinding
from rebalance_executor.execution.executor import Executor
from rebalance_executor.execution.holdings import Holdings
from rebalance_executor.execution.lost_orders import LostOrders
from rebalance_executor.execution.manager import PlanManager
from rebalance_executor.execution.outbox import Outbox
from rebalance_executor.execution.ports import Lease
from rebalance_executor.idempotency import _Execution
from rebalance_executor.triggers import DeliveredPlan
from rebalance_simulation.bug_tools import Replacement, nothing


def _without_unfinished() -> Callable[..., Lease]:
    acquire = DynamoJournal.acquire

    def acquired(*args: Any, **times: Any) -> Lease:
        return replace(acquire(*args, **times), unfinished_plan_id=None)

    return acquired


def _released_only(self: PlanManager, _: Any, lease: Lease, __: Any) -> None:
    self._release_lease(lease)


def _bound_to_all(_: Any, account: str, account_number: str, at: datetime) -> AccountBinding:
    return AccountBinding(account_number, account, at)


def _read_once(reading: str) -> Callable[..., None]:
    def refresh(holdings: Holdings, parents: Any) -> None:
        parents = list(parents)
        if reading == "cash" and holdings._cash.read_at is None:  # noqa: SLF001 - a bug
            holdings.read_account(parents)
        if reading == "positions" and not holdings._shares:  # noqa: SLF001 - a bug
            holdings.read_positions([parent.symbol for parent in parents], parents)

    return refresh


def _valid_for_a_day(holdings: Holdings, _: Any) -> datetime:
    return holdings._clock.now() + timedelta(days=1)  # noqa: SLF001 - a bug


def _not_pinned(_: Any, __: str, delivered: DeliveredPlan, ___: Any) -> DeliveredPlan:
    return delivered


def _none_pinned(*_: Any) -> None:
    return None


def _always(*_: Any) -> bool:
    return True


def _never(*_: Any) -> bool:
    return False


def _refused_by_a_claim() -> Callable[..., Any]:
    run_unclaimed = _Execution.run_unclaimed

    def refused(execution: _Execution, reason: str) -> Any:
        if "other content" in reason:
            raise PlanChanged.for_plan("simulated")
        return run_unclaimed(execution, reason)

    return refused


def _sized_by_amount() -> Callable[..., Any]:
    request = targets.request

    def requested(item: Any, value: Any, basis: Any, config: Any) -> Any:
        return request(item, value, replace(basis, size_by=SizeBy.TRADE_AMOUNT), config)

    return requested


ACCOUNT_BUGS: dict[str, list[Replacement]] = {
    "an unfinished plan of the account is ignored": [
        (DynamoJournal, "acquire", _without_unfinished),
        (
            journal_actions,
            "NO_OTHER_PLAN",
            lambda: f"{journal_actions.LEASE_IS_OURS} AND (attribute_exists(epoch) OR plan_id = :plan)",
        ),
    ],
    "a finished plan still counts as unfinished": [
        (journal_actions, "FINISH", lambda: f"{journal_actions.RELEASE} REMOVE note")
    ],
    "an unfinished plan is not listed": [
        (journal_actions, "SET_UNFINISHED", lambda: journal_actions.SET_UNFINISHED.replace("#day =", "note =")),
    ],
    "an earlier plan is not worked on": [(PlanManager, "_finish_earlier", lambda: _released_only)],
    "two account names trade on one broker account": [(DynamoRiskStore, "bind_account", lambda: _bound_to_all)],
    "cash is read once per run": [
        (Holdings, "refresh_account", lambda: _read_once("cash")),
        (Holdings, "covers_until", lambda: _valid_for_a_day),
    ],
    "positions are read once per run": [
        (Holdings, "refresh_positions", lambda: _read_once("positions")),
        (Holdings, "covers_until", lambda: _valid_for_a_day),
    ],
    "a lost order is sent again without cover": [(LostOrders, "_is_covered", lambda: _always)],
    "an old quote prices an order": [(Outbox, "is_too_late", lambda: _never)],
    "orders keep working after an error": [(Executor, "withdraw", lambda: nothing)],
    "every delivery reads the latest version of a plan": [(DynamoDeliveryLog, "pin", lambda: _not_pinned)],
    "a deleted object makes a plan invalid that was delivered before": [
        (DynamoDeliveryLog, "pinned", lambda: _none_pinned)
    ],
    "targets are ignored": [(sizing, "request", _sized_by_amount)],
    "re-targeting has no bound": [
        (targets, "_beyond_tolerance", lambda: nothing),
        (controls, "_drifted", lambda: nothing),
    ],
    "the no-trade band is ignored": [(targets, "_within_band", lambda: nothing)],
    "a claim with other content makes a plan invalid": [(_Execution, "run_unclaimed", _refused_by_a_claim)],
}
"""By name: what each bug replaces."""
