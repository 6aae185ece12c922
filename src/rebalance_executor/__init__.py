"""Execution of portfolio rebalance plans on Alpaca: each plan once, no order twice, every outcome recorded."""

import gc

# Nearly all objects that imports create stay. Collecting meanwhile finds nothing and takes a tenth of the import.
_collects = gc.isenabled()
gc.disable()

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.portfolio import Holding, Portfolio, WeightRules
from rebalance_executor.domain.result import ExecutionResult, OrderResult
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.manager import ExecutionManager
from rebalance_executor.execution.ports import Ports

if _collects:
    gc.enable()

__all__ = [
    "Deadline",
    "ExecutionConfig",
    "ExecutionManager",
    "ExecutionResult",
    "Holding",
    "OrderResult",
    "Portfolio",
    "Ports",
    "RebalancePlan",
    "RebalancePlanItem",
    "WeightRules",
]
