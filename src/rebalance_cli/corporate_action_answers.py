"""Models of splits and symbol changes, as ``rebalance preview --json`` prints them."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from pydantic import Field

from rebalance_cli.answer import Answer


class CorporateActionType(StrEnum):
    """Kind of a corporate action that changes shares, prices or symbols."""

    FORWARD_SPLIT = "forward_split"
    REVERSE_SPLIT = "reverse_split"
    UNIT_SPLIT = "unit_split"
    SYMBOL_CHANGE = "symbol_change"


class CorporateActionAnswer(Answer):
    """A split or a symbol change of one symbol of the plan."""

    symbol: str = Field(description="Symbol in the plan.")
    type: CorporateActionType
    day: date = Field(description="Day from which it is in effect, in New York.")
    change: str = Field(description="Shares or symbol before and after.")
    meaning: str = Field(description="What is and what is not affected, and what to check.")


class CorporateActions(Answer):
    """Splits and symbol changes of the plan's symbols since it was computed."""

    first_day: date = Field(description="First day that was asked for: that of the plan's timestamp, in New York.")
    last_day: date = Field(description="Last day that was asked for: today.")
    actions: tuple[CorporateActionAnswer, ...] = Field(
        description="Those that Alpaca knows, by symbol. An empty list is no proof: actions may appear late."
    )
    problem: str | None = Field(default=None, description="Reason why they are not known; null if they were read.")
