"""The whole decision table of the default style: every state of a parent × every quote × every mode.

A row is one state at one time; every quote is tried, also where it must not matter. The prices of placed orders are in
``test_ladder``, the other styles in ``test_strategy``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import Concluding, DecisionContext, RunMode, Settle, Working, Yielding
from rebalance_executor.domain.ladder import FAR, WaveSchedule
from rebalance_executor.domain.orders import ChildOrder, ChildPhase, ChildState
from rebalance_executor.domain.strategy import decide
from tests.support.builders import a_child, a_filled_child, a_parent, a_quote, a_trade, later

CONFIG = ExecutionConfig(max_children=4)
"""NORMAL: rungs at 0.1, 0.3, 0.5 and 1 of the spread, 4 seconds each, and 30 for the last."""
ARRIVAL = a_quote("10.00", "10.10")
QUOTES = {
    "usable": ARRIVAL,
    "away": a_quote("10.03", "10.13"),
    "lost": a_quote("10.00", "0"),
    "long lost": a_quote("10.00", "0"),
    "last trade": a_trade("10.12"),
    "beyond": a_quote("10.40", "10.50"),
}
"""As at arrival; moved away; without an ask, briefly and for too long; last trade; beyond the collar."""
LOST_SINCE = {"lost": 9.0, "long lost": 4.0}


MODES: tuple[RunMode, ...] = (
    Working(),
    Yielding("stopped safely on request", later(600)),
    Concluding(Code.TIME_LIMIT, "the plan's time limit passed"),
)


def sent(after: float, *, fraction: str = "0.1", limit: str = "10.01", **fields: Any) -> ChildOrder:
    """Return a child sent ``after`` seconds before the look, which is ten seconds after ``NOW``."""
    own: dict[str, Any] = {"limit": limit, "spread_fraction": Decimal(fraction), "intended_at": later(10 - after)}
    return a_child(**(own | fields))


def closed(state: ChildState, **fields: Any) -> ChildOrder:
    return replace(sent(5), state=state, closed_at=later(9), **fields)


PENDING_CANCEL = sent(9, cancel_requested_at=later(5))
EXHAUSTED = closed(
    ChildState.CANCELED, spread_fraction=Decimal(1), limit_price=Decimal("10.13"), intended_at=later(-30)
)

STATES: dict[str, tuple[ChildOrder, ...]] = {
    "nothing sent yet": (),
    "journalled": (sent(1, state=ChildState.INTENDED),),
    "no answer": (sent(60, state=ChildState.UNKNOWN),),
    "sent again, rejected": (sent(60, state=ChildState.UNKNOWN, resent=True, error_code="40310000"),),
    "working, rung not over": (sent(3),),
    "working, rung over": (sent(4),),
    "working, all rungs over": (sent(50),),
    "working at the far touch": (sent(20, fraction="1", limit="10.10"),),
    "working at the far touch, over": (sent(30, fraction="1", limit="10.10"),),
    "cancel pending": (PENDING_CANCEL,),
    "cancel unconfirmed": (replace(PENDING_CANCEL, cancel_requested_at=later(-50)),),
    "filled, price missing": (sent(9, status="filled", filled="10", closed_since=later(5)),),
    "filled, price overdue": (sent(9, status="filled", filled="10", closed_since=later(-5)),),
    "canceled, not confirmed": (sent(9, status="canceled", closed_since=later(-50.9)),),
    "canceled, never confirmed": (sent(9, status="canceled", closed_since=later(-51)),),
    "filled": (a_filled_child(),),
    "partly filled, canceled": (closed(ChildState.CANCELED, filled_qty=Decimal(4), filled_avg_price=Decimal(10)),),
    "canceled": (closed(ChildState.CANCELED),),
    "expired": (closed(ChildState.EXPIRED),),
    "canceled after the last rung": (replace(EXHAUSTED, cancel_requested_at=later(5)),),
    "rejected": (closed(ChildState.REJECTED),),
    "replaced externally": (closed(ChildState.REPLACED),),
    "never sent": (closed(ChildState.NOT_SENT),),
    "four orders unfilled": tuple(
        replace(closed(ChildState.CANCELED), attempt=n, spread_fraction=FAR) for n in (1, 2, 3, 4)
    ),
}

TABLE = """
                               | usable    away      lost      long lost trade     beyond  | yield       | conclude
nothing sent yet               | place     place     ·         no quote  place     collar  | ·           | time
journalled                     | ·                                                         | ·           | ·
no answer                      | ·                                                         | ·           | ·
sent again, rejected           | ·                                                         | ·           | ·
working, rung not over         | ·         ·         ·         ·         cancel    ·       | cancel      | cancel
working, rung over             | cancel    cancel    ·         ·         cancel    ·       | cancel      | cancel
working, all rungs over        | cancel                                                    | cancel      | cancel
working at the far touch       | ·         cancel    ·         ·         cancel    ·       | cancel      | cancel
working at the far touch, over | cancel                                                    | cancel      | cancel
cancel pending                 | ·                                                         | ·           | ·
cancel unconfirmed             | unconfirmed                                               | unconfirmed | unconfirmed
filled, price missing          | ·                                                         | ·           | ·
filled, price overdue          | no price                                                  | no price    | no price
canceled, not confirmed        | ·                                                         | ·           | ·
canceled, never confirmed      | no price                                                  | no price    | no price
filled                         | filled                                                    | filled      | filled
partly filled, canceled        | place     place     ·         no quote  place     collar  | ·           | time
canceled                       | place     place     ·         no quote  place     collar  | ·           | time
expired                        | place     place     ·         no quote  place     collar  | ·           | time
canceled after the last rung   | used up   used up   ·         no quote  used up   collar  | ·           | time
rejected                       | rejected                                                  | rejected    | rejected
replaced externally            | replaced                                                  | replaced    | replaced
never sent                     | place     place     ·         no quote  place     collar  | ·           | time
four orders unfilled           | used up                                                   | ·           | time
"""
"""``·`` means wait; a single cell applies to all six quotes."""

WORDS = {
    "Wait": "·",
    "Place": "place",
    "Cancel": "cancel",
    "QUOTE_UNUSABLE": "no quote",
    "PRICE_COLLAR": "collar",
    "ATTEMPTS_EXHAUSTED": "used up",
    "TIME_LIMIT": "time",
    "CANCEL_UNCONFIRMED": "unconfirmed",
    "FILL_PRICE_MISSING": "no price",
    "REPLACED_EXTERNALLY": "replaced",
    "REJECTED": "rejected",
    "FILLED": "filled",
}


def answers(children: tuple[ChildOrder, ...], mode: RunMode) -> list[str]:
    """Return the decision for each quote; a settled parent shows its code."""
    found = []
    for name, quote in QUOTES.items():
        since = later(LOST_SINCE[name]) if name in LOST_SINCE else None
        context = DecisionContext(
            later(10), mode, quote=quote, quote_missing_since=since, funds=Decimal(1000), schedule=WaveSchedule()
        )
        decision = decide(a_parent(*children, arrival=ARRIVAL), context, CONFIG)
        word = str(decision.code or decision.outcome) if isinstance(decision, Settle) else type(decision).__name__
        found.append(WORDS.get(word, word))
    return found


def rows() -> dict[str, list[list[str]]]:
    """Return the table: state → decisions for the six quotes, per mode."""
    found = {}
    for line in TABLE.strip().splitlines()[1:]:
        state, *cells = (cell.strip() for cell in line.split("|"))
        spread = [re.split(r"\s{2,}", cell) for cell in cells]
        found[state] = [cell * 6 if len(cell) == 1 else cell for cell in spread]
    return found


def test_decision_table_covers_every_phase() -> None:
    assert list(rows()) == list(STATES)
    assert {child.phase for children in STATES.values() for child in children} == set(ChildPhase)


@pytest.mark.parametrize("state", STATES)
def test_every_state_quote_and_mode_has_one_decision(state: str) -> None:
    assert [answers(STATES[state], mode) for mode in MODES] == rows()[state]
