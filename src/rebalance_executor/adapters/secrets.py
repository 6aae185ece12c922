"""Credentials from Secrets Manager or from the environment: each account its own, and never another one's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.exceptions import ClientError

from rebalance_executor.adapters.alpaca.credentials import Credentials, CredentialsSource, validate_header_value
from rebalance_executor.adapters.aws import error_code, error_text
from rebalance_executor.domain.errors import ConfigurationError, LiveNotAllowed, PlanSourceUnavailable, UnknownAccount
from rebalance_executor.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MAX_AGE_SECONDS = 300
"""How long a secret is believed, so that a rotated one is noticed."""

PLACEHOLDER = "{account}"
_SAFE_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""Account names that may become part of a secret's name: nothing that leads elsewhere."""

_ABSENT = frozenset({"ResourceNotFoundException"})
_MENDABLE = frozenset(
    {"AccessDeniedException", "DecryptionFailure", "InvalidParameterException", "InvalidRequestException"}
)


class EnvironmentCredentials:
    """Keys from the environment, for local use. They serve the deployed account and no other.

    Args:
        account: the deployed account's name (``ACCOUNT``).
        credentials: its keys.
    """

    def __init__(self, account: str, credentials: Credentials) -> None:
        self._account = account
        self._credentials = credentials

    def credentials(self, account: str) -> Credentials:
        """The keys, for the deployed account.

        Raises:
            UnknownAccount: any other account.
        """
        if account != self._account:
            _refuse(account, f"the environment holds keys of {self._account} only")
        return self._credentials

    def clear_cache(self) -> None:
        """Nothing to forget: the environment does not change while the function runs."""


class SecretCredentials:
    """Keys from Secrets Manager, one secret an account.

    Args:
        client: a Secrets Manager client with time-outs.
        name: the secret's name; ``{account}`` is filled in.
        account: the deployed account's name: a ``name`` without ``{account}`` is this account's secret.
        needs_number: whether a secret must name the account number that its keys lead to (live trading).
    """

    def __init__(self, client: SecretsManagerClient, name: str, account: str, *, needs_number: bool) -> None:
        self._provider = SecretsProvider(boto3_client=client)
        self._name = name
        self._account = account
        self._needs_number = needs_number

    def credentials(self, account: str) -> Credentials:
        """The keys of this account; believed for five minutes.

        Raises:
            UnknownAccount: there is no secret of this account.
            ConfigurationError: the secret may not be read, or is not what it should be.
            PlanSourceUnavailable: Secrets Manager did not answer; another delivery can help.
        """
        name = self._secret_name(account)
        credentials = Credentials.parse(_decoded(self._read(name, account)), name)
        if self._needs_number and credentials.account_number is None:
            raise LiveNotAllowed(f"{name}.account_number", "is missing; live trading needs it")
        return credentials

    def clear_cache(self) -> None:
        """Read secrets anew: the broker refused these keys, perhaps because they were rotated."""
        self._provider.clear_cache()  # type: ignore[no-untyped-call]

    def _secret_name(self, account: str) -> str:
        if not _SAFE_NAME.fullmatch(account):
            _refuse(account, "account names have 1 to 100 letters, digits, - and _")
        if PLACEHOLDER not in self._name and account != self._account:
            _refuse(account, f"ALPACA_SECRET_NAME has no {PLACEHOLDER} and so belongs to {self._account}")
        return self._name.replace(PLACEHOLDER, account)

    def _read(self, name: str, account: str) -> object:
        try:
            return self._provider.get(name, max_age=MAX_AGE_SECONDS)
        except GetParameterError as error:
            cause = error.__context__  # Powertools keeps of the cause only its text
            code = error_code(cause) if isinstance(cause, ClientError) else type(cause).__name__
            if code in _ABSENT:
                _refuse(account, f"there is no secret {name}")
            if code in _MENDABLE:
                told = error_text(cause) if isinstance(cause, ClientError) else ""
                raise ConfigurationError(
                    name, f"may not be read, or there is none: {code}: {told}", aws_code=code
                ) from error
            text = f"secret {name} could not be read just now: {code}"
            raise PlanSourceUnavailable(text, aws_code=code) from error


def credentials_source(settings: Settings, client: Callable[[], SecretsManagerClient]) -> CredentialsSource:
    """Where the settings say that credentials come from; keys in the environment stand instead of the secret.

    Args:
        settings: the environment.
        client: makes the Secrets Manager client, where one is needed.

    Raises:
        ConfigurationError: neither keys nor a secret are configured, or only half of the keys, or keys without
            an account number for live trading.
    """
    api_key, secret_key = settings.alpaca_api_key, settings.alpaca_secret_key
    if api_key is None and secret_key is None:
        if settings.alpaca_secret_name is None:
            raise ConfigurationError("ALPACA_SECRET_NAME", "is not set, and neither are ALPACA_API_KEY and …SECRET_KEY")
        needs_number = not settings.alpaca_paper
        return SecretCredentials(client(), settings.alpaca_secret_name, settings.account, needs_number=needs_number)
    if not settings.alpaca_paper:
        raise LiveNotAllowed(
            "ALPACA_API_KEY", "serves paper trading only; live trading needs a secret with its account_number"
        )
    credentials = Credentials(
        api_key=validate_header_value(api_key.get_secret_value() if api_key else None, "ALPACA_API_KEY"),
        secret_key=validate_header_value(secret_key.get_secret_value() if secret_key else None, "ALPACA_SECRET_KEY"),
    )
    return EnvironmentCredentials(settings.account, credentials)


def _decoded(text: object) -> object:
    """The secret as JSON, or None. A parser's error would hold the text and is not let out."""
    try:
        return json.loads(text) if isinstance(text, str | bytes) else None
    except ValueError:
        return None


def _refuse(account: str, reason: str) -> NoReturn:
    raise UnknownAccount(
        "account",
        f"there are no credentials for account {account!r}: {reason}; another account's are never used",
    ) from None
