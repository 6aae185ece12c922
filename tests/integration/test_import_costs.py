"""The benchmark of imports counts what a library adds to the handler."""

from __future__ import annotations

import subprocess

import pytest

from benchmarks.imports import measure


def test_library_that_the_handler_imports_already_adds_no_module() -> None:
    assert measure("pydantic", processes=1)[1] == 0


def test_library_in_use_is_measured_without_the_handler() -> None:
    assert measure("pybreaker", processes=1)[1] >= 1


def test_library_that_is_not_installed_is_an_error() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        measure("no_such_library", processes=1)
