"""Credentials from Secrets Manager, from the environment or from this machine.

An account never gets another account's credentials.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.exceptions import ClientError

from rebalance_executor.adapters import stored_keys
from rebalance_executor.adapters.alpaca.credentials import Credentials, CredentialsSource, validate_header_value
from rebalance_executor.adapters.aws import error_code, error_text
from rebalance_executor.domain.errors import ConfigurationError, LiveNotAllowed, PlanSourceUnavailable, UnknownAccount
from rebalance_executor.settings import ACCOUNT_PLACEHOLDER, Settings

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MAX_AGE_SECONDS = 300
"""Time for which a secret is cached, in seconds. A rotated secret is used after this time."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""Account names that may be part of a secret's name. They have no separators, so they select no unrelated secret."""

_MISSING = frozenset({"ResourceNotFoundException"})
_PERMANENT = frozenset(
    {"AccessDeniedException", "DecryptionFailure", "InvalidParameterException", "InvalidRequestException"}
)
"""Error codes that an operator must fix; redelivery does not help."""


class LocalCredentials:
    """Keys from the environment or from this machine, for local use. They are valid only for the configured account.

    Args:
        account: the configured account's name (``ACCOUNT``).
        read: returns its keys.
        needs_number: whether the keys need the account number that they belong to (live trading).
    """

    def __init__(self, account: str, read: Callable[[], Credentials], *, needs_number: bool = False) -> None:
        self._account = account
        self._read = read
        self._needs_number = needs_number
        self._credentials: Credentials | None = None

    def credentials(self, account: str) -> Credentials:
        """Return the keys of the configured account.

        Raises:
            UnknownAccount: any other account.
            ConfigurationError: the keys cannot be read.
            LiveNotAllowed: they have no account number, which live trading needs.
        """
        if account != self._account:
            _raise_unknown_account(account, f"this machine holds keys of {self._account} only")
        if self._credentials is None:
            self._credentials = self._read()
        if self._needs_number and self._credentials.account_number is None:
            raise LiveNotAllowed("ALPACA_ACCOUNT_NUMBER", "is not set; live trading needs it")
        return self._credentials

    def clear_cache(self) -> None:
        """Read the keys again on the next call: the broker rejected them, and they may have been replaced."""
        self._credentials = None


class SecretCredentials:
    """Keys from Secrets Manager, one secret per account.

    Args:
        client: a Secrets Manager client with timeouts.
        name: the secret's name; ``{account}`` is replaced by the account's name.
        account: the deployed account's name. A ``name`` without ``{account}`` is the secret of this account.
        needs_number: whether a secret must contain the account number that its keys belong to (live trading).
    """

    def __init__(self, client: SecretsManagerClient, name: str, account: str, *, needs_number: bool) -> None:
        self._provider = SecretsProvider(boto3_client=client)
        self._name = name
        self._account = account
        self._needs_number = needs_number

    def credentials(self, account: str) -> Credentials:
        """Return the keys of this account, cached for five minutes.

        Raises:
            UnknownAccount: the account has no secret.
            ConfigurationError: this function has no permission to read the secret, or the secret is malformed.
            LiveNotAllowed: the secret has no account number, which live trading needs.
            PlanSourceUnavailable: Secrets Manager did not answer; the plan is redelivered.
        """
        name = self._secret_name(account)
        credentials = Credentials.parse(_parse_json(self._read(name, account)), name)
        if self._needs_number and credentials.account_number is None:
            raise LiveNotAllowed(f"{name}.account_number", "is missing; live trading needs it")
        return credentials

    def clear_cache(self) -> None:
        """Read the secrets again on the next call: the broker rejected the keys, which may have been rotated."""
        self._provider.clear_cache()  # type: ignore[no-untyped-call]

    def _secret_name(self, account: str) -> str:
        if not _SAFE_NAME.fullmatch(account):
            _raise_unknown_account(account, "account names consist of 1 to 100 letters, digits, - and _")
        if ACCOUNT_PLACEHOLDER not in self._name and account != self._account:
            _raise_unknown_account(
                account, f"ALPACA_SECRET_NAME has no {ACCOUNT_PLACEHOLDER} and therefore belongs to {self._account}"
            )
        return self._name.replace(ACCOUNT_PLACEHOLDER, account)

    def _read(self, name: str, account: str) -> object:
        try:
            return self._provider.get(name, max_age=MAX_AGE_SECONDS)
        except GetParameterError as error:
            cause = error.__context__  # Powertools keeps only the text of the cause
            code = error_code(cause) if isinstance(cause, ClientError) else type(cause).__name__
            if code in _MISSING:
                _raise_unknown_account(account, f"secret {name} does not exist")
            if code in _PERMANENT:
                text = error_text(cause) if isinstance(cause, ClientError) else ""
                raise ConfigurationError(name, f"cannot be read: {code}: {text}", aws_code=code) from error
            raise PlanSourceUnavailable(f"Secrets Manager could not return {name}: {code}", aws_code=code) from error


def credentials_source(settings: Settings, client: Callable[[], SecretsManagerClient]) -> CredentialsSource:
    """Return the source of credentials that the settings name. Keys on this machine override the secret.

    Args:
        settings: the environment.
        client: creates the Secrets Manager client, if one is needed.

    Raises:
        ConfigurationError: neither keys nor a secret are configured, or only one of the two keys.
        LiveNotAllowed: keys are configured for live trading, which needs an account number.
    """
    api_key, secret_key = settings.alpaca_api_key, settings.alpaca_secret_key
    has_keys = api_key is not None or secret_key is not None
    _check_one_source(settings, has_keys=has_keys)
    stored = _stored_keys(settings)
    if stored is not None:
        return LocalCredentials(settings.account, stored, needs_number=not settings.alpaca_paper)
    if not has_keys:
        if settings.alpaca_secret_name is None:
            raise ConfigurationError(
                "ALPACA_SECRET_NAME",
                "is not set; set it, or ALPACA_KEYS_FILE, or both ALPACA_API_KEY and ALPACA_SECRET_KEY",
            )
        needs_number = not settings.alpaca_paper
        return SecretCredentials(client(), settings.alpaca_secret_name, settings.account, needs_number=needs_number)
    if not settings.alpaca_paper and settings.alpaca_account_number is None:
        raise LiveNotAllowed(
            "ALPACA_API_KEY",
            "is for paper trading only, unless ALPACA_ACCOUNT_NUMBER is set; live trading needs an account number",
        )
    credentials = Credentials(
        api_key=validate_header_value(api_key.get_secret_value() if api_key else None, "ALPACA_API_KEY"),
        secret_key=validate_header_value(secret_key.get_secret_value() if secret_key else None, "ALPACA_SECRET_KEY"),
    )
    credentials = _with_number(credentials, settings)
    return LocalCredentials(settings.account, lambda: credentials)


def _check_one_source(settings: Settings, *, has_keys: bool) -> None:
    sources = {
        "ALPACA_API_KEY": has_keys,
        stored_keys.FILE_VARIABLE: settings.alpaca_keys_file is not None,
        stored_keys.KEYRING_VARIABLE: settings.alpaca_keyring is not None,
    }
    first, *others = [name for name, is_set in sources.items() if is_set] or [""]
    if others:
        raise ConfigurationError(others[0], f"is set beside {first}; keep one source of the keys")


def _stored_keys(settings: Settings) -> Callable[[], Credentials] | None:
    """Return what reads the keys that are stored on this machine, or None."""
    path, entry = settings.alpaca_keys_file, settings.alpaca_keyring
    if path is not None:
        return lambda: _with_number(stored_keys.read_keys_file(path), settings)
    if entry is not None:
        return lambda: _with_number(stored_keys.read_keyring(entry, stored_keys.system_keyring()), settings)
    return None


def _with_number(credentials: Credentials, settings: Settings) -> Credentials:
    """Return the keys with the account number that the settings expect.

    Raises:
        ConfigurationError: the keys are stored with another account number.
    """
    expected = settings.alpaca_account_number
    if expected is None:
        return credentials
    if credentials.account_number not in (None, expected):
        problem = f"is {expected}, but the keys are stored as those of account {credentials.account_number}"
        raise ConfigurationError("ALPACA_ACCOUNT_NUMBER", problem)
    return replace(credentials, account_number=expected)


def _parse_json(text: object) -> object:
    """Return the decoded secret, or None. The parser's error is dropped because it contains the text."""
    try:
        return json.loads(text) if isinstance(text, str | bytes) else None
    except ValueError:
        return None


def _raise_unknown_account(account: str, reason: str) -> NoReturn:
    raise UnknownAccount(
        "account",
        f"there are no credentials for account {account!r}: {reason}; another account's are never used",
    ) from None
