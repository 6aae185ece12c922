"""Corporate actions: announced on their day, kept with the state, and applied to adjusted bars."""

import json
from typing import Any

import pytest

from paper_broker.bars import BarQuery
from paper_broker.corporate_actions import ActionQuery
from paper_broker.errors import BrokerError
from paper_broker.exchange import Exchange
from tests.unit.paper_broker.exchange_harness import ExchangeHarness

ACTIONS: dict[str, list[dict[str, Any]]] = {
    "forward_splits": [
        {"symbol": "ABC", "new_rate": 2, "old_rate": 1, "ex_date": "2026-01-26"},
        {"symbol": "XYZ", "new_rate": "1.5", "old_rate": 1, "ex_date": "2026-01-28", "record_date": "2026-01-27"},
    ],
    "reverse_splits": [{"symbol": "OLD", "new_rate": 1, "old_rate": 10, "ex_date": "2026-01-26"}],
    "unit_splits": [
        {
            "old_symbol": "UNIT",
            "old_rate": 1,
            "new_symbol": "STOCK",
            "new_rate": 1,
            "alternate_symbol": "WARR",
            "alternate_rate": 0.5,
            "effective_date": "2026-01-29",
        }
    ],
    "name_changes": [{"old_symbol": "FB", "new_symbol": "META", "process_date": "2026-01-26"}],
}


def found(exchange: Exchange, **query: Any) -> dict[str, list[str]]:
    kinds = exchange.corporate_actions(ActionQuery(**query))["corporate_actions"]
    return {kind: [row.get("symbol") or row["new_symbol"] for row in rows] for kind, rows in kinds.items()}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"forward_splits": ["ABC"], "reverse_splits": ["OLD"], "name_changes": ["META"]}),
        ({"start": "2026-01-27", "end": "2026-01-28"}, {"forward_splits": ["XYZ"]}),
        ({"end": "2026-01-28", "types": "forward_split"}, {"forward_splits": ["ABC", "XYZ"]}),
        ({"end": "2026-01-28", "types": "forward_split", "limit": "1"}, {"forward_splits": ["ABC"]}),
        ({"symbols": frozenset({"FB", "OLD"})}, {"reverse_splits": ["OLD"], "name_changes": ["META"]}),
        (
            {"symbols": frozenset({"WARR"}), "end": "2026-01-29", "types": "unit_split,spin_off"},
            {"unit_splits": ["STOCK"]},
        ),
        ({"symbols": frozenset({"NONE"})}, {}),
        ({"types": "cash_dividend"}, {}),
    ],
)
def test_actions_are_found_by_day_type_and_symbol(query: dict[str, Any], expected: dict[str, list[str]]) -> None:
    assert found(ExchangeHarness(corporate_actions=ACTIONS).exchange, **query) == expected


def test_pages_have_every_action_once() -> None:
    exchange, rows, token = ExchangeHarness(corporate_actions=ACTIONS).exchange, list[str](), None
    while token is not None or not rows:
        page = exchange.corporate_actions(ActionQuery(end="2026-01-30", limit="2", page_token=token))
        rows += [row["id"] for found in page["corporate_actions"].values() for row in found]
        token = page["next_page_token"]

    assert len(rows) == len(set(rows)) == 5


@pytest.mark.parametrize("query", [{"types": "gift"}, {"start": "soon"}, {"limit": "0"}, {"page_token": "?"}])
def test_invalid_parameter_is_a_400(query: dict[str, str]) -> None:
    with pytest.raises(BrokerError) as invalid:
        ExchangeHarness().exchange.corporate_actions(ActionQuery(**query))  # type: ignore[arg-type]

    assert invalid.value.http_status == 400


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"dividends": []}, "dividends"),
        ({"name_changes": [{"old_symbol": "A", "new_symbol": "B"}]}, "process_date"),
        ({"forward_splits": [{**ACTIONS["forward_splits"][0], "new_rate": 0}]}, "new_rate"),
        ({"forward_splits": [{**ACTIONS["forward_splits"][0], "ex_date": "soon"}]}, "soon"),
        ({"reverse_splits": [{**ACTIONS["reverse_splits"][0], "colour": "red"}]}, "colour"),
    ],
)
def test_invalid_action_is_rejected(spec: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ExchangeHarness(corporate_actions=spec)


def test_state_keeps_the_actions() -> None:
    harness = ExchangeHarness(corporate_actions=ACTIONS)

    restored = Exchange.load(json.loads(json.dumps(harness.exchange.dump())), lambda: harness.now)

    everything = ActionQuery(end="2026-12-31")
    assert restored.corporate_actions(everything) == harness.exchange.corporate_actions(everything)


def test_split_changes_adjusted_bars_before_its_day_only() -> None:
    quote = {"bid": "10.00", "ask": "10.02", "prev_close": "20", "volume": 1000}
    exchange = ExchangeHarness(quotes={"ABC": quote}, corporate_actions=ACTIONS).exchange

    raw, adjusted = (
        exchange.bars(BarQuery(("ABC",), timeframe="1Day", start="2026-01-22", adjustment=adjustment))["bars"]["ABC"]
        for adjustment in ("raw", "split")
    )

    assert [(row["c"], row["v"]) for row in raw[-2:]] == [(20, 1000), (10.01, 1000)]
    assert [(row["c"], row["v"]) for row in adjusted[-2:]] == [(10, 2000), (10.01, 1000)]
