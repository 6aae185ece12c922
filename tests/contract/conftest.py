"""Fixtures: a simulated broker per test, and its clients."""

from collections.abc import Iterator

import pytest

from paper_broker.server import PaperBroker
from tests.contract.sdk import Api, Sdk, broker_world, data_client, trading_client


@pytest.fixture
def broker() -> Iterator[PaperBroker]:
    """Start a broker with a virtual clock."""
    with PaperBroker(broker_world()) as running:
        yield running


@pytest.fixture
def api(broker: PaperBroker) -> Iterator[Api]:
    """Return a client for plain HTTP requests."""
    client = Api(broker.url)
    yield client
    client.close()


@pytest.fixture
def trading(broker: PaperBroker) -> Iterator[Sdk]:
    """Return the SDK's trading client."""
    client = trading_client(broker.url)
    yield client
    client._session.close()


@pytest.fixture
def data(broker: PaperBroker) -> Iterator[Sdk]:
    """Return the SDK's market-data client."""
    client = data_client(broker.url)
    yield client
    client._session.close()
