"""SAM templates as plain values: ``!Ref X`` becomes ``{"Ref": "X"}``, ``!Sub …`` becomes ``{"Fn::Sub": …}``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # a stub package for these few lines is not worth it

ROOT = Path(__file__).parents[2]


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML loader that reads CloudFormation's short forms."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def read(name: str) -> dict[str, Any]:
    """Return a template of this repository."""
    template: dict[str, Any] = yaml.load((ROOT / name).read_text(encoding="utf-8"), _Loader)  # noqa: S506 - SafeLoader
    return template


def attribute(resource: str, name: str = "Arn") -> dict[str, str]:
    """Return ``!GetAtt resource.name``."""
    return {"Fn::GetAtt": f"{resource}.{name}"}


def reference(resource: str) -> dict[str, str]:
    """Return ``!Ref resource``."""
    return {"Ref": resource}


def strings(value: object) -> Iterator[str]:
    """Yield every string in ``value``, keys included."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    else:
        yield str(value)
