"""Fault plans: the requests that a fault applies to."""

from typing import Any

import pytest

from paper_broker.faults import Fault, FaultPlan

POST = ("POST", "/v2/orders", {"client_order_id": "plan-7", "symbol": "ABC"})


def kinds(plan: FaultPlan, times: int, request: tuple[str, str, dict[str, Any]] = POST) -> list[str | None]:
    """Send the same request several times; return the kind of fault that applies to each."""
    faults = (plan.next(*request) for _ in range(times))
    return [None if fault is None else fault.kind for fault in faults]


def test_fault_applies_to_one_request_by_default() -> None:
    assert kinds(FaultPlan([{"kind": "drop"}]), 3) == ["drop", None, None]


def test_fault_with_nth_and_count_applies_to_a_range_of_requests() -> None:
    assert kinds(FaultPlan([{"kind": "drop", "nth": 2, "count": 2}]), 5) == [None, "drop", "drop", None, None]


def test_fault_without_count_applies_to_all_requests() -> None:
    assert kinds(FaultPlan([{"kind": "hang", "count": None}]), 3) == ["hang"] * 3


def test_faults_apply_in_the_order_in_which_they_were_armed() -> None:
    plan = FaultPlan([{"kind": "drop"}])
    plan.arm([{"kind": "hang", "nth": 2}])

    assert kinds(plan, 3) == ["drop", "hang", None]


@pytest.mark.parametrize(
    ("filters", "applies"),
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
def test_fault_applies_to_matching_requests_only(filters: dict[str, Any], applies: bool) -> None:
    assert (FaultPlan([{"kind": "drop", **filters}]).next(*POST) is not None) is applies


@pytest.mark.parametrize(("symbol", "applies"), [("ABC", True), ("XYZ", True), ("BC", False)])
def test_fault_matches_each_symbol_of_a_list(symbol: str, applies: bool) -> None:
    plan = FaultPlan([{"kind": "drop", "symbol": symbol}])

    assert (plan.next("GET", "/v2/stocks/quotes/latest", {"symbols": "ABC,XYZ"}) is not None) is applies


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({"kind": "hang"}, None),
        ({"kind": "hang", "seconds": 5}, 5),
        ({"kind": "latency"}, 1.0),
        ({"kind": "drip"}, 1.0),
        ({"kind": "drip", "seconds": 0}, 0),
    ],
)
def test_default_durations(spec: dict[str, Any], seconds: float | None) -> None:
    assert Fault.parse(spec).wait_seconds == seconds


def test_requests_that_do_not_match_are_not_counted() -> None:
    plan = FaultPlan([{"kind": "drop", "method": "POST", "nth": 2}])
    plan.next("GET", "/v2/account", {})

    assert kinds(plan, 2) == [None, "drop"]


def test_cleared_fault_does_not_apply() -> None:
    plan = FaultPlan([{"kind": "drop"}])
    plan.clear()

    assert kinds(plan, 1) == [None]


@pytest.mark.parametrize(
    ("spec", "code"), [({}, 50310000), ({"status": 404}, 40410000), ({"code": None}, None), ({"code": 7}, 7)]
)
def test_code_of_an_error_follows_from_its_status_unless_it_is_given(spec: dict[str, Any], code: int | None) -> None:
    fault = Fault.parse({"kind": "status", **spec})

    assert fault.code == Fault.parse(fault.dump()).code == code


def test_fault_plan_can_be_dumped_and_restored() -> None:
    plan = FaultPlan([{"kind": "drop", "nth": 2, "count": 2}])
    kinds(plan, 2)

    assert kinds(FaultPlan(plan.dump()), 3) == ["drop", None, None]


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "rain"},
        {"kind": "status", "status": 399},
        {"kind": "status", "status": 600},
        {"kind": "status", "status": "403"},
        {"kind": "status", "code": "none"},
        {"kind": "status", "code": True},
        {"kind": "status", "message": 1},
        {"kind": "oversize", "megabytes": 0},
        {"kind": "oversize", "megabytes": 1025},
        {"kind": "oversize", "gzip": "yes"},
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
def test_invalid_fault_is_rejected(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="fault"):
        FaultPlan([spec])
