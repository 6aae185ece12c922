"""The command ``python -m paper_broker``: start, state file, signals, invalid arguments."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paper_broker.server import PaperBroker
from tests.contract.sdk import Api, broker_world


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Api]]:
    """Run the command until the end of the block; yield its process and a client when it is ready."""
    command = [sys.executable, "-m", "paper_broker", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "paper_broker.ready"
        api = Api(ready["url"])
        try:
            yield process, api
        finally:
            api.close()
            process.kill()


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """Write a scenario file and return its path."""
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(broker_world()))
    return path


def test_acknowledged_changes_survive_a_killed_process(tmp_path: Path, scenario: Path) -> None:
    state = str(tmp_path / "state.json")
    with running("--state", state, "--scenario", str(scenario)) as (process, api):
        filled = api.order(client_order_id="filled").json()
        resting = api.order(limit_price="9.50", client_order_id="resting").json()
        account = api("GET", "/v2/account").json()
        api.admin("POST", "faults", {"kind": "drop", "nth": 100})
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)

    with running("--state", state) as (_, api):
        assert api("GET", f"/v2/orders/{filled['id']}").json()["status"] == "filled"
        assert api("GET", f"/v2/orders/{resting['id']}").json()["status"] == "new"
        assert api("GET", "/v2/account").json() == account
        assert api.order(client_order_id="filled").json()["message"] == "client_order_id must be unique"
        assert api.admin("GET", "state")["faults"][0]["nth"] == 100


def test_change_from_the_same_process_is_saved(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with PaperBroker(broker_world(), state=state) as broker:
        broker.change({"account": {"cash": "42"}})

    with PaperBroker(state=state) as broker:
        assert broker.app.exchange.account()["cash"] == "42"


def test_state_takes_precedence_over_the_scenario(tmp_path: Path, scenario: Path) -> None:
    state = str(tmp_path / "state.json")
    with running("--state", state, "--scenario", str(scenario)) as (_, api):
        api.admin("POST", "world", {"account": {"cash": "42"}})

    with running("--state", state, "--scenario", str(scenario)) as (_, api):
        assert api("GET", "/v2/account").json()["cash"] == "42"


@pytest.mark.parametrize("has_scenario", [False, True])
def test_market_that_never_closes_is_open_at_any_hour(scenario: Path, *, has_scenario: bool) -> None:
    with running("--always-open", *(["--scenario", str(scenario)] if has_scenario else [])) as (_, api):
        assert api("GET", "/v2/clock").json()["is_open"] is True
        assert api.admin("GET", "state")["exchange"]["clock"]["sessions"] == "always_open"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_the_process_despite_an_open_connection(number: signal.Signals) -> None:
    with running() as (process, api):
        assert api("GET", "/v2/account").json()["cash"] == "100000"

        process.send_signal(number)

        assert process.wait(timeout=10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_ids_are_reproducible_from_the_seed(scenario: Path) -> None:
    ids = []
    for seed in ("5", "5", "6"):
        with running("--scenario", str(scenario), "--seed", seed) as (_, api):
            ids.append(api.order().json()["id"])

    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 is not a loopback address"),  # noqa: S104 - must be rejected
        (["--host", "example.com"], "example.com is not a loopback address"),
        (["--scenario", "none.json"], "No such file"),
        (["--scenario", "list.json"], "is not a JSON object"),
        (["--scenario", "wrong.json"], "Unknown scenario keys: ['money']"),
        (["--state", "list.json"], "Move it away to start with a new state"),
        (["--state", "wrong.json"], "The state has format None"),
    ],
)
def test_invalid_arguments_end_the_process_with_a_message(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "wrong.json").write_text('{"money": 1}')
    command = [sys.executable, "-m", "paper_broker", "--port", "0", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=tmp_path)

    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
