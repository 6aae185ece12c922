"""Deliberate bugs in what the broker's answers are taken to prove."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from requests.exceptions import RequestException

from rebalance_executor.adapters.alpaca import parsing, transport
from rebalance_executor.adapters.alpaca.error_response import ErrorResponse
from rebalance_executor.domain import controls, volume
from rebalance_executor.domain.market import CENT, HALF_CENT, Asset, BrokerOrder, Quote, SymbolSnapshot
from rebalance_executor.domain.orders import _BY_STATUS, ChildOrder, ChildState
from rebalance_executor.domain.volume import average_volume, volume_window
from rebalance_executor.execution import quotes, reconciliation, sender
from rebalance_executor.execution.outbox import Outbox
from rebalance_executor.execution.quotes import QuoteFeed
from rebalance_executor.execution.sender import Sender
from rebalance_executor.execution.symbol_data import SymbolData
from rebalance_executor.execution.volumes import Volumes
from rebalance_simulation.bug_tools import Replacement, nothing


def _any_refusal(response: ErrorResponse) -> bool:
    return 400 <= response.status < 500 and response.status != 408


def _coded_refusal(response: ErrorResponse) -> bool:
    return _any_refusal(response) and response.code is not None


def _only_401(response: ErrorResponse) -> bool:
    return response.status == 401


def _any_404(response: ErrorResponse, _: str) -> bool:
    return response.status == 404 and response.code is not None


def _any_422(response: ErrorResponse) -> bool:
    return response.status in (400, 422)


def _first_reading() -> Callable[..., ChildOrder]:
    with_report = ChildOrder.with_report

    def reported(child: ChildOrder, order: BrokerOrder, *args: Any) -> ChildOrder:
        after = with_report(child, order, *args)
        is_final = order.is_terminal and after.is_open and after.is_complete
        return replace(after, state=_BY_STATUS[order.status], closed_since=None) if is_final else after

    return reported


def _unchanged(parent: Any, *_: Any) -> Any:
    return parent


def _all_decimals() -> Callable[..., Any]:
    return lambda shares: shares


def _changed_is_canceled() -> Callable[..., ChildOrder]:
    with_other_content = ChildOrder.with_other_content

    def canceled(child: ChildOrder, order: BrokerOrder, now: datetime) -> ChildOrder:
        return replace(with_other_content(child, order, now), state=ChildState.CANCELED, other_content=None)

    return canceled


def _cache_required() -> Callable[..., Any]:
    flags = SymbolData._asset_flags  # noqa: SLF001 - a bug

    def strict(data: SymbolData, symbols: Any) -> Any:
        data._assets.get(symbols, now=data._clock.now())  # noqa: SLF001 - a bug
        return flags(data, symbols)

    return strict


def _volumes_required() -> Callable[..., Any]:
    def strict(volumes: Volumes, symbols: Any, today: date) -> Any:
        read = volumes._broker.daily_bars(symbols, *volume_window(today))  # noqa: SLF001 - a bug
        averages = (average_volume(symbol, read[symbol], today) for symbol in symbols)
        return {average.symbol: average for average in averages if average is not None}, None

    return strict


def _unchecked_time(document: Mapping[str, Any], field: str) -> datetime | None:
    value = document.get(field)
    try:
        return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None
    except ValueError:
        return None


def _only_errors_count() -> Callable[..., None]:
    accepted = Sender._accepted  # noqa: SLF001 - a bug

    def counted(sender: Sender, parent: Any, child: ChildOrder, order: BrokerOrder) -> None:
        sender._counted.add(child.client_order_id)  # noqa: SLF001 - a bug
        accepted(sender, parent, child, order)
        sender._rejects = 0  # noqa: SLF001 - a bug

    return counted


def _without_age() -> Callable[..., str | None]:
    problem = controls.quote_problem

    def aged(quote: Quote | None, config: Any, now: datetime) -> str | None:
        return problem(replace(quote, at=now) if quote is not None else None, config, now)

    return aged


def _any_quote_shows(feed: QuoteFeed, quote: Quote, _: datetime) -> Quote:
    shown = feed._tick_sizes  # noqa: SLF001 - a bug
    if quote.tick_size == HALF_CENT:
        shown[quote.symbol] = HALF_CENT
    return replace(quote, known_tick_size=shown.get(quote.symbol))


def _never(*_: Any) -> bool:
    return False


def _in_one(symbols: Sequence[str], _: int) -> list[Sequence[str]]:
    return [symbols]


BROKER_BUGS: dict[str, list[Replacement]] = {
    "any HTTP 4xx rejects an order": [
        (ErrorResponse, "rejects_order", lambda: property(_any_refusal)),
        (ErrorResponse, "rejects_credentials", lambda: property(_never)),
    ],
    "invalid keys with HTTP 403 reject an order": [
        (ErrorResponse, "rejects_order", lambda: property(_any_refusal)),
        (ErrorResponse, "rejects_credentials", lambda: property(_only_401)),
    ],
    "a missing path rejects an order": [(ErrorResponse, "rejects_order", lambda: property(_coded_refusal))],
    "the first reading of a final status counts": [(ChildOrder, "with_report", _first_reading)],
    "late fills are not counted before the result": [(reconciliation, "with_late_fills", lambda: _unchanged)],
    "the reconciliation trusts lists": [(reconciliation, "_confirm", lambda: nothing)],
    "all orders of a tick are sent together": [(sender, "batched", lambda: _in_one)],
    "a cancel without effect is not repeated": [(Outbox, "_has_no_effect", lambda: _never)],
    "a changed own order counts as canceled": [(ChildOrder, "with_other_content", _changed_is_canceled)],
    "a missing path is a missing asset": [(ErrorResponse, "says_not_found", lambda: _any_404)],
    "any HTTP 400 or 422 is a missing asset": [(ErrorResponse, "says_invalid_symbol", lambda: _any_422)],
    "asset flags that say no are cached": [(Asset, "allows_every_order", lambda: property(lambda _: True))],
    "an unreadable asset cache stops a plan": [(SymbolData, "_asset_flags", _cache_required)],
    "an unreadable volume stops a plan": [(Volumes, "_averages", _volumes_required)],
    "a stale volume counts": [(volume, "LONGEST_CLOSURE", lambda: timedelta(days=365))],
    "an unknown previous close is not missed": [(SymbolSnapshot, "is_close_unknown", lambda: property(_never))],
    "the bar before the latest has the previous close": [(parsing, "_DAILY_BARS", lambda: ("prevDailyBar",))],
    "an impossible date is an untyped error": [(parsing, "_optional_time", lambda: _unchecked_time)],
    "an answer nested too deeply is an untyped error": [
        (transport, "_NO_USABLE_RESPONSE", lambda: (RequestException, OSError, ValueError))
    ],
    "a rejected order within an answer is not counted": [(Sender, "_accepted", _only_errors_count)],
    "every symbol has a half-cent tick": [(Quote, "tick_size", lambda: property(lambda _: HALF_CENT))],
    "every symbol has a tick of one cent": [(Quote, "tick_size", lambda: property(lambda _: CENT))],
    "a quote that must not price an order shows a tick": [(QuoteFeed, "_with_tick_size", lambda: _any_quote_shows)],
    "quotes of the future price orders": [
        (quotes, "quote_problem", _without_age),
        (controls, "quote_problem", _without_age),
    ],
}
"""By name: what each bug replaces."""
