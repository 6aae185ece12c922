"""The fill models: when a limit order would have been filled by recorded quotes and trades.

None of them models the order's own impact: liquidity that it took still stands in later quotes.
"""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from enum import StrEnum

from benchmarks.replay.tape import Tape
from rebalance_executor.domain.market import ZERO

LATENCY = 100
"""Milliseconds until an order or a cancel takes effect."""
_TRADE_DELAY = 20
"""Milliseconds after an order goes live before which a trade may have happened earlier than it was recorded."""


class FillModel(StrEnum):
    """What fills an order that rests, apart from what it takes when it goes live."""

    TOUCH = "touch"
    """Sizes that are newly displayed at or below the limit."""
    STRICT = "strict"
    """Also trades below the limit."""
    QUEUE = "queue"
    """Also trades at the limit, after the size that was displayed there before."""
    QUEUE3 = "queue3"
    """The same with three times the displayed size."""


_DISPLAYED = {FillModel.QUEUE: 1, FillModel.QUEUE3: 3}
"""Shares ahead in the queue per displayed share."""


class Order:
    """One order to buy on a tape: a limit, or a market order if the limit is None.

    Call ``look`` with increasing times. Prices are in units of the tape. A market order is filled at the ask when it
    goes live, whatever size is displayed.
    """

    def __init__(self, tape: Tape, model: FillModel, qty: Decimal, limit: int | None, sent_at: int) -> None:
        self.qty = qty
        self.limit = limit
        self.live_at = sent_at + LATENCY
        self.filled = ZERO
        self.value = ZERO
        """Units of price × shares of the fills."""
        self.filled_at: int | None = None
        """Time of the last fill."""
        self.fills: list[tuple[int, int, Decimal]] = []
        """Time, price and shares of each fill."""
        self._canceled_at: int | None = None
        self._is_open = True
        self._is_live = False
        self._tape = tape
        self._model = model
        self._displayed = _DISPLAYED.get(model, 0)
        self._state = -1
        """Index of the last quote that was processed."""
        self._trade = 0
        """Index of the next trade."""
        self._ask = (0, 0)
        """The remembered ask and its size."""
        self._ahead: int | None = None
        """Shares ahead in the queue; None if unknown, because the limit is below the bid."""

    @property
    def is_open(self) -> bool:
        """True until a look finds the order filled or its cancel in effect."""
        return self._is_open

    @property
    def is_cancel_requested(self) -> bool:
        """True once ``cancel`` was called."""
        return self._canceled_at is not None

    def cancel(self, at: int) -> None:
        """Request the cancel at ``at``; fills until it takes effect count."""
        self._canceled_at = at + LATENCY

    def look(self, until: int) -> None:
        """Process what happened up to ``until``, or up to the cancel: first the quotes, then the trades."""
        if not self._is_open:
            return
        is_over = self._canceled_at is not None and self._canceled_at <= until
        end = self._canceled_at if is_over and self._canceled_at is not None else until
        if not self._is_live and end >= self.live_at:
            self._go_live()
        if self._is_live and self.limit is not None:
            self._see_quotes(end, self.limit)
            if self._model is not FillModel.TOUCH:
                self._see_trades(end, self.limit)
            self._see_queue(self.limit)
        self._is_open = not is_over and self.filled < self.qty

    def _go_live(self) -> None:
        tape, quotes = self._tape, self._tape.quotes
        self._is_live = True
        self._state = state = max(tape.state_at(self.live_at), 0)
        self._trade = bisect_right(tape.trades.times, self.live_at + _TRADE_DELAY)
        bid, ask, size = quotes.bids[state], quotes.asks[state], quotes.ask_sizes[state]
        if self.limit is None:
            self._fill(self.live_at, ask, self.qty)
            return
        is_taking = bid <= ask <= self.limit
        if is_taking:
            self._fill(self.live_at, ask, size)
        self._ask = (ask, 0 if is_taking else size)
        if self.limit >= bid:
            self._ahead = self._displayed * quotes.bid_sizes[state] if self.limit == bid else 0

    def _see_quotes(self, end: int, limit: int) -> None:
        quotes = self._tape.quotes
        last = self._tape.state_at(end)
        for state in range(self._state + 1, last + 1):
            ask, size = quotes.asks[state], quotes.ask_sizes[state]
            if quotes.bids[state] < ask <= limit:
                known_ask, known_size = self._ask
                self._fill(quotes.times[state], limit, size if ask != known_ask else size - known_size)
            self._ask = (ask, size)
        self._state = max(self._state, last)

    def _see_trades(self, end: int, limit: int) -> None:
        trades = self._tape.trades
        last = bisect_right(trades.times, end)
        for index in range(self._trade, last):
            price, size = trades.prices[index], trades.sizes[index]
            if price < limit:
                self._fill(trades.times[index], limit, size)
            elif price == limit and self._displayed:
                self._trade_at_limit(trades.times[index], limit, size)
        self._trade = max(self._trade, last)

    def _trade_at_limit(self, at: int, limit: int, size: int) -> None:
        state = self._tape.state_before(at)
        if state >= 0 and self._tape.quotes.bids[state] < limit:
            self._ahead = 0
        if self._ahead is not None:
            self._fill(at, limit, size - self._ahead)
            self._ahead = max(0, self._ahead - size)

    def _see_queue(self, limit: int) -> None:
        """Compare the shares ahead with the quote at the end of a look: what is canceled there moves the order up."""
        bid, size = self._tape.quotes.bids[self._state], self._tape.quotes.bid_sizes[self._state]
        displayed = self._displayed * size
        if bid < limit:
            self._ahead = 0
        elif bid == limit:
            self._ahead = displayed if self._ahead is None else min(self._ahead, displayed)

    def _fill(self, at: int, price: int, size: Decimal | int) -> None:
        qty = min(self.qty - self.filled, Decimal(size))
        if qty > 0:
            self.filled += qty
            self.value += qty * price
            self.filled_at = at
            self.fills.append((at, price, qty))
