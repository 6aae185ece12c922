"""The result: what is returned, stored and published. One typed shape for all three."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import Action
from rebalance_executor.domain.values import Amount, Timestamp


class ExecutionStatus(StrEnum):
    """How a plan ended."""

    SUCCESS = "success"
    SUCCESS_WITH_SKIPS = "success_with_skips"
    PARTIAL_SUCCESS = "partial_success"
    FAILURE = "failure"
    UNRESOLVED = "unresolved"


class _Dto(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ChildResult(_Dto):
    """One order at the broker."""

    client_order_id: str
    order_id: str | None = Field(description="The broker's id; null where none is known.")
    status: str = Field(description="The broker's last word, or this program's where it has none.")
    type: str
    limit_price: Amount | None
    qty: Amount
    filled_qty: Amount
    filled_avg_price: Amount | None
    submitted_at: Timestamp | None
    closed_at: Timestamp | None


class OrderResult(_Dto):
    """What became of one item of the plan."""

    symbol: str
    action: Action
    outcome: Outcome
    success: bool = Field(description="Filled as planned.")
    skipped: bool
    skip_reason: str | None = Field(default=None, description="Code, for SKIPPED.")
    error_code: str | None = Field(default=None, description="Code, for anything that deserves a remark.")
    error_message: str | None = None
    trade_amount: Amount = Field(description="Filled dollars, signed: negative for SELL.")
    planned_trade_amount: Amount = Field(description="Dollars of the plan's item, signed.")
    shares: Amount = Field(description="Filled shares.")
    planned_shares: Amount = Field(description="The frozen quantity of the parent order.")
    price: Amount | None = Field(description="Average fill price, from the broker.")
    expected_price: Amount | None = Field(description="Arrival mid.")
    slippage_amount: Amount | None = Field(description="Dollars lost against arrival mid; positive is a cost.")
    slippage_bps: Amount | None = Field(description="The same in basis points of the filled dollars.")
    delay_amount: Amount | None = Field(
        default=None, description="Of these dollars: from arrival mid to the mid when each child was priced."
    )
    spread_amount: Amount | None = Field(
        default=None, description="Of these dollars: half the spread when each child was priced."
    )
    residual_amount: Amount | None = Field(
        default=None, description="The rest of them: what waiting won back (negative) or impact cost."
    )
    delay_bps: Amount | None = Field(default=None, description="The delay in basis points of the filled dollars.")
    spread_bps: Amount | None = Field(default=None, description="The spread, likewise.")
    residual_bps: Amount | None = Field(default=None, description="What they leave of slippage_bps.")
    order_type: str | None = None
    order_id: str | None = Field(default=None, description="The last child's.")
    client_order_id: str | None = Field(default=None, description="The last child's.")
    children: tuple[ChildResult, ...] = ()
    current_weight: Amount | None = Field(default=None, description="Share of the portfolio when the plan was made.")
    target_weight: Amount | None = Field(default=None, description="Share of the portfolio that the plan wanted.")
    filled_at: Timestamp | None = None
    timestamp: Timestamp = Field(description="When the item was settled.")


class DifferenceResult(_Dto):
    """One thing in which broker and journal differ."""

    symbol: str
    problem: str


class ExecutionResult(_Dto):
    """What became of a plan."""

    schema_version: str = "1.0.0"
    plan_id: str
    correlation_id: str
    causation_id: str
    account: str
    status: ExecutionStatus
    success: bool = Field(description="success or success_with_skips.")
    orders: tuple[OrderResult, ...]
    orders_placed: int = Field(description="Items with at least one order that has a broker id.")
    orders_succeeded: int
    orders_skipped: int
    orders_denied: int
    orders_rejected: int = 0
    orders_unresolved: int = 0
    total_trade_value: Amount = Field(description="Filled dollars, unsigned.")
    total_portfolio_value: Amount | None = Field(default=None, description="The plan's; dollars.")
    started_at: Timestamp
    execution_timestamp: Timestamp = Field(description="When the plan was finished.")
    runs: int
    slippage_bps: Amount | None = Field(
        description="Implementation shortfall against arrival mid; null if nothing filled."
    )
    slippage_amount: Amount | None = Field(default=None, description="The same in dollars; the orders' sum.")
    delay_amount: Amount | None = Field(default=None, description="Of these dollars; the orders' sum, likewise below.")
    spread_amount: Amount | None = None
    residual_amount: Amount | None = None
    delay_bps: Amount | None = Field(default=None, description="In basis points of the filled dollars, likewise below.")
    spread_bps: Amount | None = None
    residual_bps: Amount | None = None
    differences: tuple[DifferenceResult, ...] = Field(
        default=(), description="In what broker and journal differ after the trade; any of them makes it unresolved."
    )
    metadata: dict[str, Any] = Field(default_factory=dict)
