"""Access of a run to the account that it works on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.execution.holdings import Holdings
from rebalance_executor.execution.kill_switch import KillSwitch
from rebalance_executor.execution.ports import Broker, Clock, EventLog, Ports
from rebalance_executor.execution.quotes import QuoteFeed


@dataclass(frozen=True, slots=True)
class AccountAccess:
    """Access of one run to one account: its broker, quotes, holdings and kill switch, ports and configuration."""

    account: str
    """The account's name."""
    ports: Ports
    broker: Broker
    quotes: QuoteFeed
    holdings: Holdings
    kill_switch: KillSwitch
    config: ExecutionConfig
    sent_at: deque[datetime] = field(default_factory=deque)
    """Times of the submissions and cancels of the last minute, over all plans of the invocation."""

    @classmethod
    def create(cls, account: str, broker: Broker, ports: Ports, config: ExecutionConfig) -> AccountAccess:
        """Return the access to the account with this name. Nothing is read yet."""
        quotes, holdings = QuoteFeed(broker, ports.clock, config), Holdings(broker, ports.clock, config)
        return cls(account, ports, broker, quotes, holdings, KillSwitch(ports, account), config)

    def for_next_plan(self) -> AccountAccess:
        """Return the access for another plan of the same invocation; readings belong to the plan that they bound."""
        quotes = QuoteFeed(self.broker, self.ports.clock, self.config)
        holdings = Holdings(self.broker, self.ports.clock, self.config, at_most=self.holdings.left)
        return replace(self, quotes=quotes, holdings=holdings)

    @property
    def clock(self) -> Clock:
        """The clock."""
        return self.ports.clock

    @property
    def log(self) -> EventLog:
        """The event log."""
        return self.ports.log
