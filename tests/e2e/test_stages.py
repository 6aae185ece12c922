"""Two stages of the stack in one AWS account: neither halts the other, and they do not share a broker account.

Runs on the local AWS, which holds both stacks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.deployment import WORLD, LocalCloud, local_parameters, publish
from tests.e2e.sam import ROOT
from tests.e2e.system import System, a_plan
from tests.support.broker_server import BrokerServer, paper_broker

STAGE = "rebalance-e2e-paper"


@pytest.fixture(scope="module")
def other(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield a second stack beside the first, with a simulated broker of its own."""
    if system.cloud is None:
        pytest.skip("a second stack is deployed to the local AWS only")
    cloud: LocalCloud = system.cloud
    folder = tmp_path_factory.mktemp("stage")
    world = folder / "world.json"
    world.write_text(json.dumps(WORLD))
    with paper_broker(folder, world) as broker:
        cloud.put_secret(f"alpaca/{STAGE}/default", "default")
        cloud.sam.deploy(STAGE, _parameters(broker))
        yield System(STAGE, cloud.session(), cloud.url, broker, log=cloud.log, cloud=cloud)


def rebalance(system: System, folder: Path, *words: str) -> None:
    """Run an operator's command for this stack."""
    command, config = str(Path(sys.executable).parent / "rebalance"), str(folder / f"{system.stack}.toml")
    environment = dict(system.cloud.sam.environment) | {"PYTHONPATH": str(ROOT / "src"), "REBALANCE_OPERATOR": "e2e"}
    for arguments in (["init", "--stack", system.stack, "--force"], list(words)):
        completed = subprocess.run(
            [command, *arguments, "--config", config], env=environment, capture_output=True, text=True, check=False
        )
        assert completed.returncode == 0, completed.stdout + completed.stderr


def _parameters(broker: BrokerServer) -> dict[str, object]:
    return local_parameters(broker) | {"Stage": "paper"}


def test_stage_trades_while_the_other_is_halted(system: System, other: System, tmp_path: Path) -> None:
    for one in (system, other):
        assert one.invoke(a_plan())["status"] == "success"
    rebalance(system, tmp_path, "halt", "--reason", "a test")
    try:
        halted, trades = system.invoke(a_plan("31")), other.invoke(a_plan("31"))
    finally:
        rebalance(system, tmp_path, "resume", "--reason", "the test is over")

    assert [order["error_code"] for order in halted["orders"]] == ["HALTED"], halted
    assert trades["status"] == "success", trades


def test_stages_share_no_name(system: System, other: System) -> None:
    names = [set(one.outputs.values()) for one in (system, other)]
    assert names[0] & names[1] == set()
    secrets = [
        one.client("lambda").get_function_configuration(FunctionName=one.outputs["FunctionName"])["Environment"]
        for one in (system, other)
    ]
    assert [variables["Variables"]["ALPACA_SECRET_NAME"] for variables in secrets] == [
        f"alpaca/{one.stack}/{{account}}" for one in (system, other)
    ]


def test_broker_account_of_another_stage_is_denied(system: System, other: System) -> None:
    """The second stage gets the keys and the broker of the first: each has a journal and limits of its own."""
    assert system.broker is not None
    assert other.cloud is not None
    assert system.invoke(a_plan("32"))["status"] == "success"
    other.cloud.sam.deploy(STAGE, _parameters(system.broker))
    publish(other)  # the local AWS loses versions and alias on a stack update
    orders = len(system.broker.orders())

    denied = other.invoke(a_plan("32"))

    assert [order["error_code"] for order in denied["orders"]] == ["ACCOUNT_MISMATCH"], denied
    assert len(system.broker.orders()) == orders
