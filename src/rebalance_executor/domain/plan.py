"""The rebalance plan: validated input.

Another program makes the plans. ``RebalancePlan.parse`` turns a decoded JSON value into a plan, or raises
``InvalidInput`` with the name of the invalid field.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.plan_problems import (
    MAJOR_ONE_ONLY,
    MAX_LOGGED_PROBLEMS,
    as_invalid_input,
    kind_of,
    repeated_symbols,
)
from rebalance_executor.domain.portfolio import WEIGHT_TOLERANCE, Portfolio, WeightRules, weights_document
from rebalance_executor.domain.values import DAY_MINUTES, Amount, Count, Name, Timestamp, format_decimal

MAX_ITEMS = 500
"""Limit of items per plan: Alpaca lists 500 orders per page, and 500 orders take 2.5 minutes of its rate limit."""

_MAX_PRICE = Decimal(10_000_000)
"""Dollars per share: above the price of every US stock."""
_MAX_DURATION_MINUTES = 366 * DAY_MINUTES

_MAX_METADATA_LEVELS = 50
"""pydantic writes 250 levels and reads fewer."""

_TICKER = r"^[A-Za-z0-9][A-Za-z0-9./_-]*$"
"""Pattern of symbols. They are sent in URL paths and comma-separated queries, so separators of both are excluded."""

Symbol = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, min_length=1, max_length=50, pattern=_TICKER),
]
"""A ticker, trimmed and upper case."""


def _major_one(value: str) -> str:
    if not re.fullmatch(r"1(\.[0-9]{1,5}){0,2}", value):
        raise PydanticCustomError("schema_version", MAJOR_ONE_ONLY)
    return value


SchemaVersion = Annotated[
    str, AfterValidator(_major_one), WithJsonSchema({"type": "string", "pattern": r"^1(\.[0-9]{1,5}){0,2}$"})
]
"""Version of the plan's schema; only major version 1 is supported."""


def _storable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata unless the journal could not write or read it: nested too deeply, or half a character."""
    level: list[dict[str, Any] | list[Any]] = [metadata]
    for _ in range(_MAX_METADATA_LEVELS):
        children = (child for value in level for child in (value.values() if isinstance(value, dict) else value))
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            break
    else:
        raise ValueError(f"is nested more than {_MAX_METADATA_LEVELS} levels deep")
    try:
        json.dumps(metadata, default=str, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("contains half of a surrogate pair, which is not a character") from None
    return metadata


class Action(StrEnum):
    """Action of an item."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


class Urgency(StrEnum):
    """Urgency of a plan: PATIENT waits longest and pays the least spread, URGENT crosses it at once."""

    PATIENT = "PATIENT"
    LOW = "LOW"
    NORMAL = "NORMAL"
    HIGH = "HIGH"
    URGENT = "URGENT"


class ExecutionStyle(StrEnum):
    """Time at which an item is traded."""

    WORK = "work"
    """In continuous trading, as soon as the plan starts."""
    MARKET_ON_CLOSE = "market_on_close"
    """In the closing auction, at its price."""
    LIMIT_ON_CLOSE = "limit_on_close"
    """In the closing auction, at its price, if that is within the limit."""
    MARKET_ON_OPEN = "market_on_open"
    """In the opening auction, at its price."""
    LIMIT_ON_OPEN = "limit_on_open"
    """In the opening auction, at its price, if that is within the limit."""

    @property
    def has_limit(self) -> bool:
        """True for the styles that have a limit."""
        return self in (ExecutionStyle.LIMIT_ON_CLOSE, ExecutionStyle.LIMIT_ON_OPEN)


class SizeBy(StrEnum):
    """Field of the items that their dollars follow from."""

    TRADE_AMOUNT = "trade_amount"
    """The dollars of the plan, whatever the position is worth now."""
    TARGET_VALUE = "target_value"
    """The dollars from the position's value now to target_value."""
    TARGET_WEIGHT = "target_weight"
    """The dollars from the position's value now to target_weight of the account's live equity."""


class _Dto(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)


class RebalancePlanItem(_Dto):
    """One symbol of a plan: a signed dollar amount, with the weights and values that it was computed from."""

    symbol: Symbol = Field(description="Ticker, trimmed and upper case.")
    action: Action = Field(description="BUY, SELL or HOLD.")
    trade_amount: Amount = Field(description="Dollars: positive for BUY, negative for SELL; ignored for HOLD.")
    current_weight: Amount = Field(ge=0, le=1, description="Share of the portfolio now, 0 to 1.")
    target_weight: Amount = Field(
        ge=0,
        le=1,
        description="Target share of the portfolio, 0 to 1; 0 on a SELL means a full exit, except with size_by "
        "target_value.",
    )
    weight_diff: Amount = Field(description="target_weight − current_weight.")
    target_value: Amount = Field(ge=0, description="Target value in dollars; 0 on a SELL means a full exit.")
    current_value: Amount = Field(ge=0, description="Dollars held when the plan was made.")
    priority: Count = Field(ge=1, le=5, description="1 is first.")
    strategy_id: Name | None = Field(default=None, description="Strategy that asked for the trade.")
    execution_style: ExecutionStyle | None = Field(
        default=None, description="Style of this item; default: the plan's execution_style."
    )
    limit_price: Amount | None = Field(
        default=None,
        gt=0,
        le=_MAX_PRICE,
        description="Dollars per share; only for limit_on_close and limit_on_open. Default: limit_on_auction_collar "
        "around the quote.",
    )

    @field_validator("trade_amount")
    @classmethod
    def _sign_matches_action(cls, amount: Decimal, info: ValidationInfo) -> Decimal:
        action = info.data.get("action")
        if action is Action.BUY and amount <= 0:
            raise ValueError(f"must be positive for BUY, is {format_decimal(amount)}")
        if action is Action.SELL and amount >= 0:
            raise ValueError(f"must be negative for SELL, is {format_decimal(amount)}")
        return amount

    def is_full_exit(self, size_by: SizeBy) -> bool:
        """Return whether the item sells the exact position; its dollar amount is then not used.

        A weight of zero says nothing in a plan that is sized by target values.
        """
        is_out = self.target_value == 0 or (self.target_weight == 0 and size_by is not SizeBy.TARGET_VALUE)
        return self.action is Action.SELL and is_out


class RebalancePlan(_Dto):
    """A portfolio rebalance plan, schema 1.x."""

    schema_version: SchemaVersion = Field(default="1.0.0", description="1.x.")
    plan_id: Name = Field(description="Identity of the plan within its account.")
    correlation_id: Name = Field(description="Identity of the work this plan belongs to.")
    causation_id: Name = Field(description="Identity of what caused this plan.")
    timestamp: Timestamp = Field(description="Time at which the plan was made, with time zone.")
    items: tuple[RebalancePlanItem, ...] = Field(
        min_length=1, max_length=MAX_ITEMS, description="At least one; no symbol twice."
    )
    total_portfolio_value: Amount = Field(ge=0, description="Dollars.")
    total_trade_value: Amount = Field(description="Dollars.")
    max_drift_tolerance: Amount = Field(default=Decimal("0.05"), ge=0, le=1, description="0 to 1.")
    execution_urgency: Urgency = Field(
        default=Urgency.NORMAL, description="PATIENT waits longest, URGENT trades at once."
    )
    size_by: SizeBy | None = Field(
        default=None,
        description="Field that sizes the items: trade_amount, target_value, or target_weight of the account's live "
        "equity; default: the configured size_by.",
    )
    execution_style: ExecutionStyle = Field(
        default=ExecutionStyle.WORK,
        validate_default=True,
        description="When the items are traded: work (continuous trading), market_on_close, limit_on_close, "
        "market_on_open or limit_on_open.",
    )
    strategy_id: Name | None = Field(default=None, description="Strategy that made the plan.")
    estimated_duration_minutes: Count | None = Field(
        default=None, ge=1, le=_MAX_DURATION_MINUTES, description="At most a year; not interpreted."
    )
    metadata: Annotated[dict[str, Any], AfterValidator(_storable)] | None = Field(
        default=None, description="Stored with the plan; not interpreted."
    )
    account: Name | None = Field(default=None, description="Name of the account; default: the configured account.")
    valid_until: Timestamp | None = Field(default=None, description="Time after which the plan does not start.")

    @field_validator("items")
    @classmethod
    def _no_symbol_twice(cls, items: tuple[RebalancePlanItem, ...]) -> tuple[RebalancePlanItem, ...]:
        for problem in repeated_symbols(item.symbol for item in items):
            raise ValueError(problem)
        return items

    @field_validator("size_by")
    @classmethod
    def _weights_fit(cls, size_by: SizeBy | None, info: ValidationInfo) -> SizeBy | None:
        problem = _weight_problem(size_by, info.data.get("items", ()))
        if problem is not None:
            raise ValueError(problem)
        return size_by

    @field_validator("execution_style")
    @classmethod
    def _limits_have_a_style(cls, style: ExecutionStyle, info: ValidationInfo) -> ExecutionStyle:
        for item in info.data.get("items", ()):
            if item.limit_price is not None and not (item.execution_style or style).has_limit:
                used = (item.execution_style or style).value
                raise ValueError(
                    f"{item.symbol} has a limit_price, which {used} does not use; "
                    "use limit_on_close or limit_on_open, or leave it out"
                )
        return style

    def style_of(self, item: RebalancePlanItem) -> ExecutionStyle:
        """Return the style of an item: its own, or that of the plan."""
        return item.execution_style or self.execution_style

    @classmethod
    def parse(cls, document: object) -> RebalancePlan:
        """Return the plan of a decoded JSON value.

        Raises:
            InvalidInput: the value is not a valid plan. The message names the first invalid field; ``problems``
                contains all of them, and ``context["problems"]`` the first 20, for the log.
        """
        if not isinstance(document, dict):
            raise InvalidInput("$", f"must be a JSON object that contains a plan, is {kind_of(document)}")
        items = document.get("items")
        if isinstance(items, list) and len(items) > MAX_ITEMS:  # before 10,000 of them are validated
            raise InvalidInput("items", f"has {len(items)} items, at most {MAX_ITEMS} are accepted; split the plan")
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise as_invalid_input(error, items) from None

    @classmethod
    def from_weights(
        cls,
        weights: Mapping[str, Decimal | float | str],
        portfolio: Portfolio,
        *,
        strategy_id: str,
        timestamp: datetime,
        rules: WeightRules = WeightRules(),  # noqa: B008 - a frozen value
        **fields: object,
    ) -> RebalancePlan:
        """Return the plan that leads a portfolio to target weights.

        Args:
            weights: fraction of the equity by symbol, 0 to 1; 0 sells everything. What they leave stays in cash.
            portfolio: the account now.
            strategy_id: name of the strategy. The plan ID is this name with the New York day of ``timestamp``, so that
                the plans of one day are one plan, which is executed once.
            timestamp: time of the plan, with time zone.
            rules: minimum trade, unlisted holdings and priorities.
            fields: further fields of the plan, such as ``account``; ``plan_id`` replaces the default.

        Raises:
            InvalidInput: a weight, the portfolio or a field is invalid.
        """
        return cls.parse(weights_document(weights, portfolio, strategy_id, timestamp, rules) | fields)

    def sized_by(self, default: SizeBy) -> SizeBy:
        """Return the field that sizes the items: the plan's, or the configured ``default`` if it names none."""
        return self.size_by or default

    def check_weights(self, default: SizeBy) -> None:
        """Check that the plan can be sized as configured; ``parse`` has checked the plan's own ``size_by``.

        Raises:
            InvalidInput: items are to be traded by their weights, which sum to more than 1.
        """
        problem = _weight_problem(self.sized_by(default), self.items) if self.trades else None
        if problem is not None:
            raise InvalidInput("size_by", problem)

    @property
    def trades(self) -> tuple[RebalancePlanItem, ...]:
        """Items to trade: all except HOLD."""
        return tuple(item for item in self.items if item.action is not Action.HOLD)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the trades that the plan asks for, independent of formatting and of the order of keys and items.

        Correlation, causation and metadata describe the origin of a plan, not its trades, and are left out.
        """
        body = self.model_dump(mode="json", exclude={"correlation_id", "causation_id", "metadata", "schema_version"})
        if self.size_by is None:
            del body["size_by"]
        if self.execution_style is ExecutionStyle.WORK:
            del body["execution_style"]
        for item in body["items"]:
            for name in ("execution_style", "limit_price"):
                if item[name] is None:
                    del item[name]
        body["items"] = sorted(body["items"], key=lambda item: item["symbol"])
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _weight_problem(size_by: SizeBy | None, items: Iterable[RebalancePlanItem]) -> str | None:
    """Describe why a plan cannot be sized by its weights: those of all items, HOLDs included, are more than 1."""
    total = sum((item.target_weight for item in items), Decimal(0))
    if size_by is not SizeBy.TARGET_WEIGHT or total <= 1 + WEIGHT_TOLERANCE:
        return None
    sums = f"the items' target weights sum to {format_decimal(total)}, more than 1"
    return f"{sums}; correct them, or size the plan by target_value"


def unknown_fields(document: object) -> tuple[str, ...]:
    """Return the paths of the fields that a decoded plan has and the schema does not, up to 20.

    They are ignored when the plan is executed. A field of several items is named once, in the first item that has it.
    """
    if not isinstance(document, dict):
        return ()
    items = document.get("items")
    paths = {("", name): _shown(name) for name in document if name not in RebalancePlan.model_fields}
    for number, item in enumerate(items if isinstance(items, list) else ()):
        for name in item if isinstance(item, dict) else ():
            if name not in RebalancePlanItem.model_fields:
                paths.setdefault(("items", name), f"items.{number}.{_shown(name)}")
    return tuple(paths.values())[:MAX_LOGGED_PROBLEMS]


def _shown(name: str) -> str:
    printable = name if name.isprintable() else ascii(name)
    return printable if len(printable) <= _MAX_SHOWN_CHARACTERS else f"{printable[:_MAX_SHOWN_CHARACTERS]}…"


_MAX_SHOWN_CHARACTERS = 60
"""Limit of an unknown field's name."""
