"""Execution of portfolio rebalance plans on Alpaca: each plan once, no order twice, every outcome recorded."""

import gc
from typing import TYPE_CHECKING, Any

# Nearly all objects that imports create stay. Collecting meanwhile finds nothing and takes a tenth of the import.
_collects = gc.isenabled()
gc.disable()

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.portfolio import Holding, Portfolio, WeightRules
from rebalance_executor.domain.result import ExecutionResult, OrderResult
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.manager import PlanManager
from rebalance_executor.execution.ports import Ports

if TYPE_CHECKING:
    from rebalance_executor.library import ExecutionManager, PlanInterrupted

if _collects:
    gc.enable()

__all__ = [
    "Deadline",
    "ExecutionConfig",
    "ExecutionManager",
    "ExecutionResult",
    "Holding",
    "OrderResult",
    "PlanInterrupted",
    "PlanManager",
    "Portfolio",
    "Ports",
    "RebalancePlan",
    "RebalancePlanItem",
    "WeightRules",
]

_OF_LIBRARY = frozenset({"ExecutionManager", "PlanInterrupted"})


def __getattr__(name: str) -> Any:
    """Return a name of the library on its first use: the deployed function needs neither it nor SQLite."""
    if name not in _OF_LIBRARY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rebalance_executor import library

    return getattr(library, name)
