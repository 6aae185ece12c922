"""Runs every command of the page about an own account, with a second broker in Alpaca's place."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.support.broker_server import paper_broker
from tests.support.documents import run_all, shell
from tests.support.processes import clean_environment

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "paper-account.md"
SCENARIO = {
    "account": {"cash": "100000", "account_number": "PA3ABCDEF123"},
    "clock": {"mode": "real", "sessions": "always_open"},
    "default_fill": {"behaviour": "immediate"},
    "quotes": {
        "AAPL": {"bid": "255.40", "ask": "255.42"},
        "MSFT": {"bid": "465.95", "ask": "465.99"},
        "SPY": {"bid": "600.00", "ask": "600.02"},
    },
}


def test_every_command_succeeds_and_prints_what_is_shown(tmp_path: Path) -> None:
    home, programs = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    programs.mkdir()
    (programs / "rebalance").symlink_to(Path(sys.executable).parent / "rebalance")
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps(SCENARIO))
    with paper_broker(tmp_path, scenario) as broker:
        page = tmp_path / "page.md"
        shown = (
            PAGE.read_text(encoding="utf-8").replace("/home/ada", str(home)).replace("paper money", "simulated money")
        )
        page.write_text(shown.replace("paper-api.alpaca.markets", broker.url.removeprefix("http://")), encoding="utf-8")
        environment = clean_environment(
            APCA_API_KEY_ID="PK1",
            APCA_API_SECRET_KEY="secret",
            REBALANCE_TRADING_URL=broker.url,
            HOME=str(home),
            XDG_DATA_HOME="",
            XDG_CONFIG_HOME="",
            PATH=f"{programs}:/usr/bin:/bin",
            PYTHONPATH=str(ROOT / "src"),
            NO_COLOR="1",
            COLUMNS="200",
        )
        with shell(home, environment) as terminal:
            run_all(page, terminal)
