"""A user's machine with an account at a broker: a second simulated broker in place of Alpaca's, and its commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from rebalance_cli.main import app
from tests.support.broker_server import BrokerServer, paper_broker

KEYS = {"APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY": "secret-1"}
NUMBER = "PA7654321"
SCENARIO: dict[str, Any] = {
    "account": {
        "cash": "10000",
        "account_number": NUMBER,
        "api_key": KEYS["APCA_API_KEY_ID"],
        "secret_key": KEYS["APCA_API_SECRET_KEY"],
    },
    "clock": {"mode": "real", "sessions": "always_open"},
    "default_fill": {"behaviour": "immediate"},
    "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in ("AAPL", "MSFT", "SPY")},
}


@dataclass(frozen=True, slots=True)
class Machine:
    """A user's directories, and a broker that accepts only ``KEYS``."""

    folder: Path
    broker: BrokerServer

    @property
    def config_file(self) -> Path:
        """The file that selects the target."""
        return self.folder / "rebalance.toml"

    @property
    def journal(self) -> Path:
        """The default place of the account's journal."""
        return self.folder / "data" / "rebalance" / f"{NUMBER}.sqlite"

    @property
    def keys_file(self) -> Path:
        """The default place of the account's keys."""
        return self.folder / "config" / "rebalance" / f"{NUMBER}.json"

    def type(self, *words: str, **variables: str | None) -> Result:
        """Run ``rebalance …`` in the test's process; None removes a variable."""
        environment: dict[str, str | None] = {
            "REBALANCE_CONFIG": str(self.config_file),
            "REBALANCE_LOCAL_HOME": str(self.folder / "home"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "NO_COLOR": "1",
            "COLUMNS": "500",
        }
        nothing_of_aws = dict.fromkeys(("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"))
        return CliRunner().invoke(app, list(words), env=environment | nothing_of_aws | variables)

    def init(self, *options: str, **variables: str | None) -> Result:
        """Run ``rebalance init`` for the account at this broker, with its keys in the environment."""
        where = ("--trading-url", self.broker.url)
        return self.type("init", *(options or ("--alpaca-paper",)), *where, **{**KEYS, **variables})

    def file(self, document: object, name: str = "plan.json") -> str:
        """Write a JSON file and return its path."""
        path = self.folder / name
        path.write_text(json.dumps(document))
        return str(path)


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Run the broker for the block."""
    scenario = folder / "scenario.json"
    scenario.write_text(json.dumps(SCENARIO))
    with paper_broker(folder, scenario) as broker:
        broker.session.headers.update(
            {"APCA-API-KEY-ID": KEYS["APCA_API_KEY_ID"], "APCA-API-SECRET-KEY": KEYS["APCA_API_SECRET_KEY"]}
        )
        yield Machine(folder, broker)
