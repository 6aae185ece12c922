"""Which request meets which fault."""

from typing import Any

import pytest

from paper_broker.faults import Fault, FaultPlan

POST = ("POST", "/v2/orders", {"client_order_id": "plan-7", "symbol": "ABC"})


def kinds(plan: FaultPlan, times: int, request: tuple[str, str, dict[str, Any]] = POST) -> list[str | None]:
    """The faults that equal requests meet one after the other."""
    met = (plan.next(*request) for _ in range(times))
    return [None if fault is None else fault.kind for fault in met]


def test_a_fault_meets_one_request_unless_told_otherwise() -> None:
    assert kinds(FaultPlan([{"kind": "drop"}]), 3) == ["drop", None, None]


def test_a_fault_may_meet_several_requests_from_the_nth_on() -> None:
    assert kinds(FaultPlan([{"kind": "drop", "nth": 2, "count": 2}]), 5) == [None, "drop", "drop", None, None]


def test_a_fault_without_a_count_meets_all() -> None:
    assert kinds(FaultPlan([{"kind": "hang", "count": None}]), 3) == ["hang"] * 3


def test_faults_come_in_the_order_in_which_they_were_armed() -> None:
    plan = FaultPlan([{"kind": "drop"}])
    plan.arm([{"kind": "hang", "nth": 2}])

    assert kinds(plan, 3) == ["drop", "hang", None]


@pytest.mark.parametrize(
    ("match", "meets"),
    [
        ({"method": "POST"}, True),
        ({"method": "GET"}, False),
        ({"path": "^/v2/orders$"}, True),
        ({"path": "^/v2/orders/"}, False),
        ({"client_order_id": "plan-"}, True),
        ({"client_order_id": "other"}, False),
        ({"symbol": "ABC"}, True),
        ({"symbol": "XYZ"}, False),
        ({"symbol": "AB"}, False),
    ],
)
def test_a_fault_meets_the_requests_it_matches(match: dict[str, Any], meets: bool) -> None:
    assert (FaultPlan([{"kind": "drop", **match}]).next(*POST) is not None) is meets


@pytest.mark.parametrize(("symbol", "meets"), [("ABC", True), ("XYZ", True), ("BC", False)])
def test_a_fault_meets_questions_about_several_symbols(symbol: str, meets: bool) -> None:
    plan = FaultPlan([{"kind": "drop", "symbol": symbol}])

    assert (plan.next("GET", "/v2/stocks/quotes/latest", {"symbols": "ABC,XYZ"}) is not None) is meets


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [({"kind": "hang"}, None), ({"kind": "hang", "seconds": 5}, 5), ({"kind": "latency"}, 1.0)],
)
def test_a_request_hangs_for_ever_unless_told_otherwise(spec: dict[str, Any], seconds: float | None) -> None:
    assert Fault.parse(spec).wait_seconds == seconds


def test_requests_that_do_not_match_do_not_count() -> None:
    plan = FaultPlan([{"kind": "drop", "method": "POST", "nth": 2}])
    plan.next("GET", "/v2/account", {})

    assert kinds(plan, 2) == [None, "drop"]


def test_faults_can_be_disarmed() -> None:
    plan = FaultPlan([{"kind": "drop"}])
    plan.clear()

    assert kinds(plan, 1) == [None]


def test_a_plan_goes_on_where_it_was_dumped() -> None:
    plan = FaultPlan([{"kind": "drop", "nth": 2, "count": 2}])
    kinds(plan, 2)

    assert kinds(FaultPlan(plan.dump()), 3) == ["drop", None, None]


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "rain"},
        {"kind": "status", "status": 200},
        {"kind": "drop", "when": "now"},
        {"kind": "drop", "x": 1},
        {"kind": "drop", "nth": 0},
        {"kind": "drop", "count": 0},
        {"kind": "drop", "count": "many"},
        {"kind": "hang", "seconds": -1},
        {"kind": "hang", "seconds": "long"},
        {"kind": "drop", "path": "("},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="fault"):
        FaultPlan([spec])
