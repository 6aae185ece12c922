"""An own account at Alpaca as a target: its keys, checked against the broker, and what is written for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

from rebalance_cli.context import ALPACA_PAPER, KEY_VARIABLES
from rebalance_cli.exit_codes import CliError, Exit
from rebalance_executor.adapters import stored_keys
from rebalance_executor.adapters.alpaca.credentials import Credentials, validate_header_value
from rebalance_executor.adapters.sqlite import file as journal_file
from rebalance_executor.domain.errors import BrokerUnavailable, CredentialsRejected
from rebalance_executor.domain.market import Account
from rebalance_executor.settings import Settings, parse_settings
from rebalance_executor.user_files import default_journal, default_keys_file
from rebalance_sandbox.environment import DUMMY_KEY

_PAIRS = (KEY_VARIABLES[:2], KEY_VARIABLES[2:])


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses in place of Alpaca's, for a trial."""

    trading: str | None
    data: str | None

    def variables(self) -> dict[str, str]:
        """Return the variables that name these addresses."""
        named = {"ALPACA_TRADING_URL": self.trading, "ALPACA_DATA_URL": self.data}
        return {name: url for name, url in named.items() if url is not None}


@dataclass(frozen=True, slots=True)
class Places:
    """Locations of keys and journal; by default in the user's directories, named by the account number."""

    keys: Path | None
    journal: Path | None
    keyring: bool


def account_settings(target: str, endpoints: Endpoints) -> Settings:
    """Return the settings of the target's broker.

    Raises:
        ConfigurationError: an address is invalid.
    """
    switches = {"ALPACA_PAPER": "true"} if target == ALPACA_PAPER else {"ALPACA_PAPER": "false", "LIVE_TRADING": "yes"}
    return parse_settings({"JOURNAL_FILE": "created later", **switches, **endpoints.variables()})


def find_keys(environment: Mapping[str, str], ask: Callable[[str], str] | None = None) -> Credentials:
    """Return the keys in the environment, or ask for them without showing them.

    Raises:
        CliError: the environment has one key of a pair, or two different pairs; or there is none and no terminal.
        ConfigurationError: a key has characters that no key has.
    """
    pairs: dict[tuple[str, ...], tuple[str, ...]] = {}
    for names in _PAIRS:
        values = tuple(environment.get(name, "") for name in names)
        if DUMMY_KEY in values or not any(values):
            continue
        if not all(values):
            missing = names[0] if not values[0] else names[1]
            raise CliError(f"{missing} is not set, but its other half is.", "Set both variables, or neither.")
        pairs[values] = names
    if len(pairs) > 1:
        first, second = (names[0] for names in pairs.values())
        raise CliError(f"{first} and {second} hold different keys.", f"Unset one of them: unset {second}")
    if pairs:
        ((found, named),) = pairs.items()
        return Credentials(*(validate_header_value(value, name) for value, name in zip(found, named, strict=True)))
    if ask is None:
        export = f"export {KEY_VARIABLES[0]}=… {KEY_VARIABLES[1]}=…"
        raise CliError("There are no keys, and no terminal to ask for them.", export)
    return Credentials(*(validate_header_value(ask(name).strip(), name) for name in ("API key", "Secret key")))


def ask_hidden() -> Callable[[str], str] | None:
    """Return what asks for a value without showing it, or None without a terminal."""
    if not sys.stdin.isatty():
        return None
    return lambda name: str(typer.prompt(f"{name} (not shown)", hide_input=True, err=True))


def check_keys(settings: Settings, credentials: Credentials) -> Account:
    """Return the account that the keys belong to.

    Raises:
        CliError: the broker rejects the keys or does not answer.
    """
    from rebalance_executor import bootstrap  # imported late: takes a second, as in rebalance_cli.context

    try:
        return bootstrap.read_account(settings, credentials)
    except CredentialsRejected:
        kind, other = ("paper", "live") if settings.alpaca_paper else ("live", "paper")
        text = f"{settings.trading_url} rejected the keys. Nothing was written."
        raise CliError(text, f"Create {kind} keys at Alpaca and try again; {other} keys do not work here.") from None
    except BrokerUnavailable as error:
        text = f"{settings.trading_url} did not answer: {error} Nothing was written."
        raise CliError(text, "Check the network, then try again.", Exit.BROKEN) from None


def store(endpoints: Endpoints, credentials: Credentials, places: Places) -> dict[str, str]:
    """Store the keys and create the journal; return the variables of the target.

    Raises:
        ConfigurationError: keys or journal cannot be written, or the journal cannot be used.
    """
    number = credentials.account_number or ""
    journal = (places.journal or default_journal(number)).absolute()
    journal_file.create(journal)
    journal_file.JournalFile(journal)
    variables = {"JOURNAL_FILE": str(journal), "ALPACA_ACCOUNT_NUMBER": number, **endpoints.variables()}
    if places.keyring:
        stored_keys.write_keyring(number, credentials, stored_keys.system_keyring())
        return variables | {stored_keys.KEYRING_VARIABLE: number}
    path = (places.keys or default_keys_file(number)).absolute()
    stored_keys.write_keys_file(path, credentials)
    return variables | {stored_keys.FILE_VARIABLE: str(path)}
