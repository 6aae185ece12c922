"""Two stages side by side in one AWS account: what happens in one does not happen in the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from rebalance_executor.adapters.clock import SystemClock
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from tests.e2e.deployment import local_parameters, publish
from tests.e2e.system import System, a_plan
from tests.support.broker_server import paper_broker

SECOND = "rebalance-e2e-second"


@pytest.fixture(scope="module")
def second(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield a second stack beside the first one, with a paper broker of its own."""
    if system.cloud is None:
        pytest.skip("a real AWS account has one stack for these tests")
    folder, cloud = tmp_path_factory.mktemp("second"), system.cloud
    with paper_broker(folder, cloud.sam.folder / "world.json") as broker:
        cloud.put_secret(f"alpaca/{SECOND}/default", "default")
        cloud.sam.deploy(SECOND, local_parameters(broker))
        yield System(SECOND, cloud.session(), cloud.url, broker)


@contextmanager
def halted(system: System) -> Iterator[None]:
    """Halt the account default of a stack."""
    store = DynamoRiskStore(system.client("dynamodb"), system.outputs["ExecutionTableName"], SystemClock())

    def switch(state: TradingState) -> None:
        store.set_kill_switch("default", KillSwitchRecord(state, "ada", "drill", datetime.now(UTC)))

    switch(TradingState.HALTED)
    try:
        yield
    finally:
        switch(TradingState.ACTIVE)


def codes(result: dict[str, Any]) -> set[str | None]:
    return {order["error_code"] for order in result["orders"]}


def test_one_stack_is_halted_and_the_other_one_trades(system: System, second: System) -> None:
    with halted(system):
        assert codes(system.invoke(a_plan())) == {"HALTED"}
        assert second.invoke(a_plan())["status"] == "success"
    with halted(second):
        assert codes(second.invoke(a_plan())) == {"HALTED"}
        assert system.invoke(a_plan())["status"] == "success"


def test_outputs_of_two_stacks_have_nothing_in_common(system: System, second: System) -> None:
    assert set(system.outputs.values()) & set(second.outputs.values()) == set()


def test_dry_run_of_a_deployed_function_sends_nothing(second: System) -> None:
    assert second.broker is not None
    orders = second.broker.orders()

    (item,) = second.invoke({"dry_run": a_plan()})["items"]

    assert (item["symbol"], item["side"]) == ("SPY", "buy")
    assert second.broker.orders() == orders


def test_second_stack_at_the_broker_account_of_the_first_one_is_denied(system: System, second: System) -> None:
    assert system.invoke(a_plan())["status"] == "success"
    system.cloud.sam.deploy(SECOND, local_parameters(system.cloud.broker))
    publish(second)  # the local AWS loses versions and alias on a stack update

    assert codes(second.invoke(a_plan())) == {"ACCOUNT_MISMATCH"}
    assert system.invoke(a_plan())["status"] == "success"
