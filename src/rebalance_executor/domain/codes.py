"""Stable codes of all that is not simply filled. Denied (by us) ≠ rejected (by the broker) ≠ unknown."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Why a parent order did not end as a plain FILLED, or ended FILLED with a remark."""

    # skipped: nothing to do, or nothing that fits
    HOLD = "HOLD"
    """The plan asks for no trade."""
    INSUFFICIENT_CASH = "INSUFFICIENT_CASH"
    """A buy that no longer fits into cash + actual proceeds − buffer."""

    # denied by our controls, before anything was sent
    ACCOUNT_MISMATCH = "ACCOUNT_MISMATCH"
    """The credentials belong to another account number than configured."""
    ACCOUNT_BLOCKED = "ACCOUNT_BLOCKED"
    """The account is not ACTIVE, or a flag forbids trading."""
    HALTED = "HALTED"
    """The account's kill switch says HALTED: nothing is sent until a named person resumes."""
    REDUCING_ONLY = "REDUCING_ONLY"
    """The account's kill switch says REDUCING: sells only."""
    RESTRICTED = "RESTRICTED"
    """The symbol is not on the allow-list, or is on the list of restricted ones."""
    ORDER_TOO_LARGE = "ORDER_TOO_LARGE"
    """More dollars, shares or share of the displayed size than one order may have."""
    PLAN_LIMIT = "PLAN_LIMIT"
    """The plan as a whole would trade more (gross, net or turnover) than allowed."""
    DAILY_LIMIT = "DAILY_LIMIT"
    """With this plan the account's trading day would exceed its gross, net or turnover limit."""
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    """Another plan had the same symbol, side and quantity, or dollars, minutes ago."""
    MESSAGE_LIMIT = "MESSAGE_LIMIT"
    """The submissions and cancels of the plan, or of the last minute, reached their limit."""
    POSITION_DRIFT = "POSITION_DRIFT"
    """The position differs from the plan's current value beyond the plan's drift tolerance."""
    MARKET_CLOSED = "MARKET_CLOSED"
    """The broker's clock says closed."""
    NOT_TRADABLE = "NOT_TRADABLE"
    """The asset is unknown, no US stock or fund, inactive or not tradable."""
    NOT_FRACTIONABLE = "NOT_FRACTIONABLE"
    """The amount is below one share of an asset that trades in whole shares only."""
    NO_POSITION = "NO_POSITION"
    """Nothing is held that could be sold; this program is long only."""
    BELOW_MINIMUM = "BELOW_MINIMUM"
    """Below the minimum notional, or rounds to nothing."""
    QUOTE_REJECTED = "QUOTE_REJECTED"
    """No two-sided, uncrossed, fresh and narrow enough quote, also at a second look. No price is invented."""
    PRICE_COLLAR = "PRICE_COLLAR"
    """The price would be too far from arrival, from the present mid or from the previous close."""
    CONFLICTING_ORDER = "CONFLICTING_ORDER"
    """Somebody else's open order on the symbol stands against this one, or holds its shares."""
    TOO_MANY_RUNS = "TOO_MANY_RUNS"
    """The plan took more runs than allowed; the account is halted."""
    TOO_MANY_PLANS = "TOO_MANY_PLANS"
    """The account began more plans today than allowed; it is halted."""

    # worked, but not to the end
    REJECTED = "REJECTED"
    """The broker refused the order; its own code and message stand in the message."""
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    """The allowed number of child orders did not fill the parent."""
    TIME_LIMIT = "TIME_LIMIT"
    """The plan's own time limit passed."""

    # remarks on a filled parent
    SCALED_TO_CASH = "SCALED_TO_CASH"
    """The quantity was reduced to what the cash allows."""
    REDUCED_TO_AVAILABLE = "REDUCED_TO_AVAILABLE"
    """The quantity was reduced to what is held and available."""

    # an operator must look
    JOURNAL_INCOMPLETE = "JOURNAL_INCOMPLETE"
    """The journal holds no order for this item of a plan that was begun."""
    CANCEL_UNCONFIRMED = "CANCEL_UNCONFIRMED"
    """A cancel was requested and never became terminal."""
    PRICE_PENDING = "PRICE_PENDING"
    """The broker reports a fill but never told its average price, or all of its quantity."""
    FOREIGN_ORDER = "FOREIGN_ORDER"
    """The broker holds an order under our client order id that is not what was sent."""
    REPLACED_BY_OTHERS = "REPLACED_BY_OTHERS"
    """Somebody replaced our order at the broker; the new one is not ours to judge."""
    NOT_RECONCILED = "NOT_RECONCILED"
    """After the trade the broker's orders, fills or positions differ from the journal; each difference is named."""
    OVERFILLED = "OVERFILLED"
    """The broker reports more filled than was ordered."""
