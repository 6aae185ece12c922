"""The whole decision table of the default style: every state of a parent × every quote × every mode.

A row is a state, with the time in it; what it must not depend on, it is asked for all the same. The prices of what is
placed are in ``test_ladder``, the other styles in ``test_strategy``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.orders import ChildOrder, ChildPhase, ChildState
from rebalance_executor.domain.strategy import Concluding, DecisionContext, RunMode, Settle, Working, Yielding, decide
from tests.support.builders import a_child, a_filled_child, a_parent, a_quote, a_trade, later

CONFIG = ExecutionConfig(max_children=4)
"""NORMAL: rungs at 0.1, 0.3, 0.5 and 1 of the spread, 4 seconds each, and 30 for the last."""
ARRIVAL = a_quote("10.00", "10.10")
QUOTES = {
    "usable": ARRIVAL,
    "away": a_quote("10.03", "10.13"),
    "no more": a_quote("10.00", "0"),
    "long no more": a_quote("10.00", "0"),
    "last trade": a_trade("10.12"),
    "beyond": a_quote("10.40", "10.50"),
}
"""As at arrival; moved away; without an ask, briefly and for too long; last trade; beyond the collar."""
LOST_SINCE = {"no more": 9.0, "long no more": 4.0}


MODES: tuple[RunMode, ...] = (
    Working(),
    Yielding("stopped safely on request", later(600)),
    Concluding(Code.TIME_LIMIT, "the plan's time limit passed"),
)


def rests(after: float, *, aim: str = "0.1", limit: str = "10.01", **fields: object) -> ChildOrder:
    """Return a child sent ``after`` seconds before the look, which is ten seconds after ``NOW``."""
    return a_child(**({"limit": limit, "spread_fraction": Decimal(aim), "intended_at": later(10 - after)} | fields))  # type: ignore[arg-type]


def over(state: ChildState, **fields: object) -> ChildOrder:
    return replace(rests(5), state=state, closed_at=later(9), **fields)  # type: ignore[arg-type]


CANCELLING = rests(9, cancel_requested_at=later(5))
IN_VAIN = over(ChildState.CANCELED, spread_fraction=Decimal(1), limit_price=Decimal("10.13"), intended_at=later(-30))

STATES: dict[str, tuple[ChildOrder, ...]] = {
    "nothing sent yet": (),
    "journalled": (rests(1, state=ChildState.INTENDED),),
    "no answer": (rests(60, state=ChildState.UNKNOWN),),
    "sent again, rejected": (rests(60, state=ChildState.UNKNOWN, resent=True, error_code="40310000"),),
    "rests, its time not over": (rests(3),),
    "rests, its time over": (rests(4),),
    "rests through all of its time": (rests(50),),
    "rests at the far touch": (rests(20, aim="1", limit="10.10"),),
    "rests at the far touch in vain": (rests(30, aim="1", limit="10.10"),),
    "cancel asked for": (CANCELLING,),
    "cancel never confirmed": (replace(CANCELLING, cancel_requested_at=later(-50)),),
    "filled, price to come": (rests(9, status="filled", filled="10", incomplete_since=later(5)),),
    "filled, price never came": (rests(9, status="filled", filled="10", incomplete_since=later(-5)),),
    "filled": (a_filled_child(),),
    "filled in part, then cancelled": (over(ChildState.CANCELED, filled_qty=Decimal(4), filled_avg_price=Decimal(10)),),
    "cancelled": (over(ChildState.CANCELED),),
    "expired": (over(ChildState.EXPIRED),),
    "cancelled after the last rung": (replace(IN_VAIN, cancel_requested_at=later(5)),),
    "rejected": (over(ChildState.REJECTED),),
    "replaced by somebody": (over(ChildState.REPLACED),),
    "never left": (over(ChildState.NOT_SENT),),
    "four orders in vain": tuple(replace(over(ChildState.CANCELED), attempt=n) for n in (1, 2, 3, 4)),
}

TABLE = """
                               | usable    away      no more   long so   trade     beyond  | yield       | conclude
nothing sent yet               | place     place     ·         no quote  place     collar  | ·           | time
journalled                     | ·                                                         | ·           | ·
no answer                      | ·                                                         | ·           | ·
sent again, rejected           | ·                                                         | ·           | ·
rests, its time not over       | ·         ·         ·         ·         cancel    ·       | cancel      | cancel
rests, its time over           | cancel    cancel    ·         ·         cancel    ·       | cancel      | cancel
rests through all of its time  | cancel                                                    | cancel      | cancel
rests at the far touch         | ·         cancel    ·         ·         cancel    ·       | cancel      | cancel
rests at the far touch in vain | cancel                                                    | cancel      | cancel
cancel asked for               | ·                                                         | ·           | ·
cancel never confirmed         | unconfirmed                                               | unconfirmed | unconfirmed
filled, price to come          | ·                                                         | ·           | ·
filled, price never came       | no price                                                  | no price    | no price
filled                         | filled                                                    | filled      | filled
filled in part, then cancelled | place     place     ·         no quote  place     collar  | ·           | time
cancelled                      | place     place     ·         no quote  place     collar  | ·           | time
expired                        | place     place     ·         no quote  place     collar  | ·           | time
cancelled after the last rung  | in vain   in vain   ·         no quote  in vain   collar  | ·           | time
rejected                       | rejected                                                  | rejected    | rejected
replaced by somebody           | replaced                                                  | replaced    | replaced
never left                     | place     place     ·         no quote  place     collar  | ·           | time
four orders in vain            | in vain                                                   | ·           | time
"""
"""``·`` means wait; a single cell applies to all six quotes."""

WORDS = {
    "Wait": "·",
    "Place": "place",
    "Cancel": "cancel",
    "QUOTE_UNUSABLE": "no quote",
    "PRICE_COLLAR": "collar",
    "ATTEMPTS_EXHAUSTED": "in vain",
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
