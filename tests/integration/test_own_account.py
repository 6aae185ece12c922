"""``rebalance init --alpaca-paper`` and ``--alpaca-live``, and the commands on such an account, without any AWS."""

from __future__ import annotations

import errno
import json
import stat
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rebalance_cli.commands import apply
from rebalance_executor import RebalancePlan
from rebalance_sandbox import invocation
from rebalance_sandbox.event_files import EventFile
from tests.support.own_account import KEYS, NUMBER, Machine, machine
from tests.support.processes import LOOPBACK, free_port
from tests.support.world import buy, plan

SECRET = KEYS["APCA_API_SECRET_KEY"]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as own:
        yield own


def a_plan_file(own: Machine, plan_id: str = "first") -> str:
    document = plan(buy("AAPL", "900"), plan_id=plan_id, timestamp=datetime.now(UTC).isoformat())
    return own.file(document | {"total_portfolio_value": "10000", "total_trade_value": "900"}, f"{plan_id}.json")


def fill_orders(own: Machine, behaviour: str) -> None:
    fills = {"fills": [{"symbol": "AAPL", "behaviour": behaviour}]}
    own.broker.session.post(f"{own.broker.url}/admin/world", json=fills, timeout=5).raise_for_status()


def nothing_written(own: Machine) -> bool:
    return not own.config_file.exists() and not own.journal.exists() and not own.keys_file.exists()


def variables(own: Machine) -> dict[str, Any]:
    written: dict[str, Any] = tomllib.loads(own.config_file.read_text())["environment"]
    return written


# --- three commands --------------------------------------------------------------------------------------


def test_plan_runs_on_an_own_account_after_init_and_doctor(own: Machine) -> None:
    init = own.init()
    doctor = own.type("doctor")
    path = a_plan_file(own)
    preview, applied, repeated = own.type("preview", path), own.type("apply", path), own.type("apply", path)

    assert (init.exit_code, doctor.exit_code, preview.exit_code) == (0, 0, 0), init.stderr + doctor.stdout
    assert NUMBER in init.stdout
    assert "$10,000.00" in init.stdout
    assert str(own.journal) in doctor.stdout
    assert f"account {NUMBER} is ACTIVE" in doctor.stdout
    assert own.broker.url.removeprefix("http://") in doctor.stdout
    assert (applied.exit_code, repeated.exit_code) == (0, 0), applied.stdout
    assert "Already executed" in repeated.stdout
    assert own.broker.positions() == {"AAPL": "9"}
    assert len(own.broker.orders()) == 1


def test_every_command_works_on_the_journal_of_an_own_account(own: Machine) -> None:
    own.init()
    own.type("apply", a_plan_file(own))
    commands = {
        "status": 0,
        "status first": 0,
        "explain first AAPL": 0,
        "report first": 0,
        "watch first": 0,
        "reconcile first": 0,
        "costs": 0,
        "bind --yes --reason moved": 0,
        "halt --reason lunch": 0,
        "doctor": 6,
        "resume --reason back": 0,
    }

    done = {command: own.type(*command.split()) for command in commands}

    assert {command: one.exit_code for command, one in done.items()} == commands
    assert "lunch" in done["doctor"].stdout


def test_publish_says_where_the_result_is_without_a_channel(own: Machine) -> None:
    own.init()
    own.type("apply", a_plan_file(own), "--yes")

    done = own.type("publish", "first")

    assert done.exit_code == 2
    assert "rebalance report first" in done.stderr


@pytest.mark.parametrize("words", [("submit",), ("dlq", "list")])
def test_commands_of_queues_say_that_there_is_none(own: Machine, words: tuple[str, ...]) -> None:
    own.init()
    done = own.type(*words, *([a_plan_file(own)] if words == ("submit",) else []))

    assert done.exit_code == 2
    assert "has no queue" in done.stderr
    assert "rebalance apply" in done.stderr


def test_second_directory_of_the_same_account_continues_its_journal(own: Machine) -> None:
    own.init()
    path = a_plan_file(own)
    own.type("apply", path)
    own.config_file.unlink()

    assert own.init().exit_code == 0

    assert "Already executed" in own.type("apply", path).stdout
    assert len(own.broker.orders()) == 1


def test_other_journal_of_the_same_account_may_not_trade(own: Machine) -> None:
    own.init()
    own.type("apply", a_plan_file(own))
    own.init("--alpaca-paper", "--force", "--journal", str(own.folder / "other.sqlite"))

    done = own.type("apply", a_plan_file(own, "second"))

    assert done.exit_code == 4
    assert "ACCOUNT_MISMATCH" in done.stdout
    assert len(own.broker.orders()) == 1


# --- what init writes ------------------------------------------------------------------------------------


def test_keys_are_stored_in_a_private_file_outside_the_directory(own: Machine) -> None:
    done = own.init()

    assert stat.S_IMODE(own.keys_file.stat().st_mode) == 0o600
    assert json.loads(own.keys_file.read_text())["secret_key"] == SECRET
    assert SECRET not in own.config_file.read_text() + done.stdout + done.stderr
    assert variables(own)["ALPACA_ACCOUNT_NUMBER"] == NUMBER


def test_answer_as_json_names_account_keys_and_journal(own: Machine) -> None:
    answer = json.loads(own.init("--alpaca-paper", "--json").stdout)

    assert (answer["account_number"], answer["equity"], answer["status"]) == (NUMBER, "10000", "ACTIVE")
    assert (answer["journal"], answer["keys"]) == (str(own.journal), str(own.keys_file))


def test_existing_file_is_kept_without_force(own: Machine) -> None:
    own.config_file.write_text('target = "local"\n')

    done = own.init()

    assert done.exit_code == 2
    assert "rebalance init --alpaca-paper --force" in done.stderr
    assert own.config_file.read_text() == 'target = "local"\n'
    assert not own.keys_file.exists()
    assert own.init("--alpaca-paper", "--force").exit_code == 0


def test_chosen_places_are_used(own: Machine) -> None:
    keys, journal = own.folder / "it's" / "keys.json", own.folder / "it's" / "journal.sqlite"

    own.init("--alpaca-paper", "--keys-file", str(keys), "--journal", str(journal))

    assert (variables(own)["ALPACA_KEYS_FILE"], variables(own)["JOURNAL_FILE"]) == (str(keys), str(journal))
    assert own.type("doctor").exit_code == 0


@pytest.mark.parametrize("words", [(), ("--local", "--alpaca-paper"), ("--alpaca-paper", "--alpaca-live")])
def test_init_needs_exactly_one_target(own: Machine, words: tuple[str, ...]) -> None:
    done = own.type("init", *words, **KEYS)

    assert done.exit_code == 2
    assert "--alpaca-paper" in done.stderr
    assert nothing_written(own)


# --- keys ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"APCA_API_SECRET_KEY": "wrong"}, "rejected the keys"),
        ({"APCA_API_SECRET_KEY": ""}, "APCA_API_SECRET_KEY is not set"),
        ({"APCA_API_KEY_ID": ""}, "APCA_API_KEY_ID is not set"),
        ({"APCA_API_KEY_ID": "", "APCA_API_SECRET_KEY": ""}, "no terminal to ask"),
        ({"APCA_API_SECRET_KEY": "se cret"}, "APCA_API_SECRET_KEY"),
        ({"ALPACA_API_KEY": "PK2", "ALPACA_SECRET_KEY": "other"}, "hold different keys"),
    ],
)
def test_wrong_or_missing_keys_write_nothing(own: Machine, keys: dict[str, str], message: str) -> None:
    done = own.init(**keys)

    assert done.exit_code == 2
    assert message in done.stderr
    assert SECRET not in done.stderr
    assert nothing_written(own)


def test_broker_that_does_not_answer_writes_nothing(own: Machine) -> None:
    done = own.type("init", "--alpaca-paper", "--trading-url", f"http://{LOOPBACK}:{free_port()}", **KEYS)

    assert done.exit_code == 1
    assert "did not answer" in done.stderr
    assert nothing_written(own)


def test_keys_of_this_programs_names_are_read_and_those_of_the_simulated_broker_are_not(own: Machine) -> None:
    own_names = {"ALPACA_API_KEY": KEYS["APCA_API_KEY_ID"], "ALPACA_SECRET_KEY": SECRET}

    assert own.init("--alpaca-paper", APCA_API_KEY_ID="", APCA_API_SECRET_KEY="", **own_names).exit_code == 0
    assert own.init("--alpaca-paper", "--force", ALPACA_API_KEY="local", ALPACA_SECRET_KEY="local").exit_code == 0


def test_keys_file_that_others_can_read_is_an_error(own: Machine) -> None:
    own.init()
    own.keys_file.chmod(0o644)

    done, doctor = own.type("apply", a_plan_file(own)), own.type("doctor")

    assert done.exit_code == 2
    assert f"chmod 600 {own.keys_file}" in done.stdout + done.stderr
    assert own.broker.orders() == []
    assert f"chmod 600 {own.keys_file}" in doctor.stdout
    assert "ALPACA_DATA_URL" not in doctor.stdout, "the message has the fix"


def test_keys_of_another_account_than_expected_are_an_error(own: Machine) -> None:
    own.init()
    own.config_file.write_text(own.config_file.read_text().replace(f"'{NUMBER}'", "'PA0000009'"))

    done = own.type("apply", a_plan_file(own))

    assert done.exit_code == 2
    assert "ALPACA_ACCOUNT_NUMBER" in done.stdout + done.stderr
    assert own.broker.orders() == []


def test_keys_that_belong_to_another_account_at_the_broker_deny_the_plan(own: Machine) -> None:
    own.init()
    own.config_file.write_text(own.config_file.read_text().replace(f"'{NUMBER}'", "'PA0000009'"))
    stored = json.loads(own.keys_file.read_text()) | {"account_number": "PA0000009"}
    own.keys_file.write_text(json.dumps(stored))

    done = own.type("apply", a_plan_file(own))

    assert done.exit_code == 4
    assert "ACCOUNT_MISMATCH" in done.stdout
    assert own.broker.orders() == []


def test_variables_left_over_in_the_shell_do_not_redirect_orders(own: Machine) -> None:
    own.init()
    left_over = {
        "ALPACA_TRADING_URL": f"http://{LOOPBACK}:{free_port()}",
        "ALPACA_DATA_URL": f"http://{LOOPBACK}:{free_port()}",
        "ALPACA_API_KEY": "other",
        "ALPACA_SECRET_KEY": "other",
        "ALPACA_PAPER": "false",
        "LIVE_TRADING": "yes",
        "JOURNAL_FILE": str(own.folder / "other.sqlite"),
        "EXECUTION_TABLE": "other",
        "IDEMPOTENCY_TABLE": "other",
        "RESULT_BUS": "other",
        "PLAN_BUCKET": "other",
        "PLAN_QUEUE_URL": f"http://{LOOPBACK}:1/queue",
        "PLAN_DEAD_LETTER_QUEUE_URL": f"http://{LOOPBACK}:1/queue",
    }

    assert own.type("doctor", **left_over).exit_code == 0
    assert own.type("apply", a_plan_file(own), **left_over).exit_code == 0
    assert len(own.broker.orders()) == 1


# --- keyring ---------------------------------------------------------------------------------------------


class FakeKeyring:
    """A keyring in memory."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


def install_keyring(monkeypatch: pytest.MonkeyPatch, keyring: object) -> None:
    package = ModuleType("keyring")
    package.__dict__["get_keyring"] = lambda: keyring
    monkeypatch.setitem(sys.modules, "keyring", package)


def test_keys_are_kept_in_the_keyring_on_request(own: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = FakeKeyring()
    install_keyring(monkeypatch, keyring)

    assert own.init("--alpaca-paper", "--keyring").exit_code == 0
    assert own.type("doctor").exit_code == 0

    assert list(keyring.entries) == [("rebalance", NUMBER)]
    assert not own.keys_file.exists()
    keyring.entries.clear()
    assert "no entry" in own.type("doctor").stdout


@pytest.mark.parametrize("backend", [None, "keyring.backends.fail"], ids=["no package", "no backend"])
def test_keyring_that_cannot_be_used_is_an_error(
    own: Machine, monkeypatch: pytest.MonkeyPatch, backend: str | None
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    if backend is not None:
        install_keyring(monkeypatch, type("Keyring", (), {"__module__": backend})())

    done = own.init("--alpaca-paper", "--keyring")

    assert done.exit_code == 2
    assert "ALPACA_KEYRING" in done.stderr
    assert not own.config_file.exists()


# --- real money ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", [None, "1", "9999", NUMBER[:4]])
def test_live_account_needs_the_digits_of_its_number(own: Machine, digits: str | None) -> None:
    done = own.init("--alpaca-live", *(["--confirm-account", digits] if digits else []))

    assert done.exit_code == 2
    assert nothing_written(own)


def test_live_account_trades_only_with_its_switch_and_its_digits(own: Machine) -> None:
    init = own.init("--alpaca-live", "--confirm-account", NUMBER[-4:])
    path = a_plan_file(own)
    without_switch = own.type("apply", path, "--confirm-account", NUMBER[-4:])
    without_digits = own.type("apply", path, LIVE_TRADING="yes")
    assert own.broker.orders() == []

    reviewed = RebalancePlan.parse(json.loads(Path(path).read_text())).content_hash
    traded = own.type("apply", path, "--hash", reviewed, "--confirm-account", NUMBER[-4:], LIVE_TRADING="yes")

    assert init.exit_code == 0, init.stderr
    assert "REAL MONEY" in init.stdout
    assert "export LIVE_TRADING=yes" in init.stdout
    assert "LIVE_TRADING" in without_switch.stderr
    assert (without_switch.exit_code, without_digits.exit_code) == (2, 2)
    assert traded.exit_code == 0, traded.stdout
    assert len(own.broker.orders()) == 1


# --- the journal -----------------------------------------------------------------------------------------


def test_journal_that_disappeared_stops_every_command(own: Machine) -> None:
    own.init()
    own.type("apply", a_plan_file(own))
    own.journal.rename(own.folder / "away.sqlite")

    done = own.type("apply", a_plan_file(own))

    assert done.exit_code == 2
    assert f"JOURNAL_FILE: {own.journal} does not exist" in done.stderr
    assert not own.journal.exists()
    assert len(own.broker.orders()) == 1


# --- the run ---------------------------------------------------------------------------------------------


def test_plan_that_was_confirmed_is_executed_even_if_its_file_changes(
    own: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a checked hash, when another program replaces the file, then the checked plan trades."""
    own.init()
    path = Path(a_plan_file(own))
    checked = RebalancePlan.parse(json.loads(path.read_text()))

    def replaced_first(*arguments: Any) -> invocation.InvocationResult:
        own.file(json.loads(path.read_text().replace("AAPL", "MSFT")), path.name)
        return invocation.invoke(*arguments)

    monkeypatch.setattr(apply, "invoke", replaced_first)
    applied = own.type("apply", str(path), "--hash", checked.content_hash)

    assert applied.exit_code == 0, applied.stderr
    assert [order["symbol"] for order in own.broker.orders()] == ["AAPL"]


def test_log_that_cannot_be_written_stops_the_run_safely(own: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an open order, when the disk is full, then the order is canceled and the plan can be continued."""
    own.init()
    path = a_plan_file(own)
    fill_orders(own, "never")

    def on_full_disk(
        event: EventFile, environment: dict[str, str], log: Path, seconds: float, on_record: invocation.OnRecord
    ) -> invocation.InvocationResult:
        def full(record: dict[str, Any]) -> None:
            on_record(record)
            if record.get("message") == "order.submitted":
                raise OSError(errno.ENOSPC, "No space left on device")

        return invocation.invoke(event, environment, log, seconds, full)

    monkeypatch.setattr(apply, "invoke", on_full_disk)
    stopped = own.type("apply", path)
    monkeypatch.undo()
    open_orders = [order for order in own.broker.orders() if order["status"] not in ("canceled", "filled")]
    fill_orders(own, "immediate")
    continued = own.type("apply", path)

    assert (stopped.exit_code, open_orders) == (5, [])
    assert "No space left on device" in stopped.stderr
    assert continued.exit_code == 0, continued.stderr


@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda path: path.write_bytes(b"x" * 9000)], ids=["deleted", "damaged"]
)
def test_journal_that_is_lost_during_a_run_leaves_the_plan_unfinished(
    own: Machine, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object]
) -> None:
    """Given an open order, when the journal is lost, then no text says that nothing was sent."""
    own.init()
    path = a_plan_file(own)
    fill_orders(own, "never")

    def on_loss(
        event: EventFile, environment: dict[str, str], log: Path, seconds: float, on_record: invocation.OnRecord
    ) -> invocation.InvocationResult:
        def lose(record: dict[str, Any]) -> None:
            on_record(record)
            if record.get("message") == "order.submitted":
                damage(own.journal)

        return invocation.invoke(event, environment, log, seconds, lose)

    monkeypatch.setattr(apply, "invoke", on_loss)
    stopped = own.type("apply", path)

    assert stopped.exit_code == 5, stopped.stderr
    assert "JOURNAL_UNAVAILABLE" in stopped.stderr + stopped.stdout
    assert "orders may be open at the broker" in stopped.stderr + stopped.stdout
    assert "Nothing was sent" not in stopped.stderr + stopped.stdout
