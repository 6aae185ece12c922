"""Test of ``sam local invoke`` without Docker: the layer that make builds, run by the runtime interface emulator."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.infrastructure.templates import ROOT, read
from tests.support.lambda_runtime import lambda_runtime, needed_emulator

SAMPLE = ROOT / "events" / "direct_pointer.json"
"""Needs every part: function, database, secret, plan bucket and broker."""


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the layer without its packages, because those of this environment can be used."""
    target = tmp_path_factory.mktemp("layer")
    command = ["make", "--no-print-directory", "build-LocalWorld", f"ARTIFACTS_DIR={target}", "PACKAGES=true"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return target


def test_layer_executes_a_sample_event(layer: Path, tmp_path: Path) -> None:
    binary = needed_emulator()
    properties = read("local/template.yaml")["Resources"]["RebalanceFunction"]["Properties"]
    variables = (
        properties["Environment"]["Variables"]
        | json.loads((ROOT / "events" / "env.json").read_text(encoding="utf-8"))["RebalanceFunction"]
    )
    paths = {"AWS_DEFAULT_REGION": "us-east-1", "TMPDIR": str(tmp_path), "PYTHONPATH": str(layer / "python")}
    del variables["POWERTOOLS_TRACE_DISABLED"]  # set by the test runtime

    with lambda_runtime(binary, variables | paths, tmp_path, handler=properties["Handler"]) as function:
        result = function.invoke(json.loads(SAMPLE.read_text(encoding="utf-8")))

    assert result.get("success") is True, result
    assert result["plan_id"] == "sample-pointed-at"
    assert result["orders_succeeded"] == 1
