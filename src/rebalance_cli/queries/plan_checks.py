"""What is wrong with a plan, all at once, and what is worth a second look. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from rebalance_cli.outputs import Problem, Validation
from rebalance_cli.views.result import dollars
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.plan import Action, RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.values import format_decimal, seconds

_WEIGHT_STEP = Decimal("0.001")
_DOLLAR = Decimal(1)


def validate_plan(document: object, config: ExecutionConfig, now: datetime) -> Validation:
    """The verdict on a decoded plan document."""
    try:
        plan = RebalancePlan.parse(document)
    except InvalidInput as error:
        problems = tuple(Problem(path=path, text=text) for path, text in error.problems)
        return Validation(valid=False, plan_id=None, content_hash=None, problems=problems, remarks=())
    remarks = tuple(Problem(path=path, text=text) for path, text in _remarks(plan, config, now))
    return Validation(valid=True, plan_id=plan.plan_id, content_hash=plan.content_hash, problems=(), remarks=remarks)


def _remarks(plan: RebalancePlan, config: ExecutionConfig, now: datetime) -> Iterator[tuple[str, str]]:
    if now - plan.timestamp > seconds(config.max_plan_age_minutes * 60):
        yield (
            "timestamp",
            f"older than {format_decimal(config.max_plan_age_minutes)} minutes (max_plan_age_minutes): it would not be begun",
        )
    if plan.valid_until is not None and plan.valid_until < now:
        yield "valid_until", "has passed: it would not be begun"
    traded = sum((abs(item.trade_amount) for item in plan.trades), ZERO)
    if abs(abs(plan.total_trade_value) - traded) > _DOLLAR:
        yield "total_trade_value", f"is {dollars(plan.total_trade_value)}, the items come to {dollars(traded)}"
    weights = sum((item.target_weight for item in plan.items), ZERO)
    if weights > 1 + _WEIGHT_STEP:
        yield "items", f"target weights come to {format_decimal(weights)}: more than the portfolio"
    for number, item in enumerate(plan.items):
        for field, text in _item_remarks(item):
            yield f"items.{number}.{field}", f"{item.symbol}: {text}"


def _item_remarks(item: RebalancePlanItem) -> Iterator[tuple[str, str]]:
    difference = item.target_weight - item.current_weight
    if abs(difference - item.weight_diff) > _WEIGHT_STEP:
        yield "weight_diff", f"is {format_decimal(item.weight_diff)}, target − current is {format_decimal(difference)}"
    wanted = item.target_value - item.current_value
    if item.action is not Action.HOLD and wanted * item.trade_amount < 0:
        yield "trade_amount", f"is {dollars(item.trade_amount)}, the values ask for {dollars(wanted)}"
    if item.is_full_exit:
        yield "target_value", "0 on a SELL: the whole position is sold, whatever the amount says"
