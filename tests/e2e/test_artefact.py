"""The artefact that ``sam build`` made: small, compiled, and enough to trade with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.system import REGION, System, a_plan

MEGABYTES = 40
FILES = 2_800
"""A fifth above what docs/performance.md measures: a dependency more, or byte code twice, does not pass unseen."""
_EXECUTE = """
import json, sys
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
from rebalance_executor.handler import lambda_handler
context = SimpleNamespace(
    aws_request_id="artefact", function_name="rebalance", function_version="1", memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:rebalance",
    get_remaining_time_in_millis=lambda: 60_000,
)
result = lambda_handler(json.loads(sys.argv[2]), context)
where = {getattr(module, "__file__", None) or "" for module in sys.modules.values()}
print(json.dumps({"result": result, "packages": sorted(file for file in where if "-packages" in file)}))
"""


@pytest.fixture
def artefact(system: System) -> Path:
    """What was built here."""
    if system.artefact is None:
        pytest.skip("a real stack is built by its owner")
    return system.artefact


def test_the_artefact_stays_small_and_is_compiled(artefact: Path) -> None:
    files = [path for path in artefact.rglob("*") if path.is_file()]
    source = {path.relative_to(artefact) for path in files if path.suffix == ".py"}
    compiled = {
        path.parent.parent.relative_to(artefact) / f"{path.name.split('.')[0]}.py"
        for path in files
        if path.suffix == ".pyc"
    }

    assert sum(path.stat().st_size for path in files) <= MEGABYTES * 1e6
    assert len(files) <= FILES
    assert source - compiled == set()


def test_a_plan_is_executed_by_the_artefact_alone(system: System, artefact: Path) -> None:
    """No site-packages, no variables of this process: the built folder, and what the stack gives its function."""
    assert system.endpoint is not None
    told = system.client("lambda").get_function_configuration(
        FunctionName=system.outputs["FunctionName"], Qualifier="live"
    )
    environment = dict(told["Environment"]["Variables"]) | {
        "AWS_ENDPOINT_URL": system.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "LAMBDA_TASK_ROOT": str(artefact),  # tells X-Ray's SDK that it is in Lambda, where it makes no client
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _EXECUTE, str(artefact), json.dumps(a_plan())],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])

    assert answer["result"]["status"] == "success", answer
    assert answer["packages"] == []
