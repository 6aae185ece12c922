"""The broker's credentials of one account, with their format checked. No message contains the value of a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rebalance_executor.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys of one account at the broker. Neither ``repr`` nor ``str`` shows a key."""

    api_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    account_number: str | None = None
    """The broker's number of the account that these keys must belong to, if one is configured."""

    @classmethod
    def parse(cls, document: object, where: str) -> Credentials:
        """Return the credentials in a decoded secret: ``{"api_key", "secret_key", "account_number"?}``.

        Args:
            document: the decoded JSON.
            where: the secret's name, for the message.

        Raises:
            ConfigurationError: a key is missing or unusable. The message names it and never contains its value.
        """
        if not isinstance(document, Mapping):
            raise ConfigurationError(where, 'must be a JSON object {"api_key", "secret_key", "account_number"?}')
        number = document.get("account_number")
        return cls(
            api_key=validate_header_value(document.get("api_key"), f"{where}.api_key"),
            secret_key=validate_header_value(document.get("secret_key"), f"{where}.secret_key"),
            account_number=validate_header_value(number, f"{where}.account_number") if number is not None else None,
        )


class CredentialsSource(Protocol):
    """A source of credentials by account."""

    def credentials(self, account: str) -> Credentials:
        """Return the credentials of exactly this account; raise ``UnknownAccount`` if it has none."""
        ...

    def clear_cache(self) -> None:
        """Read the credentials again on the next call: the broker rejected the cached ones."""
        ...


def validate_header_value(value: object, name: str) -> str:
    """Return ``value`` if it can be sent in an HTTP header.

    Raises:
        ConfigurationError: missing, empty, not a string, or with spaces or characters beyond printable ASCII.
    """
    if value is None or value == "":
        raise ConfigurationError(name, "is missing")
    if not isinstance(value, str):
        raise ConfigurationError(name, "must be a string")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ConfigurationError(name, "contains spaces or characters that no key has; copy it again")
    return value
