"""Tests of the artefact that ``sam build`` creates: small, compiled, and sufficient to execute a plan."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.system import REGION, System, a_plan

MEGABYTES = 29
FILES = 2_400
"""Just above the figures in docs/performance.md: another dependency, or byte code twice, exceeds these limits."""
SERVICES = ["dynamodb", "events", "s3", "secretsmanager", "sns", "sqs"]
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

_CREATE_CLIENTS = """
import json, sys
sys.path.insert(0, sys.argv[1])
import boto3
from botocore.exceptions import UnknownServiceError
endpoints = {}
for name in sys.argv[2:]:
    try:
        endpoints[name] = boto3.client(name, region_name="eu-west-1").meta.endpoint_url
    except UnknownServiceError:
        endpoints[name] = None
print(json.dumps(endpoints))
"""


@pytest.fixture
def artefact(system: System) -> Path:
    """Return the folder of the built function."""
    if system.artefact is None:
        pytest.skip("a real stack was not built by this test")
    return system.artefact


def test_artefact_is_small_and_compiled(artefact: Path) -> None:
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


def test_artefact_alone_executes_a_plan(system: System, artefact: Path) -> None:
    """Runs the built folder with the variables of the deployed function, without site-packages and this environment."""
    assert system.endpoint is not None
    configuration = system.client("lambda").get_function_configuration(
        FunctionName=system.outputs["FunctionName"], Qualifier="live"
    )
    environment = dict(configuration["Environment"]["Variables"]) | {
        "AWS_ENDPOINT_URL": system.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "LAMBDA_TASK_ROOT": str(artefact),  # as in Lambda, where X-Ray's SDK creates no client
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    completed = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _EXECUTE, str(artefact), json.dumps(a_plan())],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    output = json.loads(completed.stdout.splitlines()[-1])

    assert output["result"]["status"] == "success", output
    assert output["packages"] == []


def test_artefact_creates_the_clients_of_its_services_and_refuses_others(artefact: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _CREATE_CLIENTS, str(artefact), *SERVICES, "ec2"],
        env={"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr

    assert json.loads(completed.stdout) == {
        "ec2": None,
        **{name: f"https://{name}.eu-west-1.amazonaws.com" for name in SERVICES},
    }
