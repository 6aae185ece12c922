"""The journal's rows: what is written comes back exactly, and an operator can read it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalance_executor.adapters.dynamodb import journal_items
from rebalance_executor.adapters.dynamodb.table import Item, from_attributes, to_attributes
from rebalance_executor.domain.errors import JournalContradiction
from rebalance_executor.domain.journal import PlanPhase, PlanState, RunEnd, RunRecord
from rebalance_executor.domain.market import OrderType, Side
from rebalance_executor.domain.orders import Arrival, ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.result import ExecutionStatus
from tests.support.builders import NOW
from tests.support.journalled import ACCOUNT, child, filled_parent, order_result, parent, result, state

law = settings(max_examples=60, deadline=None, derandomize=True, database=None)

texts = st.text(min_size=1, max_size=30)
words = st.none() | texts
moments = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
maybe_moments = st.none() | moments
amounts = st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e16"), max_value=Decimal("1e16"))
maybe_amounts = st.none() | amounts

children = st.builds(
    ChildOrder,
    attempt=st.integers(1, 50),
    client_order_id=texts,
    type=st.sampled_from(OrderType),
    qty=amounts,
    limit_price=maybe_amounts,
    intended_at=moments,
    state=st.sampled_from(ChildState),
    resent=st.booleans(),
    order_id=words,
    status=words,
    filled_qty=amounts,
    filled_avg_price=maybe_amounts,
    submitted_at=maybe_moments,
    closed_at=maybe_moments,
    cancel_requested_at=maybe_moments,
    incomplete_since=maybe_moments,
    error_code=words,
    error_message=words,
)
parents = st.builds(
    ParentOrder,
    symbol=texts,
    side=st.sampled_from(Side),
    priority=st.integers(1, 5),
    planned_amount=amounts,
    qty=amounts,
    fractionable=st.booleans(),
    arrival=st.none() | st.builds(Arrival, bid=amounts, ask=amounts, at=moments),
    children=st.lists(children, max_size=3).map(tuple),
    outcome=st.none() | st.sampled_from(Outcome),
    code=words,
    message=words,
    settled_at=maybe_moments,
)
plans = st.builds(
    PlanState,
    account=texts,
    plan_id=texts,
    content_hash=texts,
    correlation_id=texts,
    causation_id=texts,
    started_at=moments,
    phase=st.sampled_from(PlanPhase),
    runs=st.integers(1, 1000),
    starting_funds=amounts,
    account_number=words,
    buy_budget=maybe_amounts,
)
runs = st.builds(
    RunRecord,
    epoch=st.integers(1, 999_999),
    run_id=texts,
    started_at=moments,
    ended_at=maybe_moments,
    end=st.none() | st.sampled_from(RunEnd),
    reason=words,
)


def stored(row: Item) -> Item:
    """The row after its way through the database's notation."""
    return from_attributes(json.loads(json.dumps(to_attributes(row))))


@law
@given(parents)
def test_given_any_parent_when_written_and_read_then_it_is_the_same(order: ParentOrder) -> None:
    back = journal_items.parent_from(stored(journal_items.parent_item(state(), order)))

    assert back == order
    assert [str(c.qty) for c in back.children] == [str(c.qty) for c in order.children]  # digit by digit


@law
@given(plans, st.integers(1, 10**9))
def test_given_any_plan_when_written_and_read_then_it_is_the_same(plan: PlanState, epoch: int) -> None:
    assert journal_items.plan_from(stored(journal_items.plan_item(plan, epoch))) == plan


@law
@given(runs)
def test_given_any_run_when_written_and_read_then_it_is_the_same(run: RunRecord) -> None:
    assert journal_items.run_from(stored(journal_items.run_item(state(), run))) == run


@law
@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_given_two_plans_when_their_names_differ_then_their_partitions_do(a: str, b: str, c: str, d: str) -> None:
    assert (journal_items.plan_pk(a, b) == journal_items.plan_pk(c, d)) == ((a, b) == (c, d))


@law
@given(moments, moments)
def test_given_two_times_when_written_as_text_then_the_texts_compare_as_the_times_do(
    one: datetime, other: datetime
) -> None:
    assert (journal_items.iso(one) < journal_items.iso(other)) == (one < other)


def test_given_separators_in_names_when_keyed_then_plans_stay_apart() -> None:
    assert journal_items.plan_pk("a#b", "c") != journal_items.plan_pk("a", "b#c")
    assert journal_items.plan_pk("a%23b", "c") != journal_items.plan_pk("a#b", "c")


def test_given_a_time_of_another_zone_when_written_then_it_stands_in_utc() -> None:
    new_york = NOW.astimezone(timezone(timedelta(hours=-5)))

    assert journal_items.iso(new_york) == "2026-01-26T15:00:00.000000+00:00"


def test_given_a_worked_parent_when_written_then_an_operator_can_read_the_row() -> None:
    row = journal_items.parent_item(state(), filled_parent("MSFT"))

    told = {name: row[name] for name in ("sk", "symbol", "side", "status", "qty", "filled_qty", "children", "order_id")}
    assert told == {
        "sk": "PARENT#MSFT",
        "symbol": "MSFT",
        "side": "sell",
        "status": "FILLED",
        "qty": "7.2273576",
        "filled_qty": "7.2273576",
        "children": 1,
        "order_id": "order-MSFT",
    }


def test_given_a_parent_without_outcome_when_written_then_its_row_says_working() -> None:
    row = journal_items.parent_item(state(), parent(children=(child(),)))

    assert row["status"] == "WORKING"
    assert row["client_order_id"] == child().client_order_id
    assert "order_id" not in row


def test_given_a_plan_when_written_then_its_row_carries_what_lists_need() -> None:
    late = NOW.replace(hour=23).astimezone(timezone(timedelta(hours=9)))  # already tomorrow there
    begun = journal_items.plan_item(state(started_at=late), 7)
    finished = journal_items.plan_item(state(phase=PlanPhase.FINISHED), 8, result(status=ExecutionStatus.UNRESOLVED))

    assert (begun["day"], begun["status"], begun["phase"], begun["epoch"]) == ("2026-01-26", "in_progress", "SELLS", 7)
    assert (finished["status"], finished["phase"]) == ("unresolved", "FINISHED")
    assert finished["finished_at"] == "2026-01-26T15:00:03.000005+00:00"


def test_given_a_small_result_when_written_then_it_is_one_row_of_json() -> None:
    (row,) = journal_items.result_items(state(), result())

    assert row["sk"] == "RESULT#000"
    assert json.loads(str(row["result"]))["plan_id"] == result().plan_id
    assert journal_items.result_from([row]) == result()


def test_given_a_result_above_a_rows_limit_when_written_then_it_is_cut_and_comes_back() -> None:
    large = result(tuple(order_result(f"SÝM{n}", children=3) for n in range(500)))

    cut = journal_items.result_items(state(), large)

    assert len(cut) > 1
    assert all(len(str(row["result"])) <= journal_items.CHUNK_BYTES for row in cut)
    assert [row["sk"] for row in cut] == [f"RESULT#{n:03d}" for n in range(len(cut))]
    assert journal_items.result_from(cut) == large


def test_given_a_result_above_a_transactions_limit_when_written_then_it_is_compressed_and_comes_back() -> None:
    huge = result(tuple(order_result(f"SYM{n}", children=20) for n in range(500)))

    packed = journal_items.result_items(state(), huge)

    assert sum(len(row["result"]) for row in packed if isinstance(row["result"], bytes)) < 1_000_000
    assert journal_items.result_from([from_attributes(to_attributes(row)) for row in packed]) == huge


def test_given_a_piece_of_a_result_is_gone_when_read_then_it_is_a_contradiction() -> None:
    cut = journal_items.result_items(state(), result(tuple(order_result(f"SYM{n}", children=3) for n in range(500))))

    with pytest.raises(JournalContradiction, match="pieces of the result are there"):
        journal_items.result_from(cut[1:])


@pytest.mark.parametrize("change", [{"parent": "{"}, {"parent": '{"symbol": "A"}'}, {"parent": 5}, None])
def test_given_a_row_that_is_no_parent_when_read_then_the_error_names_the_row(change: Item | None) -> None:
    row = journal_items.parent_item(state(), parent())
    broken = row | change if change is not None else {name: row[name] for name in ("pk", "sk")}

    with pytest.raises(JournalContradiction, match=r"PLAN#main#plan-1 PARENT#AAPL cannot be read"):
        journal_items.parent_from(broken)


def test_given_a_compressed_result_that_is_damaged_when_read_then_it_is_a_contradiction() -> None:
    (row,) = journal_items.result_items(state(), result())

    with pytest.raises(JournalContradiction, match="cannot be read"):
        journal_items.result_from([row | {"result": b"\x1f\x8bnot gzip"}])


def test_given_a_row_of_a_newer_version_when_read_then_what_is_not_known_is_ignored() -> None:
    row = journal_items.plan_item(state(), 1) | {"a_later_idea": "yes"}

    assert journal_items.plan_from(row) == state()


def test_given_numbers_spelled_otherwise_when_results_are_compared_then_they_are_the_same() -> None:
    one, other = result(total_trade_value=Decimal("733.570")), result(total_trade_value=Decimal("733.57"))

    assert journal_items.same_result(one, other)
    assert not journal_items.same_result(one, result(runs=2))


def test_given_a_plan_of_another_account_when_keyed_then_its_rows_are_elsewhere() -> None:
    here, there = journal_items.plan_item(state(), 1), journal_items.plan_item(replace(state(), account="other"), 1)

    assert here["pk"] == f"PLAN#{ACCOUNT}#plan-1"
    assert there["pk"] == "PLAN#other#plan-1"
