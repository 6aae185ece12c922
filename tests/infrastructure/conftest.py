"""The templates, read once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infrastructure.templates import read


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """What is deployed."""
    return read("template.yaml")


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    """Its resources, by logical name."""
    found: dict[str, Any] = template["Resources"]
    return found


@pytest.fixture(scope="session")
def function(resources: dict[str, Any]) -> dict[str, Any]:
    """The function's properties."""
    found: dict[str, Any] = resources["RebalanceFunction"]["Properties"]
    return found
