"""The reference describes every scenario field and admin path, its example is valid, and the exchange does no I/O."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from paper_broker.admin import ACTIONS
from paper_broker.api import ROUTES
from paper_broker.app import App
from paper_broker.auctions import FIELDS as AUCTION_FIELDS
from paper_broker.blackout_windows import BlackoutWindow
from paper_broker.faults import Fault
from paper_broker.fills import OPTIONS
from paper_broker.ledger import Account
from paper_broker.market import Asset, Quote
from paper_broker.scenario import CLOCK_KEYS, KEYS

GUIDE = (Path(__file__).parents[3] / "docs" / "paper-broker-reference.md").read_text()
INTERNAL = {"match_count", "start"}
"""Fields that are a counter, or have another name in a scenario."""


def test_example_of_the_guide_is_a_valid_scenario() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
    scenario = json.loads(example)

    state = App(scenario).dump()

    assert scenario.keys() == KEYS
    assert [position["symbol"] for position in state["exchange"]["positions"]] == ["ABC"]


@pytest.mark.parametrize(
    "names",
    [
        KEYS,
        CLOCK_KEYS,
        OPTIONS,
        AUCTION_FIELDS,
        *(kind.__slots__ for kind in (Account, Asset, Quote, BlackoutWindow, Fault)),
    ],
)
def test_guide_names_every_field(names: frozenset[str] | tuple[str, ...]) -> None:
    assert [name for name in names if f"`{name}`" not in GUIDE and name not in INTERNAL] == []


def test_guide_names_every_admin_path() -> None:
    assert [f"{method} {path}" for method, path in ACTIONS if f"`{method} /admin/{path}`" not in GUIDE] == []


def test_guide_names_every_path() -> None:
    assert [route.template for route in ROUTES if f"`{route.template}`" not in GUIDE] == []


def test_exchange_imports_no_io_modules() -> None:
    program = "import sys, paper_broker.exchange; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert "paper_broker.lifecycle" in loaded
    assert not {"socket", "http", "selectors", "asyncio", "subprocess"} & set(loaded)
    assert not [name for name in loaded if name.startswith("rebalance_executor")]
