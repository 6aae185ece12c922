"""What stands in for a quote that cannot be used, where that is configured: the last trade."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import quote_problem
from rebalance_executor.domain.market import Quote
from rebalance_executor.domain.styles import UnusableQuotePolicy
from rebalance_executor.execution.ports import Broker


def last_trades(broker: Broker, symbols: Sequence[str], config: ExecutionConfig, now: datetime) -> dict[str, Quote]:
    """The last trades of those symbols for which they may price a limit, and whose last trade is recent enough."""
    asked = [symbol for symbol in symbols if config.for_symbol(symbol).unusable_quote is UnusableQuotePolicy.LAST_TRADE]
    if not asked:
        return {}
    found = {symbol: Quote.of_trade(trade) for symbol, trade in broker.last_trades(asked).items()}
    return {symbol: q for symbol, q in found.items() if quote_problem(q, config.for_symbol(symbol), now) is None}
