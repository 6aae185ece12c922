"""Problems that make a plan invalid, and remarks about a valid plan. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from rebalance_cli.formatting import dollars, percent
from rebalance_cli.outputs import Problem, Validation
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.plan import Action, RebalancePlan, RebalancePlanItem, SizeBy, unknown_fields
from rebalance_executor.domain.values import format_decimal, format_time, seconds

_WEIGHT_TOLERANCE = Decimal("0.001")
_DOLLAR_TOLERANCE = Decimal(1)


def validate_plan(document: object, config: ExecutionConfig, now: datetime) -> Validation:
    """Return all problems of a decoded plan document, with the fields that are ignored and, if valid, other remarks."""
    text = "is not a field of a plan: it is ignored, in every item that has it"
    ignored = tuple(Problem(path=path, text=text) for path in unknown_fields(document))
    try:
        plan = RebalancePlan.parse(document)
        plan.check_weights(config.size_by)
    except InvalidInput as error:
        problems = tuple(Problem(path=path, text=text) for path, text in error.problems)
        return Validation(valid=False, plan_id=None, content_hash=None, problems=problems, remarks=ignored)
    remarks = (*ignored, *(Problem(path=path, text=text) for path, text in _remarks(plan, config, now)))
    return Validation(valid=True, plan_id=plan.plan_id, content_hash=plan.content_hash, problems=(), remarks=remarks)


def _remarks(plan: RebalancePlan, config: ExecutionConfig, now: datetime) -> Iterator[tuple[str, str]]:
    if now - plan.timestamp > seconds(config.max_plan_age_minutes * 60):
        limit = f"{format_decimal(config.max_plan_age_minutes)} minutes (max_plan_age_minutes)"
        yield "timestamp", f"older than {limit}; the plan would not start (PLAN_EXPIRED)"
    if plan.valid_until is not None and plan.valid_until < now:
        yield "valid_until", f"passed at {format_time(plan.valid_until)}; the plan would not start (PLAN_EXPIRED)"
    traded = sum((abs(item.trade_amount) for item in plan.trades), ZERO)
    if abs(abs(plan.total_trade_value) - traded) > _DOLLAR_TOLERANCE:
        yield "total_trade_value", f"is ${dollars(plan.total_trade_value)}, but the items total ${dollars(traded)}"
    weights = sum((item.target_weight for item in plan.items), ZERO)
    if weights > 1 + _WEIGHT_TOLERANCE:
        yield "items", f"target weights total {percent(weights)}, more than the portfolio"
    for number, item in enumerate(plan.items):
        for field, text in _item_remarks(item, plan.sized_by(config.size_by)):
            yield f"items.{number}.{field}", f"{item.symbol}: {text}"


def _item_remarks(item: RebalancePlanItem, size_by: SizeBy) -> Iterator[tuple[str, str]]:
    weight_diff = item.target_weight - item.current_weight
    if abs(weight_diff - item.weight_diff) > _WEIGHT_TOLERANCE:
        yield "weight_diff", f"is {percent(item.weight_diff)}, but target − current is {percent(weight_diff)}"
    value_diff = item.target_value - item.current_value
    if item.action is not Action.HOLD and value_diff * item.trade_amount < 0:
        amount = dollars(item.trade_amount, sign=True)
        yield "trade_amount", f"is {amount}, but target value − current value is {dollars(value_diff, sign=True)}"
    if item.is_full_exit(size_by):
        name = "target_value" if item.target_value == 0 else "target_weight"
        yield name, "is 0 for a SELL: the whole position is sold, regardless of trade_amount"
