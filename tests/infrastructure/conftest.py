"""Fixtures with the parsed template."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infrastructure.templates import read


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """Return ``template.yaml``."""
    return read("template.yaml")


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    """Return the resources by logical ID."""
    resources: dict[str, Any] = template["Resources"]
    return resources


@pytest.fixture(scope="session")
def function(resources: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of the function."""
    properties: dict[str, Any] = resources["RebalanceFunction"]["Properties"]
    return properties
