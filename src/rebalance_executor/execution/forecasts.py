"""The forecasts of a plan's parent orders, from the quotes and averages that were read to size and work them."""

from __future__ import annotations

from dataclasses import replace

from rebalance_executor.domain.cost_model import Conditions, forecast
from rebalance_executor.domain.forecast import CostForecast
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.run import Run
from rebalance_executor.execution.volumes import Volumes


class Forecasts:
    """Makes forecasts for plans that start now on one account. They cost no request."""

    def __init__(self, access: AccountAccess, volumes: Volumes) -> None:
        self._clock = access.clock
        self._quotes = access.quotes
        self._broker_kind = access.ports.broker_kind
        self._config = access.config
        self._volumes = volumes

    def add_to(self, run: Run) -> None:
        """Give every parent of the run without an outcome its forecast."""
        schedules = {side: run.wave_schedule(side, self._config) for side in Side}
        for parent in run.unsettled():
            run.work.update_parent(replace(parent, forecast=self.of(parent, schedules[parent.side])))

    def of(self, parent: ParentOrder, schedule: WaveSchedule) -> CostForecast:
        """Return the forecast of a parent without an outcome that is worked by this schedule."""
        average, quote = self._volumes.known.get(parent.symbol), self._quotes.latest.get(parent.symbol)
        if quote is None:
            return CostForecast(reason="there is no quote")
        conditions = Conditions(
            quote=quote,
            at=self._clock.now(),
            volume=average.shares if average is not None else None,
            volatility=average.volatility if average is not None else None,
            unknown_reason=self._volumes.unknown_reason if average is None else None,
            broker=self._broker_kind,
        )
        return forecast(parent, conditions, schedule, self._config.for_symbol(parent.symbol))
