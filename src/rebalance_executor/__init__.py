"""Execution of portfolio rebalance plans on Alpaca: each plan once, no order twice, every outcome recorded."""

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.result import ExecutionResult, OrderResult
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.manager import ExecutionManager
from rebalance_executor.execution.ports import Ports

__all__ = [
    "Deadline",
    "ExecutionConfig",
    "ExecutionManager",
    "ExecutionResult",
    "OrderResult",
    "Ports",
    "RebalancePlan",
    "RebalancePlanItem",
]
