"""Tests of botocore's service data in the artefact: what the function uses, and nothing else."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.infrastructure.templates import ROOT

_PARTITION = {"partition": "aws", "services": {"sqs": {"endpoints": {}}, "ec2": {}, "sts": {}}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder like ``botocore/data``, with two services."""
    for name in ("sqs", "ec2"):
        for version in ("2010-01-01", "2012-11-05"):
            folder = tmp_path / name / version
            folder.mkdir(parents=True)
            (folder / "examples-1.json").write_text("{}")
            (folder / "service-2.json.gz").write_bytes(gzip.compress(json.dumps(_model(version)).encode()))
    (tmp_path / "endpoints.json").write_text(json.dumps({"partitions": [_PARTITION]}))
    return tmp_path


def _model(version: str) -> dict[str, Any]:
    members = {"documentation": {"shape": "Text", "documentation": "what it says"}}
    return {"version": version, "documentation": "<p>text</p>", "shapes": {"Page": {"members": members}}}


def trim(data: Path, *services: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "trim-service-data"), str(data), *services]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_only_named_services_stay_without_documentation(data: Path) -> None:
    done = trim(data, "sqs")

    assert done.returncode == 0, done.stderr
    files = sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())
    assert files == ["endpoints.json", "sqs/2012-11-05/service-2.json"]
    assert json.loads((data / "sqs/2012-11-05/service-2.json").read_text()) == {
        "version": "2012-11-05",
        "documentation": "",
        "shapes": {"Page": {"members": {"documentation": {"shape": "Text", "documentation": ""}}}},
    }
    (partition,) = json.loads((data / "endpoints.json").read_text())["partitions"]
    assert partition["services"].keys() == {"sqs", "sts"}


@pytest.mark.parametrize("service", ["dynamodbb", "s3"])
def test_missing_service_stops_the_build(data: Path, service: str) -> None:
    done = trim(data, "sqs", service)

    assert done.returncode != 0
    assert service in done.stderr


def test_missing_endpoints_stop_the_build(data: Path) -> None:
    (data / "endpoints.json").write_text(json.dumps({"partitions": [{"services": {"sts": {}}}]}))

    done = trim(data, "sqs")

    assert done.returncode != 0
    assert "endpoints of sqs" in done.stderr


def test_every_client_of_the_program_has_its_service_in_the_list() -> None:
    listed = re.search(r'^services="([^"]+)"$', (ROOT / "scripts" / "lambda-trim").read_text(), re.MULTILINE)
    source = "\n".join(path.read_text() for path in (ROOT / "src" / "rebalance_executor").rglob("*.py"))
    created = set(re.findall(r'(?:\bclients|\baws_client|boto3\.client)\("([a-z0-9-]+)"', source))

    assert listed is not None
    assert created == set(listed[1].split())
