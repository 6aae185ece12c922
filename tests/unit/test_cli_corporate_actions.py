"""Splits and symbol changes of a plan's symbols: which count, what is said of them, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from rebalance_cli.corporate_action_answers import CorporateActions
from rebalance_cli.corporate_action_answers import CorporateActionType as Kind
from rebalance_cli.queries.corporate_actions import read_corporate_actions
from rebalance_executor.domain.errors import BrokerUnavailable
from tests.support.builders import a_plan, an_item

MONDAY = date(2026, 1, 26)
FORWARD = {"symbol": "AAA", "new_rate": 4, "old_rate": 1, "ex_date": "2026-01-26", "process_date": "2026-01-26"}
REVERSE = {"symbol": "BBB", "new_rate": 1, "old_rate": 12.5, "ex_date": "2026-01-25", "process_date": "2026-01-25"}
UNIT = {
    "old_symbol": "CCC.U", "old_rate": 1, "new_symbol": "CCC", "new_rate": 1, "alternate_symbol": "CCC.WS",
    "alternate_rate": 0.5, "process_date": "2026-01-26", "effective_date": "2026-01-26",
}  # fmt: skip
NAME = {"old_symbol": "OLD", "new_symbol": "NEW", "process_date": "2026-01-26"}


class Pages:
    """Responses to the requests for corporate actions, in turn; an exception is raised."""

    def __init__(self, *pages: object) -> None:
        self.pages = list(pages)
        self.queries: list[Mapping[str, str]] = []

    def __call__(self, query: Mapping[str, str]) -> object:
        self.queries.append(dict(query))
        page = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        if isinstance(page, Exception):
            raise page
        return page


def page(token: str | None = None, **actions: object) -> dict[str, Any]:
    return {"corporate_actions": actions, "next_page_token": token}


def read(pages: Pages, *symbols: str, computed: str = "2026-01-23T21:00:00Z") -> CorporateActions:
    """Read the actions of a plan with these symbols, which was computed on the Friday before."""
    return read_corporate_actions(pages, a_plan(*map(an_item, symbols), timestamp=computed), MONDAY)


def test_every_kind_is_named_with_the_shares_or_symbols_before_and_after() -> None:
    pages = Pages(page(forward_splits=[FORWARD], reverse_splits=[REVERSE], unit_splits=[UNIT], name_changes=[NAME]))

    actions = read(pages, "AAA", "BBB", "CCC.U", "OLD", "NEW").actions

    assert [(one.symbol, one.type, one.day.day, one.change) for one in actions] == [
        ("AAA", Kind.FORWARD_SPLIT, 26, "1 share of AAA becomes 4"),
        ("BBB", Kind.REVERSE_SPLIT, 25, "12.5 shares of BBB become 1"),
        ("CCC.U", Kind.UNIT_SPLIT, 26, "1 share of CCC.U becomes 1 of CCC and 0.5 of CCC.WS"),
        ("NEW", Kind.SYMBOL_CHANGE, 26, "OLD becomes NEW"),
        ("OLD", Kind.SYMBOL_CHANGE, 26, "OLD becomes NEW"),
    ]
    assert len({one.meaning for one in actions}) == 4


def test_meaning_says_which_controls_deny_and_which_symbol_a_new_plan_needs() -> None:
    split, old = read(Pages(page(forward_splits=[FORWARD], name_changes=[NAME])), "AAA", "OLD").actions

    assert "sized in dollars at today's price" in split.meaning
    assert "PRICE_COLLAR" in split.meaning
    assert "NOT_TRADABLE" in old.meaning
    assert "Make a new plan with NEW" in old.meaning


@pytest.mark.parametrize(
    ("day", "is_named"), [("2026-01-22", False), ("2026-01-23", True), ("2026-01-26", True), ("2026-01-27", False)]
)
def test_actions_count_from_the_day_of_the_plan_until_today(day: str, *, is_named: bool) -> None:
    actions = read(Pages(page(forward_splits=[FORWARD | {"ex_date": day}])), "AAA").actions

    assert len(actions) == is_named


def test_day_of_the_plan_is_that_in_new_york() -> None:
    answer = read(Pages(page()), "AAA", computed="2026-01-24T02:00:00Z")

    assert (answer.first_day, answer.last_day) == (date(2026, 1, 23), MONDAY)


def test_query_has_the_symbols_and_a_week_more_on_both_sides_than_counts() -> None:
    pages = Pages(page())

    assert read(pages, "BBB", "AAA").actions == ()
    assert pages.queries == [
        {
            "types": "forward_split,reverse_split,unit_split,name_change",
            "symbols": "AAA,BBB",
            "start": "2026-01-16",
            "end": "2026-02-02",
            "limit": "1000",
        }
    ]


def test_actions_of_other_symbols_and_new_numbers_of_the_same_symbol_are_left_out() -> None:
    same = {**NAME, "old_symbol": "AAA", "new_symbol": "AAA"}

    assert read(Pages(page(forward_splits=[FORWARD], name_changes=[same])), "AAA", "BBB").actions[0].type == (
        Kind.FORWARD_SPLIT
    )
    assert read(Pages(page(forward_splits=[FORWARD], name_changes=[NAME, same])), "BBB").actions == ()


def test_pages_are_followed_and_an_action_on_two_of_them_is_named_once() -> None:
    pages = Pages(page("next", forward_splits=[FORWARD]), page(forward_splits=[FORWARD], reverse_splits=[REVERSE]))

    assert [one.symbol for one in read(pages, "AAA", "BBB").actions] == ["AAA", "BBB"]
    assert pages.queries[1]["page_token"] == "next"


@pytest.mark.parametrize(
    "answer",
    [
        BrokerUnavailable("HTTP 503"),
        page("again"),
        None,
        [],
        {},
        {"corporate_actions": []},
        page(forward_splits=[FORWARD | {"new_rate": 0}]),
        page(forward_splits=[{"symbol": "AAA"}]),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_not_known_and_no_error(answer: object) -> None:
    answered = read(Pages(answer), "AAA")

    assert answered.actions == ()
    assert answered.problem


def test_many_symbols_are_split_into_requests() -> None:
    pages = Pages(page())

    read(pages, *(f"S{number}" for number in range(260)))

    assert [len(query["symbols"].split(",")) for query in pages.queries] == [250, 10]
