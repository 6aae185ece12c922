"""The portfolio of an account, read from its broker."""

from __future__ import annotations

from rebalance_executor.domain.cash import funds
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.portfolio import Holding, Portfolio
from rebalance_executor.domain.targets import known_equity
from rebalance_executor.execution.ports import BrokerReads


def read_portfolio(broker: BrokerReads) -> Portfolio:
    """Read equity, cash and all positions. Positions are valued at the midpoint; without a usable quote, at None.

    Raises:
        InvalidInput: the broker reports no positive equity.
        BrokerUnavailable: a read failed.
    """
    account, positions = broker.account(), broker.positions(None)
    equity = known_equity(account)
    if equity is None:
        raise InvalidInput("equity", "the broker reports no positive equity of this account")
    held = {symbol: position for symbol, position in positions.items() if position.qty}
    quotes = broker.quotes(sorted(held)) if held else {}
    mids = {symbol: quote.mid for symbol, quote in quotes.items() if quote.problem is None}
    holdings = {
        symbol: Holding(position.qty * mids[symbol] if symbol in mids else None, position.qty)
        for symbol, position in held.items()
    }
    return Portfolio(equity, funds(account), holdings)
