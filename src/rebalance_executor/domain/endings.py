"""End of a parent order: the outcome that follows from what was sent and filled, with its code and its message."""

from __future__ import annotations

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import Decision, DecisionContext, Settle, Wait
from rebalance_executor.domain.orders import ChildOrder, Outcome, ParentOrder
from rebalance_executor.domain.values import seconds


def denied(parent: ParentOrder, code: Code, message: str) -> Settle:
    """Return DENIED if nothing was ever sent, and an unfinished outcome otherwise."""
    return unfinished(parent, code, message) if parent.attempts else Settle(Outcome.DENIED, code, message)


def unfinished(parent: ParentOrder, code: Code, message: str) -> Settle:
    """Return PARTIALLY_FILLED or, without a fill, UNFILLED."""
    return Settle(Outcome.PARTIALLY_FILLED if parent.filled_qty else Outcome.UNFILLED, code, message)


def rejected(parent: ParentOrder, child: ChildOrder) -> Settle:
    """Return the end of a parent whose order the broker rejected, for an auction or not."""
    code = Code.AUCTION_REJECTED if child.is_for_auction else Code.REJECTED
    outcome = Outcome.PARTIALLY_FILLED if parent.filled_qty else Outcome.REJECTED
    return Settle(outcome, code, child.error_message or "rejected by the broker after acceptance")


def no_position(parent: ParentOrder) -> Settle:
    """Return the end of a sell of which the account holds nothing more."""
    text = "the account holds none of the shares that remain to be sold: they were sold outside this plan"
    return denied(parent, Code.NO_POSITION, text)


def no_funds(parent: ParentOrder) -> Settle:
    """Return the end of a buy for which there are no dollars."""
    text = "the remainder does not fit into cash + proceeds"
    if parent.attempts:
        return unfinished(parent, Code.INSUFFICIENT_CASH, text)
    return Settle(Outcome.SKIPPED, Code.INSUFFICIENT_CASH, text)


def without_quote(parent: ParentOrder, context: DecisionContext, config: ExecutionConfig) -> Decision:
    """Return ``Wait`` while a usable quote may still come, and the end of the parent afterwards."""
    missing_since = context.quote_missing_since or context.now
    if context.now - missing_since < seconds(config.quote_wait_seconds):
        return Wait()
    problem = context.quote_problem or (context.quote.problem if context.quote else None) or "no quote"
    return denied(parent, Code.QUOTE_UNUSABLE, problem)
