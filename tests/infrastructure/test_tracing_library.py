"""One module of the program imports the tracing library, so that another library is a change of one file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infrastructure.templates import ROOT

SOURCE = ROOT / "src"
LIBRARIES = ("aws_xray_sdk", "opentelemetry", "aws_lambda_powertools.tracing", "aws_lambda_powertools.Tracer")
"""Today's library, the one that AWS recommends to follow it, and both names of Powertools' wrapper."""


def imported(program: str) -> Iterator[str]:
    """Return the full name of everything that a program imports, at any place."""
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_tracing(program: str) -> bool:
    return any(f"{name}.".startswith(f"{library}.") for name in imported(program) for library in LIBRARIES)


def test_only_the_module_tracing_imports_a_tracing_library() -> None:
    importing = {path for path in SOURCE.rglob("*.py") if imports_tracing(path.read_text(encoding="utf-8"))}

    assert importing == {SOURCE / "rebalance_executor" / "tracing.py"}


@pytest.mark.parametrize(
    "program",
    [
        "from aws_lambda_powertools import Logger, Tracer",
        "from aws_lambda_powertools.tracing import aiohttp_trace_config",
        "import aws_xray_sdk.core",
        "def f():\n    from aws_xray_sdk.core.models.subsegment import Subsegment",
        "from opentelemetry import trace",
    ],
)
def test_every_form_of_an_import_is_found(program: str) -> None:
    assert imports_tracing(program)


@pytest.mark.parametrize("program", ["from aws_lambda_powertools import Logger", "from .tracing import Tracing"])
def test_other_imports_are_no_tracing(program: str) -> None:
    assert not imports_tracing(program)


def test_no_other_file_of_the_deployed_package_names_the_library() -> None:
    """A name in a string, such as a module to be patched, is a dependency too."""
    package = SOURCE / "rebalance_executor"

    naming = {path.name for path in package.rglob("*.py") if "xray" in Path(path).read_text("utf-8").lower()}
    assert naming == {"tracing.py"}
