"""Keys in a file of mode 600: what is accepted, and messages that name the file and never a key."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.adapters.stored_keys import read_keyring, read_keys_file, write_keyring, write_keys_file
from rebalance_executor.domain.errors import ConfigurationError

SECRET = "very-secret"
KEYS = Credentials("PK1", SECRET, "PA1")


@pytest.mark.parametrize("keys", [KEYS, Credentials("PK1", SECRET)])
def test_stored_keys_are_read_back(tmp_path: Path, keys: Credentials) -> None:
    path = tmp_path / "new" / "keys.json"
    write_keys_file(path, keys)

    assert read_keys_file(path) == keys
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_replaced_file_is_private_although_the_old_one_was_not(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text("old")
    path.chmod(0o666)
    write_keys_file(path, KEYS)

    assert read_keys_file(path) == KEYS
    assert [file.name for file in tmp_path.iterdir()] == ["keys.json"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601, 0o660])
def test_file_that_others_may_use_is_an_error(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys.json"
    write_keys_file(path, KEYS)
    path.chmod(mode)

    with pytest.raises(ConfigurationError, match=f"mode {mode:o}.*chmod 600") as raised:
        read_keys_file(path)
    assert raised.value.field == "ALPACA_KEYS_FILE"
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        f"{SECRET}".encode(),
        b"[]",
        json.dumps({"api_key": "PK"}).encode(),
        json.dumps({"api_key": "PK", "secret_key": f"{SECRET} x"}).encode(),
        json.dumps({"api_key": "PK", "secret_key": SECRET, "account_number": 7}).encode(),
    ],
)
def test_malformed_file_is_named_without_its_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(ConfigurationError) as raised:
        read_keys_file(path)
    assert str(path) in str(raised.value)
    assert SECRET not in str(raised.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"keys\.json cannot be read: No such file"):
        read_keys_file(tmp_path / "keys.json")


def test_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"keys\.json cannot be written"):
        write_keys_file(tmp_path / "file" / "keys.json", KEYS)


class LockedKeyring:
    """A keyring that the user did not unlock."""

    def get_password(self, service: str, username: str) -> str | None:
        raise RuntimeError(f"{service}/{username} is locked")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError(f"{service}/{username} is locked: {password}")


def test_locked_keyring_is_a_typed_error_without_the_keys() -> None:
    with pytest.raises(ConfigurationError, match="cannot be used: RuntimeError"):
        read_keyring("PA1", LockedKeyring())
    with pytest.raises(ConfigurationError, match="ALPACA_KEYRING") as raised:
        write_keyring("PA1", KEYS, LockedKeyring())
    assert SECRET not in str(raised.value)
