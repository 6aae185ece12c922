"""State of an account and of its plans of a day, read again and again with few requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from rebalance_cli.context import CliContext
from rebalance_cli.queries.plans import (
    LeaseHolder,
    PlanRecord,
    list_plans,
    load_record,
    parse_day,
    read_lease_holder,
    read_unfinished,
)
from rebalance_executor.domain.risk_state import AccountBinding, KillSwitchRecord

MAX_PLANS = 40
"""Plans of a day that are read completely; the others are counted."""


@dataclass(frozen=True, slots=True)
class LiveAccount:
    """An account at one moment, as the journal has it."""

    account: str
    day: date
    at: datetime
    """Time of the read."""
    switch: KillSwitchRecord
    lease_holder: LeaseHolder | None
    account_number: str | None
    """Number of the broker account that the latest plan started on; None without a plan."""
    binding: AccountBinding | None
    """The account name that the broker account belongs to; None if it is unknown."""
    plans: tuple[PlanRecord, ...]
    """The unfinished plan, whatever its day, and the plans of the day, latest first."""
    omitted: int
    """Plans of the day that are not in ``plans``."""


class LiveQuery:
    """Reads the state of an account. A finished plan is read once, because its result never changes.

    Args:
        ctx: the target.
        account: the account's name.
        day: the day in UTC as on the command line; None follows the clock.
    """

    def __init__(self, ctx: CliContext, account: str, day: str | None = None) -> None:
        self._ctx = ctx
        self._account = account
        self._day = day
        self._finished: dict[str, PlanRecord] = {}

    def read(self) -> LiveAccount:
        """Return the present state.

        Raises:
            RebalanceError: the journal did not answer, or contradicts itself.
        """
        ctx, account, day = self._ctx, self._account, parse_day(self._day, self._ctx.now)
        lease_holder = read_lease_holder(ctx, account)
        unfinished = read_unfinished(ctx, account)
        listed = [row.plan.plan_id for row in list_plans(ctx, account, day, day)]
        first = [unfinished.plan_id] if unfinished is not None else []
        plan_ids = list(dict.fromkeys([*first, *listed]))
        plans = tuple(self._records(plan_ids[:MAX_PLANS], lease_holder))
        number = plans[0].plan.account_number if plans else None
        return LiveAccount(
            account=account,
            day=day,
            at=ctx.now,
            switch=ctx.ports.risk_store.kill_switch(account),
            lease_holder=lease_holder,
            account_number=number,
            binding=ctx.risk_store.binding(number) if number is not None else None,
            plans=plans,
            omitted=len(plan_ids[MAX_PLANS:]),
        )

    def _records(self, plan_ids: list[str], lease_holder: LeaseHolder | None) -> Iterator[PlanRecord]:
        for plan_id in plan_ids:
            record = self._finished.get(plan_id) or load_record(self._ctx, self._account, plan_id, lease_holder)
            if record is not None:
                if record.journal.result is not None:
                    self._finished[plan_id] = record
                yield record
