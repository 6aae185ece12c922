"""Where ``rebalance init`` finds the keys of an own account, and the default places of keys and journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebalance_cli.exit_codes import CliError
from rebalance_cli.queries.own_account import find_keys
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.domain.errors import ConfigurationError
from rebalance_executor.user_files import default_journal, default_keys_file

APCA = {"APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY": "s1"}
OWN = {"ALPACA_API_KEY": "PK1", "ALPACA_SECRET_KEY": "s1"}
OF_THE_SIMULATED_BROKER = {"ALPACA_API_KEY": "local", "ALPACA_SECRET_KEY": "local"}


@pytest.mark.parametrize("environment", [APCA, OWN, APCA | OWN, APCA | OF_THE_SIMULATED_BROKER])
def test_keys_in_the_environment_are_used_without_a_question(environment: dict[str, str]) -> None:
    assert find_keys(environment) == Credentials("PK1", "s1")


@pytest.mark.parametrize("environment", [{}, OF_THE_SIMULATED_BROKER, dict.fromkeys(APCA, "")])
def test_keys_are_asked_for_if_the_environment_has_none(environment: dict[str, str]) -> None:
    answers = {"API key": " PK2\n", "Secret key": "s2 "}

    assert find_keys(environment, answers.__getitem__) == Credentials("PK2", "s2")


@pytest.mark.parametrize("answer", ["", "   ", "with space", "käse"])
def test_answer_that_is_no_key_is_an_error(answer: str) -> None:
    with pytest.raises(ConfigurationError, match="API key"):
        find_keys({}, lambda _name: answer)


@pytest.mark.parametrize("environment", [{}, {"APCA_API_KEY_ID": "PK1"}, APCA | OWN | {"ALPACA_SECRET_KEY": "s2"}])
def test_missing_half_or_contradictory_keys_name_the_variables(environment: dict[str, str]) -> None:
    with pytest.raises(CliError) as raised:
        find_keys(environment)

    assert "APCA_API" in str(raised.value) + raised.value.next_step
    assert "s2" not in str(raised.value) + raised.value.next_step


@pytest.mark.parametrize("configured", ["", "relative/path"])
def test_places_are_below_the_home_directory_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, configured: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", configured)
    monkeypatch.setenv("XDG_CONFIG_HOME", configured)

    assert default_journal("PA1") == tmp_path / ".local" / "share" / "rebalance" / "PA1.sqlite"
    assert default_keys_file("PA1") == tmp_path / ".config" / "rebalance" / "PA1.json"


def test_account_number_never_leaves_the_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    assert default_journal("../../x/y").parent == tmp_path / "rebalance"
    assert default_journal("").parent == tmp_path / "rebalance"
