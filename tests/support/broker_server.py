"""The simulated broker as a process."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.support.processes import LOOPBACK, answers, clean_environment, free_port, server

_SECONDS = 10


@dataclass(frozen=True, slots=True)
class BrokerServer:
    """A running simulated broker."""

    url: str
    session: requests.Session

    def environment(self) -> dict[str, str]:
        """Return the environment variables that point a function to this broker."""
        return {"ALPACA_TRADING_URL": self.url, "ALPACA_DATA_URL": self.url}

    def load_scenario(self, scenario: dict[str, Any]) -> None:
        """Reset the broker to this scenario, without orders and request counts."""
        self._checked(self.session.post(f"{self.url}/admin/scenario", json=scenario, timeout=_SECONDS))

    def request_count(self) -> int:
        """Return the number of requests to Alpaca's paths since the scenario was loaded."""
        return int(self._checked(self.session.get(f"{self.url}/admin/requests", timeout=_SECONDS)).json()["total"])

    def request_log(self) -> list[dict[str, Any]]:
        """Return the last thousand requests to Alpaca's paths, oldest first."""
        response = self._checked(self.session.get(f"{self.url}/admin/requests", timeout=_SECONDS))
        log: list[dict[str, Any]] = response.json()["log"]
        return log

    def orders(self) -> list[dict[str, Any]]:
        """Return every order, in any status."""
        query = {"status": "all", "limit": "500"}
        orders: list[dict[str, Any]] = self._checked(
            self.session.get(f"{self.url}/v2/orders", params=query, timeout=_SECONDS)
        ).json()
        return orders

    def positions(self) -> dict[str, str]:
        """Return the shares held, by symbol."""
        positions = self._checked(self.session.get(f"{self.url}/v2/positions", timeout=_SECONDS)).json()
        return {position["symbol"]: position["qty"] for position in positions}

    @staticmethod
    def _checked(response: requests.Response) -> requests.Response:
        assert response.ok, f"{response.request.method} {response.url}: {response.status_code} {response.text[:500]}"
        return response


@contextmanager
def paper_broker(folder: Path, scenario: Path) -> Iterator[BrokerServer]:
    """Run a simulated broker with this scenario for the block."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    command = [sys.executable, "-m", "paper_broker", "--port", str(port), "--scenario", str(scenario)]
    log = folder / "broker.log"
    with (
        server(command, clean_environment(), log, lambda: answers(f"{url}/admin/health")),
        requests.Session() as session,
    ):
        session.trust_env = False
        session.headers.update({"APCA-API-KEY-ID": "test", "APCA-API-SECRET-KEY": "test"})
        yield BrokerServer(url, session)


def read_scenario(path: Path) -> dict[str, Any]:
    """Read a scenario from a file."""
    scenario: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return scenario
