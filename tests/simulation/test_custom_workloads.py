"""The simulation with a user's own plans."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_simulation import START, Case, History, play_seeds
from rebalance_simulation.bugs import switched_on
from rebalance_simulation.faults import Trait
from rebalance_simulation.generators import item, plan

MARKET = {
    "account": {"cash": "5000"},
    "clock": {"sessions": "always_open"},
    "quotes": {"XYZ": {"bid": "9.99", "ask": "10.01"}, "BRK.B": {"bid": "479", "ask": "479.2"}},
    "positions": [{"symbol": "XYZ", "qty": "300"}],
}
PLANS = [plan("own-plan", [item("XYZ", "SELL", 1000), item("BRK.B", "BUY", 900)])]


def a_case(config: ExecutionConfig | None = None, fills: dict[str, object] | None = None) -> Case:
    return Case(PLANS, MARKET | (fills or {}), config or ExecutionConfig())


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """Return the example, loaded from its file."""
    path = Path(__file__).parents[2] / "examples" / "simulate_a_strategy.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_own_plans_keep_every_invariant_under_faults() -> None:
    stats = play_seeds(0, 60, lambda _: a_case())

    assert [failure.problem for failure in stats.failures] == []
    assert stats.histories == 60
    assert sum(stats.outcomes.values()) <= 60 * len(PLANS[0]["items"])  # type: ignore[arg-type]
    assert {"FILLED", "PARTIALLY_FILLED"} <= stats.outcomes.keys()
    assert len(stats.crash_points) > 5, "runs were killed, and at different calls"


def test_own_plans_run_with_their_own_symbols_and_configuration() -> None:
    config = ExecutionConfig(max_children=2)

    for seed in range(20):
        history = History(seed, lambda _: a_case(config)).run()
        traded = {order["symbol"] for order in history.world.exchange.list_orders(status="all")}
        assert traded <= {"XYZ", "BRK.B"}
        assert history.world.config is config
        assert not history.traits & {Trait.NEAR_OPEN, Trait.NEAR_CLOSE, Trait.TIGHT_LIMITS}


def test_fills_of_the_case_replace_drawn_fills() -> None:
    history = History(5, lambda _: a_case(fills={"default_fill": {"behaviour": "never"}, "fills": []}))

    assert history.world.scenario["default_fill"] == {"behaviour": "never"}
    assert history.world.scenario["fills"] == []


def test_same_seed_and_case_give_the_same_history(example: ModuleType) -> None:
    assert History(9, example.case).run().timeline() == History(9, example.case).run().timeline()


def test_bug_is_caught_with_own_plans(example: ModuleType) -> None:
    with switched_on("every order is sent twice"):
        stats = play_seeds(0, 5, example.case)

    assert stats.failed > 0
    assert stats.failures[0].replay.startswith("History(")
    assert "Violation" in stats.failures[0].problem


def test_example_strategy_keeps_every_invariant(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert example.main(20) == 0
    assert "broken invariants: 0" in capsys.readouterr().out


def test_plan_of_the_example_is_made_when_the_history_starts(example: ModuleType) -> None:
    history = History(1, example.case)

    assert history.messages[0].document["timestamp"] == START.isoformat().replace("+00:00", "Z")
