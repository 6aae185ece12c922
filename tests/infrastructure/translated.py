"""``template.yaml`` as CloudFormation gets it, after SAM's translation."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infrastructure.templates import ROOT

_PYTHON = ROOT / ".venv-sam" / "bin" / "python"
_TRANSLATE = """
import json, sys
from samtranslator.translator.transform import transform
class NoPolicies:
    def load(self):
        return {}
given = json.load(sys.stdin)
json.dump(transform(given["template"], given["parameters"], NoPolicies()), sys.stdout)
"""


def translated(template: dict[str, Any], **parameters: str) -> dict[str, Any]:
    """Return the template translated with these parameters; skip the test without SAM (``make sam``)."""
    if not _PYTHON.exists():
        pytest.skip("AWS SAM is missing: make sam")
    for resource in template["Resources"].values():
        if "CodeUri" in resource["Properties"]:
            resource["Properties"]["CodeUri"] = "s3://bucket/code"
    given = {"template": _with_long_forms(template), "parameters": {"AWS::Region": "us-east-1"} | parameters}
    done = subprocess.run(
        [str(_PYTHON), "-c", _TRANSLATE],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def of_type(template: dict[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the resources of a type, with their logical IDs."""
    yield from ((name, one) for name, one in template["Resources"].items() if one["Type"] == kind)


def _with_long_forms(value: Any) -> Any:
    """Return a template in which ``Fn::GetAtt`` is a list, as YAML's short form means it."""
    if isinstance(value, dict):
        if value.keys() == {"Fn::GetAtt"} and isinstance(value["Fn::GetAtt"], str):
            return {"Fn::GetAtt": value["Fn::GetAtt"].split(".", 1)}
        return {key: _with_long_forms(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_long_forms(inner) for inner in value]
    return value
