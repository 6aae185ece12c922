"""The portfolio of an account, from which new plans are made."""

from __future__ import annotations

from rebalance_executor.domain.cash import funds
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.portfolio import Holding, Portfolio
from rebalance_executor.domain.targets import known_equity
from rebalance_executor.execution.ports import Broker


def read_portfolio(broker: Broker) -> Portfolio:
    """Read equity, cash and all positions of an account; positions are valued at the midpoint.

    Raises:
        InvalidInput: the broker reports no positive equity.
        BrokerUnavailable: the broker did not answer.
    """
    account, positions = broker.account(), broker.positions(None)
    equity = known_equity(account)
    if equity is None:
        raise InvalidInput("account", "the broker reports no positive equity; check the account with rebalance doctor")
    held = {symbol: position for symbol, position in positions.items() if position.qty}
    quotes = broker.quotes(sorted(held)) if held else {}
    holdings = {}
    for symbol, position in held.items():
        quote = quotes.get(symbol)
        is_usable = quote is not None and quote.problem is None
        holdings[symbol] = Holding(position.qty * quote.mid if quote is not None and is_usable else None, position.qty)
    return Portfolio(equity, funds(account), holdings)
