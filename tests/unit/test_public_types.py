"""Type completeness of what a library user imports: every public name has types, and none of them is ``Any``.

mypy checks the annotations themselves; it accepts ``Any`` and names that inherit from untyped packages.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import paper_broker
import rebalance_cli
import rebalance_executor
import rebalance_sandbox
import rebalance_simulation

LIBRARIES = (rebalance_executor, rebalance_simulation)
PACKAGES = (*LIBRARIES, rebalance_cli, rebalance_sandbox, paper_broker)
_UNKNOWN = (Any, "Any")
"""Annotations that say nothing; annotations are texts where their evaluation is postponed."""
PUBLIC = [(library, name) for library in LIBRARIES for name in library.__all__]


def functions(owner: type) -> Iterator[tuple[str, FunctionType]]:
    """Yield the public functions and properties that a class of ours defines, by their qualified name."""
    for base in owner.__mro__:
        if base.__module__.partition(".")[0] not in {package.__name__ for package in PACKAGES}:
            continue
        for name, member in vars(base).items():
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if isinstance(function, FunctionType) and (name == "__init__" or not name.startswith("_")):
                yield f"{base.__name__}.{name}", function


def untyped(function: FunctionType, name: str) -> list[str]:
    """Return the parameters, and ``return``, of a function that have no type or the type ``Any``."""
    types = inspect.get_annotations(function)
    own = [one for one in inspect.signature(function).parameters if one not in {"self", "cls"}]
    return [f"{name}: {one}" for one in [*own, "return"] if types.get(one, Any) in _UNKNOWN]


def problems(value: object, name: str) -> list[str]:
    """Return what has no type in a public function or class."""
    if isinstance(value, FunctionType):
        return untyped(value, name)
    if not isinstance(value, type):
        return []
    annotations = [pair for base in value.__mro__ for pair in inspect.get_annotations(base).items()]
    fields = [f"{name}.{field}" for field, annotation in annotations if annotation in _UNKNOWN and field[0] != "_"]
    return fields + [problem for member, function in functions(value) for problem in untyped(function, member)]


@pytest.mark.parametrize(("library", "name"), PUBLIC, ids=[f"{one.__name__}.{name}" for one, name in PUBLIC])
def test_public_name_is_completely_typed(library: ModuleType, name: str) -> None:
    assert problems(getattr(library, name), name) == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_package_says_that_it_is_typed(package: ModuleType) -> None:
    assert package.__file__ is not None
    assert Path(package.__file__).with_name("py.typed").exists()


def test_a_missing_type_and_any_are_found() -> None:
    def example(first: int, second, third: Any):  # type: ignore[no-untyped-def]
        return first

    assert problems(example, "example") == ["example: second", "example: third", "example: return"]
