"""What ``sam local invoke`` runs, without Docker: the layer as make builds it, behind the emulator."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.infrastructure.templates import ROOT, read
from tests.support.lambda_runtime import lambda_runtime, needed_emulator

SAMPLE = ROOT / "events" / "direct_pointer.json"
"""Takes everything there is: function, database, secret, plan bucket and broker."""


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer, without the packages: those of this environment serve."""
    target = tmp_path_factory.mktemp("layer")
    command = ["make", "--no-print-directory", "build-LocalWorld", f"ARTIFACTS_DIR={target}", "PACKAGES=true"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return target


def test_a_sample_is_executed_in_the_world_of_the_layer(layer: Path, tmp_path: Path) -> None:
    binary = needed_emulator()
    properties = read("local/template.yaml")["Resources"]["RebalanceFunction"]["Properties"]
    variables = (
        properties["Environment"]["Variables"]
        | json.loads((ROOT / "events" / "env.json").read_text(encoding="utf-8"))["RebalanceFunction"]
    )
    place = {"AWS_DEFAULT_REGION": "us-east-1", "TMPDIR": str(tmp_path), "PYTHONPATH": str(layer / "python")}
    del variables["POWERTOOLS_TRACE_DISABLED"]  # set by the runtime of tests

    with lambda_runtime(binary, variables | place, tmp_path, handler=properties["Handler"]) as function:
        result = function.invoke(json.loads(SAMPLE.read_text(encoding="utf-8")))

    assert result.get("success") is True, result
    assert result["plan_id"] == "sample-pointed-at"
    assert result["orders_succeeded"] == 1
