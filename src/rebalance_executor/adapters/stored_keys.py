"""Keys of an account that are stored on this machine: in a file that only its user can read, or in a keyring."""

from __future__ import annotations

import importlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.domain.errors import ConfigurationError

FILE_VARIABLE = "ALPACA_KEYS_FILE"
KEYRING_VARIABLE = "ALPACA_KEYRING"
_SERVICE = "rebalance"
"""Service name of all entries in a keyring."""
_NO_BACKEND = ("backends.fail", "backends.null")
"""Modules of the keyrings that store nothing."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Keyring(Protocol):
    """A store of secrets of the operating system, as the optional package ``keyring`` has it."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """Return a secret, or None."""
        ...

    def set_password(self, service: str, username: str, password: str, /) -> None:
        """Store a secret."""
        ...


def system_keyring() -> Keyring:
    """Return the keyring of the operating system.

    Raises:
        ConfigurationError: the package ``keyring`` is not installed, or has no usable keyring here.
    """
    try:
        package = importlib.import_module("keyring")  # optional: a file of mode 600 needs no package
    except ImportError:
        problem = "the package keyring is not installed; install it, or store the keys in a file"
        raise ConfigurationError(KEYRING_VARIABLE, problem) from None
    backend: Keyring = package.get_keyring()
    if type(backend).__module__.endswith(_NO_BACKEND):
        raise ConfigurationError(KEYRING_VARIABLE, "this system has no usable keyring; store the keys in a file")
    return backend


def read_keyring(entry: str, keyring: Keyring) -> Credentials:
    """Return the keys in an entry of the keyring.

    Raises:
        ConfigurationError: the entry is missing or malformed, or the keyring cannot be opened.
    """
    with _typed_errors():
        text = keyring.get_password(_SERVICE, entry)
    if text is None:
        raise ConfigurationError(KEYRING_VARIABLE, f"the keyring has no entry {entry}; store the keys with init")
    return Credentials.parse(_decoded(text), f"keyring entry {entry}")


def write_keyring(entry: str, credentials: Credentials, keyring: Keyring) -> None:
    """Store the keys in an entry of the keyring; an existing entry is replaced.

    Raises:
        ConfigurationError: the keyring cannot be opened.
    """
    with _typed_errors():
        keyring.set_password(_SERVICE, entry, _document(credentials))


@contextmanager
def _typed_errors() -> Iterator[None]:
    """Raise the errors of the keyring, whose types belong to an optional package, as ``ConfigurationError``."""
    try:
        yield
    except Exception as error:
        problem = f"the keyring cannot be used: {type(error).__name__}; unlock it, or store the keys in a file"
        raise ConfigurationError(KEYRING_VARIABLE, problem) from error


def read_keys_file(path: Path) -> Credentials:
    """Return the keys in a file: ``{"api_key", "secret_key", "account_number"?}``.

    Raises:
        ConfigurationError: the file is missing or malformed, or other users can read or change it.
    """
    try:
        with path.open(encoding="utf-8") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if mode & _OTHERS:
                problem = f"{path} has mode {mode:o}, so that other users may read it; run: chmod 600 {path}"
                raise ConfigurationError(FILE_VARIABLE, problem)
            text = opened.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(FILE_VARIABLE, f"{path} cannot be read: {reason}") from None
    return Credentials.parse(_decoded(text), str(path))


def write_keys_file(path: Path, credentials: Credentials) -> None:
    """Store the keys in a file of mode 600; an existing file is replaced in one step.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):
            new.unlink()
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as opened:
            opened.write(_document(credentials) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(path)
    except OSError as error:
        raise ConfigurationError(FILE_VARIABLE, f"{path} cannot be written: {error.strerror}") from None


def _document(credentials: Credentials) -> str:
    fields = {"api_key": credentials.api_key, "secret_key": credentials.secret_key}
    if credentials.account_number is not None:
        fields["account_number"] = credentials.account_number
    return json.dumps(fields)


def _decoded(text: str) -> object:
    """Return the decoded document, or None. The parser's error is dropped because it contains the text."""
    try:
        return json.loads(text)
    except ValueError:
        return None
