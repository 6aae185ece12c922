"""Tests of the deployed artefact: pinned and hashed packages, and the function only."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.infrastructure.templates import ROOT
from tests.support.deployed import deployed_packages, pins
from tests.support.processes import clean_environment

REQUIREMENTS = ("lambda", "dev", "local", "sam", "scan")
TOOLS = {
    "pytest",
    "moto",
    "mypy",
    "ruff",
    "hypothesis",
    "ministack",
    "awslambdaric",
    "typer",
    "rich",
    "import-linter",
    "checkov",
}


OTHER_PACKAGES = {path.parent.name for path in (ROOT / "src").glob("*/__init__.py")} - {"rebalance_executor"}


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what the make target puts into the artefact, without the packages, which need the network."""
    target = tmp_path_factory.mktemp("artefact")
    steps = [f"ARTIFACTS_DIR={target}", "PACKAGES=true", "TRIM=true"]
    command = ["make", "--no-print-directory", "build-RebalanceFunction", *steps]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return target


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_is_pinned_with_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]

    assert lines
    for line in lines:
        assert "==" in line.split(";")[0], line
        assert "--hash=sha256:" in line, line


@pytest.mark.parametrize("name", ["lambda", "local"])
def test_deployed_and_local_versions_are_the_tested_versions(name: str) -> None:
    assert pins(name).items() <= pins("dev").items()


def test_declared_dependencies_are_the_deployed_ones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "requirements" / "lambda.in").read_text(encoding="utf-8").splitlines()

    deployed = {line.split("#")[0].strip() for line in lines} - {""}
    assert deployed == set(project["dependencies"])


def test_development_tools_are_not_deployed() -> None:
    assert not pins("lambda").keys() & TOOLS


def test_data_frames_and_streams_are_not_deployed() -> None:
    """Two thirds of what alpaca-py installs are packages that the function does not use."""
    assert not pins("lambda").keys() & {"pandas", "numpy", "pytz", "msgpack", "sseclient-py", "websockets"}


def test_artefact_is_a_copy_of_the_deployed_package(artefact: Path) -> None:
    package, source = artefact / "rebalance_executor", ROOT / "src" / "rebalance_executor"

    assert [path.name for path in artefact.iterdir()] == ["rebalance_executor"]
    deployed = {path.relative_to(package) for path in package.rglob("*.py")}
    assert deployed == {path.relative_to(source) for path in source.rglob("*.py")}


def test_handler_imports_from_the_artefact_alone(artefact: Path, tmp_path: Path) -> None:
    """The deployed package needs neither the other packages of this repository nor a development tool."""
    packages = tmp_path / "packages"
    packages.mkdir()
    program = (
        f"import sys; sys.path[:0] = [{str(artefact)!r}, {str(deployed_packages(packages))!r}]\n"
        "import rebalance_executor.handler as handler\n"
        "print(handler.__file__)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    completed = subprocess.run(
        [sys.executable, "-P", "-S", "-c", program],
        cwd=tmp_path,
        env=clean_environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        check=True,
    )
    file, modules = completed.stdout.splitlines()

    assert Path(file).is_relative_to(artefact)
    assert not set(modules.split()) & ({name.replace("-", "_") for name in TOOLS} | OTHER_PACKAGES | {"_pytest"})


def samconfig() -> dict[str, Any]:
    return tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))


def test_samconfig_has_this_machine_and_three_stages() -> None:
    config = samconfig()

    assert config.keys() == {"version", "default", "dev", "paper", "live"}
    assert config["default"]["build"]["parameters"]["template_file"] == "local/template.yaml"
    assert "deploy" not in config["default"]
    for stage in ("dev", "paper", "live"):
        assert config[stage]["deploy"]["parameters"]["stack_name"] == f"rebalance-executor-{stage}"
        assert "template_file" not in config[stage]["build"]["parameters"]  # template.yaml
    assert not re.search(r"\b\d{12}\b", (ROOT / "samconfig.toml").read_text(encoding="utf-8"))


def test_no_stage_of_samconfig_enables_real_money() -> None:
    for stage in ("dev", "paper", "live"):
        overrides = samconfig()[stage]["deploy"]["parameters"].get("parameter_overrides", [])
        assert not {"AlpacaPaper=false", "LiveTrading=yes"} & set(overrides)
    assert samconfig()["live"]["deploy"]["parameters"]["confirm_changeset"] is True
