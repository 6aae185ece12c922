"""Stable codes of items that were not filled completely, or not with the planned quantity.

*Denied* means by our controls, *rejected* means by the broker. An unknown outcome is neither.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Reason why an item was not filled completely, or a remark on one that was."""

    # skipped: no trade, or no cash
    HOLD = "HOLD"
    """The plan asks for no trade."""
    INSUFFICIENT_CASH = "INSUFFICIENT_CASH"
    """The buy does not fit into cash + actual proceeds; at the cash gate, less the buffer."""

    # skipped: sized by a target or by a minimum trade, the item needs no trade
    NO_TRADE_NEEDED = "NO_TRADE_NEEDED"
    """The position is at its target, beyond it, or less than a share away where only whole shares trade."""
    WITHIN_BAND = "WITHIN_BAND"
    """The position is within the no-trade band around its target."""
    BELOW_MINIMUM_TRADE = "BELOW_MINIMUM_TRADE"
    """The trade is below a configured minimum trade, or re-targeting left less than the smallest order."""

    # denied by our controls; the outcome is DENIED if nothing was sent for the item
    ACCOUNT_MISMATCH = "ACCOUNT_MISMATCH"
    """The broker account belongs to another account name, or the credentials to another broker account."""
    ACCOUNT_BLOCKED = "ACCOUNT_BLOCKED"
    """The account is not ACTIVE at the broker, or one of its flags forbids trading."""
    HALTED = "HALTED"
    """The account's kill switch is HALTED; no order is sent until a named operator resumes trading."""
    REDUCING_ONLY = "REDUCING_ONLY"
    """The account's kill switch is REDUCING, which allows sells only."""
    RESTRICTED = "RESTRICTED"
    """The symbol is in restricted_symbols, or is missing from allowed_symbols."""
    ORDER_TOO_LARGE = "ORDER_TOO_LARGE"
    """The order exceeds the limit for dollars, for shares, or for its share of the displayed size."""
    PLAN_LIMIT = "PLAN_LIMIT"
    """The plan as a whole exceeds its gross, net or turnover limit."""
    DAILY_LIMIT = "DAILY_LIMIT"
    """With this plan, the account's trading day exceeds its gross, net or turnover limit."""
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    """Minutes ago, another plan ordered the same symbol and side with the same shares or dollars."""
    MESSAGE_LIMIT = "MESSAGE_LIMIT"
    """The submissions and cancels of the plan, or those of the last minute, reached their limit."""
    POSITION_DRIFT = "POSITION_DRIFT"
    """Position value and current_value, or re-targeted amount and trade_amount, differ beyond the drift tolerance."""
    EQUITY_UNKNOWN = "EQUITY_UNKNOWN"
    """A weight, band or minimum trade is a fraction of the account's equity, which is unknown or not positive."""
    MARKET_CLOSED = "MARKET_CLOSED"
    """The market is closed, according to the broker's clock."""
    AUCTION_CLOSED = "AUCTION_CLOSED"
    """The cut-off of the auction has passed, or its orders are not accepted yet: nothing was sent to it."""
    NOT_TRADABLE = "NOT_TRADABLE"
    """The asset is unknown to the broker, not a US stock or fund, inactive, or not tradable."""
    NOT_FRACTIONABLE = "NOT_FRACTIONABLE"
    """The asset or its auction trades whole shares only, and the item is for less than one or leaves a fraction."""
    NO_POSITION = "NO_POSITION"
    """The account holds no shares to sell; this program is long only."""
    BELOW_MINIMUM = "BELOW_MINIMUM"
    """The order is below the minimum notional, or rounds down to zero shares."""
    QUOTE_UNUSABLE = "QUOTE_UNUSABLE"
    """No quote is two-sided, uncrossed, fresh and narrow within quote_wait_seconds."""
    PREVIOUS_CLOSE_UNKNOWN = "PREVIOUS_CLOSE_UNKNOWN"
    """Neither the position nor market data has the symbol's close of the last session to compare the price with."""
    PRICE_COLLAR = "PRICE_COLLAR"
    """The price is too far from the arrival mid, from the current mid or from the previous close."""
    CONFLICTING_ORDER = "CONFLICTING_ORDER"
    """An open order that is not part of this plan conflicts with the item."""
    SHARES_HELD = "SHARES_HELD"
    """Other open orders hold all shares (held_for_orders at Alpaca); none can be sold."""
    TOO_MANY_RUNS = "TOO_MANY_RUNS"
    """The plan took more runs than allowed; the account is halted."""
    TOO_MANY_PLANS = "TOO_MANY_PLANS"
    """The account started as many plans today as allowed; it is halted."""

    # sent, but not filled
    REJECTED = "REJECTED"
    """The broker rejected the order; the message contains the broker's code and text."""
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    """The allowed child orders did not fill the parent order."""
    PARTICIPATION_LIMIT = "PARTICIPATION_LIMIT"
    """The share of the average volume that is allowed did not suffice for the order within the plan's time."""
    AUCTION_REJECTED = "AUCTION_REJECTED"
    """The broker rejected the order for the auction; accounts may need a permission for such orders."""
    AUCTION_UNFILLED = "AUCTION_UNFILLED"
    """The auction did not fill the order, or only a part of it."""
    AUCTION_EXPIRED = "AUCTION_EXPIRED"
    """The broker accepted the order for the auction and let it expire without a fill."""
    TIME_LIMIT = "TIME_LIMIT"
    """The plan reached its time limit."""

    # remarks on a parent with fills
    SCALED_TO_CASH = "SCALED_TO_CASH"
    """The quantity was reduced to fit the buy budget."""
    REDUCED_TO_AVAILABLE = "REDUCED_TO_AVAILABLE"
    """The quantity was reduced to the shares that are available."""
    HORIZON_SHORTENED = "HORIZON_SHORTENED"
    """The slices of a large order were spread over less than slice_minutes: the run, plan or session ends before."""
    VOLUME_UNKNOWN = "VOLUME_UNKNOWN"
    """The order is larger than the displayed size, its average volume is unknown: the displayed size bounds it."""
    LATE_FILL = "LATE_FILL"
    """The broker filled shares of an order after two readings showed it as ended; the result contains them."""

    # an operator must look
    JOURNAL_INCOMPLETE = "JOURNAL_INCOMPLETE"
    """The plan has started, but its journal has no order for this item."""
    AUCTION_UNREPORTED = "AUCTION_UNREPORTED"
    """The broker still shows an order for an auction as live when the auction should be reported."""
    CANCEL_UNCONFIRMED = "CANCEL_UNCONFIRMED"
    """A cancel was requested, but the order never reached a final status."""
    FILL_PRICE_MISSING = "FILL_PRICE_MISSING"
    """The broker reports a fill without its average price or its full quantity, or never confirms an order's end."""
    CLIENT_ORDER_ID_MISMATCH = "CLIENT_ORDER_ID_MISMATCH"
    """The broker has an order under our client order ID whose content differs from what was sent."""
    REPLACED_EXTERNALLY = "REPLACED_EXTERNALLY"
    """Another user or program replaced our order at the broker; this program does not follow the new order."""
    RECONCILIATION_MISMATCH = "RECONCILIATION_MISMATCH"
    """After the trade, the broker's orders, fills or positions differ from the journal; each difference is listed."""
    OVERFILLED = "OVERFILLED"
    """The broker reports more shares filled than were ordered."""


NO_TRADE_NEEDED = frozenset({Code.HOLD, Code.NO_TRADE_NEEDED, Code.WITHIN_BAND, Code.BELOW_MINIMUM_TRADE})
"""Reasons of skipped items that needed no trade. Any other skipped item fell short of what the plan asked for."""
