"""Fixture of the deployed system: on this machine and, if one is given, in a real AWS account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.deployment import deployed_in_aws, deployed_locally
from tests.e2e.system import System


@pytest.fixture(scope="session", params=["local", "aws"])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield the deployed system."""
    folder: Path = tmp_path_factory.mktemp("e2e")
    with deployed_locally(folder) if request.param == "local" else deployed_in_aws() as system:
        yield system
