"""Models of the JSON of the commands that make plans."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rebalance_cli.answer import Answer
from rebalance_executor.domain.plan import Action
from rebalance_executor.domain.values import Amount


class Change(Answer):
    """One item of a new plan."""

    symbol: str
    action: Action
    current_weight: Amount = Field(description="Share of the portfolio now, 0 to 1.")
    target_weight: Amount = Field(description="Share of the portfolio after the trade, 0 to 1.")
    current_value: Amount = Field(description="Dollars held now.")
    target_value: Amount = Field(description="Dollars held after the trade.")
    trade_amount: Amount = Field(description="Dollars to trade: positive to buy, negative to sell.")
    estimated_cost: Amount | None = Field(description="Forecast of the cost in dollars; null if unknown.")
    reduced: str | None = Field(description="How the order would be cut to the cash now; null if it fits.")
    denied: str | None = Field(description="Code and reason if the order would be denied now.")


class UnlistedHolding(Answer):
    """A holding that the sheet does not list."""

    symbol: str
    value: Amount | None = Field(description="Dollars at the midpoint; null without a usable quote.")
    is_sold: bool = Field(description="True if the plan sells it.")


class NewPlan(Answer):
    """``rebalance plan from-weights``, ``from-csv`` and ``renew``: the plan that was made."""

    plan_id: str
    state: Literal["new", "started", "finished"] = Field(
        description="new: made now. started: the plan of this ID has started, its stored plan was written. finished: "
        "the plan of this ID is finished, nothing was written."
    )
    content_hash: str
    path: str | None = Field(description="File that was written; null if none was.")
    changes: tuple[Change, ...] = ()
    unlisted: tuple[UnlistedHolding, ...] = ()
    notes: tuple[str, ...] = Field(default=(), description="Contents of the sheet that the plan does not contain.")
    sells: Amount = Field(description="Dollars to sell.")
    buys: Amount = Field(description="Dollars to buy.")
    cash: Amount | None = Field(default=None, description="Dollars available now; null if the account was not read.")
    shortage: Amount | None = Field(
        default=None, description="Dollars of the buys above cash and sells; null if they fit, or if cash is unknown."
    )
    estimated_cost: Amount | None = Field(default=None, description="Forecast cost in dollars; null if unknown.")
    cost_reason: str | None = Field(default=None, description="Reason why the cost is unknown.")
    denied: str | None = Field(
        default=None, description="Code and reason if the plan as a whole would be denied now, such as a closed market."
    )
    next: str = Field(description="The next command.")
