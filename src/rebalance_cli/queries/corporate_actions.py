"""Splits and symbol changes of a plan's symbols, from Alpaca's corporate actions.

Only previews read them, and none depends on them: one attempt, and what cannot be read is not known. Alpaca does not
promise when an action appears, so that an empty answer is no proof that nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import batched
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from rebalance_cli.context import CliContext
from rebalance_cli.corporate_action_answers import CorporateActionAnswer, CorporateActions, CorporateActionType
from rebalance_executor.adapters.alpaca.client import AlpacaApi, Response, Timeouts
from rebalance_executor.adapters.alpaca.early import Query
from rebalance_executor.adapters.alpaca.transport import AlpacaTransport, RequestDeadline
from rebalance_executor.adapters.secrets import credentials_source
from rebalance_executor.domain.errors import BrokerUnavailable, RebalanceError
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.session import new_york
from rebalance_executor.domain.values import format_decimal

Read = Callable[[Mapping[str, str]], object]
"""Returns the decoded response to ``GET /v1/corporate-actions`` with this query; raises ``BrokerUnavailable``."""

_PATH = "/corporate-actions"
_TYPES = "forward_split,reverse_split,unit_split,name_change"
_SYMBOLS_PER_REQUEST = 250
_MAX_PAGES = 4
_MARGIN = timedelta(days=7)
"""Alpaca filters by the day on which it processes an action, which may differ from the day of its effect."""

_AFTER_SPLIT = (
    "The order is sized in dollars at today's price: its shares need no change. The shares and prices that the plan "
    "was computed from are those before the split. Check that the broker shows the shares after it: full exits, "
    "targets and POSITION_DRIFT go by them. PRICE_COLLAR denies while the previous close is that before the split."
)
_OLD_SYMBOL = (
    "The plan has the old symbol. The broker does not trade it any more (NOT_TRADABLE), or it belongs to another "
    "company by now. Make a new plan with {new}."
)
_NEW_SYMBOL = (
    "The plan has the new symbol. Check that it was computed with the shares that were held as {old}, and that the "
    "broker shows them as {new}. PRICE_COLLAR denies if the previous close is that of another company."
)
_UNITS = (
    "The plan has the symbol of the units, which are split into other symbols. Its shares and prices are those before "
    "the split. Make a new plan with {new} and {alternate}."
)


class _Split(BaseModel):
    symbol: str
    new_rate: Decimal = Field(gt=0)
    old_rate: Decimal = Field(gt=0)
    ex_date: date


class _UnitSplit(BaseModel):
    old_symbol: str
    old_rate: Decimal
    new_symbol: str
    new_rate: Decimal
    alternate_symbol: str
    alternate_rate: Decimal
    effective_date: date


class _NameChange(BaseModel):
    old_symbol: str
    new_symbol: str
    process_date: date


class _Actions(BaseModel):
    forward_splits: tuple[_Split, ...] = ()
    reverse_splits: tuple[_Split, ...] = ()
    unit_splits: tuple[_UnitSplit, ...] = ()
    name_changes: tuple[_NameChange, ...] = ()


class _Page(BaseModel):
    corporate_actions: _Actions
    next_page_token: str | None = None


def corporate_actions_of(ctx: CliContext, plan: RebalancePlan, account: str) -> CorporateActions:
    """Return the splits and symbol changes of the plan's symbols, from the day of its timestamp until today."""
    try:
        read = _reader(ctx, account)
    except RebalanceError as error:
        return _not_known(plan, new_york(ctx.now).date(), error)
    return read_corporate_actions(read, plan, new_york(ctx.now).date())


def read_corporate_actions(read: Read, plan: RebalancePlan, today: date) -> CorporateActions:
    """Return the splits and symbol changes of the plan's symbols.

    Args:
        read: reads one page.
        plan: its symbols, and the day in New York on which it was computed: the first day.
        today: the last day.
    """
    symbols = sorted({item.symbol for item in plan.items})
    first = _first_day(plan, today)
    query = {"types": _TYPES, "start": str(first - _MARGIN), "end": str(today + _MARGIN), "limit": "1000"}
    found: list[CorporateActionAnswer] = []
    try:
        for chunk in batched(symbols, _SYMBOLS_PER_REQUEST):
            for actions in _pages(read, query | {"symbols": ",".join(chunk)}):
                found += _answers(actions, chunk)
    except (BrokerUnavailable, ValidationError) as error:
        return _not_known(plan, today, error)
    effective = {(one.symbol, one.type, one.day): one for one in found if first <= one.day <= today}
    return CorporateActions(first_day=first, last_day=today, actions=tuple(effective[key] for key in sorted(effective)))


def _pages(read: Read, query: dict[str, str]) -> Iterator[_Actions]:
    for _ in range(_MAX_PAGES):
        page = _Page.model_validate(read(query))
        yield page.corporate_actions
        if page.next_page_token is None:
            return
        query = query | {"page_token": page.next_page_token}
    raise BrokerUnavailable(f"the corporate actions do not end within {_MAX_PAGES} pages")


def _answers(actions: _Actions, symbols: Sequence[str]) -> Iterator[CorporateActionAnswer]:
    """Return what happens to each of these symbols."""
    splits = (
        (CorporateActionType.FORWARD_SPLIT, actions.forward_splits),
        (CorporateActionType.REVERSE_SPLIT, actions.reverse_splits),
    )
    for kind, rows in splits:
        for split in rows:
            if split.symbol in symbols:
                change = f"{_become(split.old_rate, split.symbol)} {format_decimal(split.new_rate)}"
                yield _answer(split.symbol, kind, split.ex_date, change, _AFTER_SPLIT)
    for unit in actions.unit_splits:
        if unit.old_symbol in symbols:
            parts = f"{format_decimal(unit.new_rate)} of {unit.new_symbol}"
            parts += f" and {format_decimal(unit.alternate_rate)} of {unit.alternate_symbol}"
            change = f"{_become(unit.old_rate, unit.old_symbol)} {parts}"
            meaning = _UNITS.format(new=unit.new_symbol, alternate=unit.alternate_symbol)
            yield _answer(unit.old_symbol, CorporateActionType.UNIT_SPLIT, unit.effective_date, change, meaning)
    for name in actions.name_changes:
        if name.old_symbol == name.new_symbol:
            continue  # only the number of the security changes
        change = f"{name.old_symbol} becomes {name.new_symbol}"
        for symbol, meaning in ((name.old_symbol, _OLD_SYMBOL), (name.new_symbol, _NEW_SYMBOL)):
            if symbol in symbols:
                text = meaning.format(old=name.old_symbol, new=name.new_symbol)
                yield _answer(symbol, CorporateActionType.SYMBOL_CHANGE, name.process_date, change, text)


def _answer(symbol: str, kind: CorporateActionType, day: date, change: str, meaning: str) -> CorporateActionAnswer:
    return CorporateActionAnswer(symbol=symbol, type=kind, day=day, change=change, meaning=meaning)


def _become(shares: Decimal, symbol: str) -> str:
    return f"1 share of {symbol} becomes" if shares == 1 else f"{format_decimal(shares)} shares of {symbol} become"


def _first_day(plan: RebalancePlan, today: date) -> date:
    return min(new_york(plan.timestamp).date(), today)


def _not_known(plan: RebalancePlan, today: date, error: Exception) -> CorporateActions:
    is_malformed = isinstance(error, ValidationError)
    problem = "the answer has other fields than expected" if is_malformed else str(error)
    return CorporateActions(first_day=_first_day(plan, today), last_day=today, actions=(), problem=problem)


def _reader(ctx: CliContext, account: str) -> Read:
    """Return the reader of an account's market data; its paths start with another version than all others."""
    credentials = credentials_source(ctx.settings, lambda: ctx.aws_client("secretsmanager")).credentials(account)
    keys, config = (credentials.api_key, credentials.secret_key), ctx.config
    seconds = float(config.connect_timeout_seconds), float(config.read_timeout_seconds)
    deadline = RequestDeadline(ctx.ports.clock, *seconds, until=ctx.deadline().give_up_at)

    def api(timeouts: Timeouts, observe: Callable[[Response], None]) -> AlpacaApi:
        return AlpacaApi(keys, ctx.settings.alpaca_data_url, timeouts, observe, version="v1")

    transport = AlpacaTransport(api, deadline, config.rate_limit_per_minute, lambda _path: None, keys)

    def read(query: Mapping[str, str]) -> Any:
        return transport.get_once(Query(_PATH, query))

    return read
