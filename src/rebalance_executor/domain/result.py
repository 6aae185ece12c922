"""The result of a plan: one model for what is returned, stored and published."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from rebalance_executor.domain.codes import NO_TRADE_NEEDED
from rebalance_executor.domain.market import ZERO, BrokerKind, TimeInForce
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import Action, ExecutionStyle, RebalancePlan, SizeBy
from rebalance_executor.domain.values import Amount, Timestamp, sum_of_cents


class ExecutionStatus(StrEnum):
    """Final status of a plan."""

    SUCCESS = "success"
    """Every item reached the amount that the plan asked for, or needed no trade at all."""
    SUCCESS_WITH_SKIPS = "success_with_skips"
    """Every traded item reached the amount that the plan asked for; the others needed no trade."""
    PARTIAL_SUCCESS = "partial_success"
    """Shares were filled, but at least one item fell short of the amount that the plan asked for."""
    FAILURE = "failure"
    """Nothing was filled."""
    UNRESOLVED = "unresolved"
    """An item is UNRESOLVED, or broker and journal differ after the trade; an operator must look."""


class _Dto(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ChildResult(_Dto):
    """One order at the broker."""

    client_order_id: str
    order_id: str | None = Field(description="The broker's ID; null if unknown.")
    status: str = Field(description="The broker's latest status; the program's own state if the broker reported none.")
    type: str
    time_in_force: TimeInForce = Field(default=TimeInForce.DAY, description="opg or cls for an order in an auction.")
    limit_price: Amount | None
    qty: Amount
    filled_qty: Amount
    filled_avg_price: Amount | None
    submitted_at: Timestamp | None
    filled_at: Timestamp | None = Field(default=None, description="Time of the latest fill.")
    closed_at: Timestamp | None = Field(description="Time at which the order ended.")


class OrderResult(_Dto):
    """Outcome of one item of the plan."""

    symbol: str
    action: Action
    outcome: Outcome
    success: bool = Field(
        description="True if the fills reached requested_shares, less the configured success_tolerance. Where only "
        "whole shares trade, the fraction of a share may be missing as well."
    )
    skipped: bool
    skip_reason: str | None = Field(default=None, description="Code, for SKIPPED.")
    error_code: str | None = Field(
        default=None, description="Code; null for an item that was filled without a remark, or skipped as a HOLD."
    )
    error_message: str | None = None
    trade_amount: Amount = Field(description="Filled dollars, signed: negative for SELL.")
    planned_trade_amount: Amount = Field(description="Dollars of the plan's item, signed.")
    shares: Amount = Field(description="Filled shares.")
    planned_shares: Amount = Field(description="The frozen quantity of the parent order, after any reduction.")
    requested_trade_amount: Amount = Field(
        description="Dollars asked for, signed: those of the plan or, sized by a target, those to the target at "
        "arrival; 0 for a HOLD."
    )
    requested_shares: Amount = Field(
        description="Shares that the plan asked for, before the order was reduced to whole shares, to the cash or to "
        "the available shares; 0 if the item was not sized."
    )
    price: Amount | None = Field(description="Average fill price, from the broker.")
    expected_price: Amount | None = Field(description="Arrival mid.")
    slippage_amount: Amount | None = Field(
        description="Implementation shortfall against the arrival mid in dollars; positive is a cost."
    )
    slippage_bps: Amount | None = Field(description="Implementation shortfall in basis points of the filled dollars.")
    delay_amount: Amount | None = Field(
        default=None,
        description="Part of slippage_amount: from the arrival mid to the mid when the first child was priced.",
    )
    timing_amount: Amount | None = Field(
        default=None,
        description="Part of slippage_amount: from the mid when the first child was priced to that of each filled "
        "child; contains the impact of earlier children.",
    )
    spread_amount: Amount | None = Field(
        default=None, description="Part of slippage_amount: half the spread when each child was priced."
    )
    residual_amount: Amount | None = Field(
        default=None, description="Rest of slippage_amount: gain from waiting (negative) or cost of impact."
    )
    delay_bps: Amount | None = Field(default=None, description="delay_amount in basis points of the filled dollars.")
    timing_bps: Amount | None = Field(default=None, description="timing_amount in basis points of the filled dollars.")
    spread_bps: Amount | None = Field(default=None, description="spread_amount in basis points of the filled dollars.")
    residual_bps: Amount | None = Field(default=None, description="slippage_bps less the other parts.")
    execution_style: ExecutionStyle = Field(
        default=ExecutionStyle.WORK, description="Style of the item: its own, or that of the plan."
    )
    forecast_bps: Amount | None = Field(
        default=None,
        description="Forecast of the implementation shortfall when the plan started, in basis points; null if unknown.",
    )
    forecast_low_bps: Amount | None = Field(default=None, description="Low end of its 90 % interval.")
    forecast_high_bps: Amount | None = Field(default=None, description="High end of its 90 % interval.")
    forecast_reason: str | None = Field(default=None, description="Reason why the forecast is unknown.")
    order_type: str | None = None
    order_id: str | None = Field(default=None, description="The broker's ID of the last child order.")
    client_order_id: str | None = Field(default=None, description="Client order ID of the last child order.")
    children: tuple[ChildResult, ...] = ()
    current_weight: Amount | None = Field(default=None, description="Share of the portfolio when the plan was made.")
    target_weight: Amount | None = Field(default=None, description="Target share of the portfolio.")
    filled_at: Timestamp | None = Field(default=None, description="Time of the latest fill.")
    timestamp: Timestamp = Field(description="Time at which the item was settled.")

    @property
    def needs_attention(self) -> bool:
        """True unless the item reached what the plan asked for, or needed no trade."""
        return not self.success and self.skip_reason not in NO_TRADE_NEEDED

    @property
    def filled_fraction(self) -> Decimal:
        """Filled shares as a fraction of those that the plan asked for; 0 if the item was not sized."""
        return self.shares / self.requested_shares if self.requested_shares else ZERO


class DifferenceResult(_Dto):
    """One difference between broker and journal."""

    symbol: str
    problem: str


class ExecutionResult(_Dto):
    """Result of a plan."""

    schema_version: str = "1.0.0"
    plan_id: str
    correlation_id: str
    causation_id: str
    account: str
    broker: BrokerKind = Field(
        description="Broker of the orders. Fills of paper and simulated say nothing about live costs."
    )
    status: ExecutionStatus
    success: bool = Field(description="True if the status is success or success_with_skips.")
    orders: tuple[OrderResult, ...]
    orders_placed: int = Field(description="Items with at least one order that has an ID of the broker.")
    orders_succeeded: int = Field(description="Items that reached the amount that the plan asked for.")
    orders_skipped: int
    orders_denied: int
    orders_scaled: int = Field(
        default=0, description="Items whose order was reduced to the cash or to the available shares."
    )
    orders_rejected: int = 0
    orders_unresolved: int = 0
    total_trade_value: Amount = Field(description="Filled dollars, unsigned.")
    total_portfolio_value: Amount | None = Field(default=None, description="Dollars, from the plan.")
    size_by: SizeBy = Field(default=SizeBy.TRADE_AMOUNT, description="Field of the items that sized their orders.")
    equity: Amount | None = Field(
        default=None, description="Live equity in dollars when the items were sized; null if unknown."
    )
    started_at: Timestamp
    execution_timestamp: Timestamp = Field(description="Time at which the plan finished.")
    runs: int
    slippage_bps: Amount | None = Field(
        description="Implementation shortfall against arrival mid; null if nothing filled."
    )
    slippage_amount: Amount | None = Field(
        default=None, description="Implementation shortfall in dollars, summed over the orders."
    )
    delay_amount: Amount | None = Field(
        default=None, description="Delay in dollars, summed over the orders; the other parts likewise."
    )
    timing_amount: Amount | None = None
    spread_amount: Amount | None = None
    residual_amount: Amount | None = None
    delay_bps: Amount | None = Field(
        default=None, description="Delay in basis points of the filled dollars; the other parts likewise."
    )
    timing_bps: Amount | None = None
    spread_bps: Amount | None = None
    residual_bps: Amount | None = None
    forecast_bps: Amount | None = Field(
        default=None,
        description="Forecast of the implementation shortfall of all orders, in basis points of the dollars ordered.",
    )
    forecast_low_bps: Amount | None = Field(default=None, description="Low end of its 90 % interval.")
    forecast_high_bps: Amount | None = Field(default=None, description="High end of its 90 % interval.")
    forecast_reason: str | None = Field(
        default=None, description="Reason why the forecast is unknown: an order whose own is."
    )
    differences: tuple[DifferenceResult, ...] = Field(
        default=(),
        description="Differences between broker and journal after the trade; each one makes the plan unresolved.",
    )
    carried_plan: RebalancePlan | None = Field(
        default=None,
        description="Plan of what auctions left, for the next trading day (auction_remainder carry). A resume request "
        "starts it from its timestamp on.",
    )
    metadata: dict[str, Any] = Field(default_factory=dict)

    # Dollars as texts show them: sums of the orders' cents, so that what a reader adds up is what is printed.

    @property
    def traded(self) -> tuple[OrderResult, ...]:
        """Items that asked for a trade."""
        return tuple(order for order in self.orders if order.skip_reason not in NO_TRADE_NEEDED)

    @property
    def planned_dollars(self) -> Decimal:
        """Dollars of the plan's traded items, unsigned."""
        return sum_of_cents(abs(order.planned_trade_amount) for order in self.traded)

    @property
    def is_sized_by_target(self) -> bool:
        """True if targets decided about the dollars, so that they differ from those of the plan."""
        return self.size_by is not SizeBy.TRADE_AMOUNT

    @property
    def requested_dollars(self) -> Decimal:
        """Dollars asked for by the traded items, unsigned: the planned ones unless they were sized by a target."""
        return sum_of_cents(abs(order.requested_trade_amount) for order in self.traded)

    @property
    def filled_dollars(self) -> Decimal:
        """Filled dollars, unsigned."""
        return sum_of_cents(abs(order.trade_amount) for order in self.orders)

    @property
    def slippage_dollars(self) -> Decimal:
        """Implementation shortfall in dollars; 0 if nothing was filled."""
        return sum_of_cents(order.slippage_amount for order in self.orders if order.slippage_amount is not None)
