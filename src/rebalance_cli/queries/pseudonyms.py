"""Replacement of account data in documents: each value gets a pseudonym, the same one wherever it occurs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rebalance_executor.domain.order_ids import PREFIX

KIND_OF_FIELD: Mapping[str, str] = {
    "account": "account",
    "account_number": "account-number",
    "order_id": "order",
    "client_order_id": "client-order",
    "api_key": "key",
    "secret_key": "key",
    "bucket": "bucket",
    "by": "person",
    "function_request_id": "request",
    "run": "run",
    "run_id": "run",
}
"""Fields with account data, or with an ID that leads to it, and the kind of their values."""
_REMOVED_FIELDS = ("metadata",)
"""Fields whose content the sender chose freely: all of it is removed."""
REMOVED = "removed"

_PATTERNS: Sequence[tuple[str, re.Pattern[str]]] = (
    ("client-order", re.compile(rf"\b{PREFIX}[0-9a-f]{{8}}-[0-9a-f]{{20}}(?:-[\w.]+-\d+)?")),
    ("id", re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)),
    ("key", re.compile(r"\b(?:[APC]K[0-9A-Z]{14,24}|A[KS]IA[0-9A-Z]{16})\b")),
    ("account-number", re.compile(r"\bPA[0-9A-Z]{7,12}\b")),
    ("account-number", re.compile(r"(?<=\baccount )\d{8,12}\b|(?<=\baccount_number is )\w+")),
    ("account", re.compile(r"(?<=\bbelongs to account )[^\s;,]+")),
    ("aws-account", re.compile(r"(?<![\d.])\d{12}(?![\d.])")),
    ("bucket", re.compile(r"(?<=\bs3://)[^/\s]+")),
    ("email", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("person", re.compile(r"(?<=\bset by ).+?(?= at \d{4}-\d\d-\d\d)")),
)
"""Account data within texts, by its form."""


class Pseudonyms:
    """Pseudonyms of the account data in a set of documents, such as ``order-2``.

    Args:
        documents: decoded JSON. Values of the known fields are replaced in the texts of all documents.
        generic: values that say nothing about an account, such as the name ``default``.
    """

    def __init__(self, documents: Iterable[object], generic: Iterable[str] = ()) -> None:
        self._generic = frozenset(generic)
        self._names: dict[str, str] = {}
        self._uses: dict[str, int] = {}
        self._per_kind: dict[str, int] = {}
        for document in documents:
            for kind, value in _field_values(document):
                self._name(kind, value)
        known = sorted(self._names, key=len, reverse=True)
        self._known = re.compile("|".join(rf"(?<!\w){re.escape(value)}(?!\w)" for value in known) or r"(?!)")

    @property
    def uses(self) -> dict[str, int]:
        """Pseudonym → number of places at which it stands."""
        return dict(self._uses)

    def replaced(self, value: Any) -> Any:
        """Return decoded JSON with pseudonyms, in keys as well."""
        match value:
            case dict():
                return {self._text(str(name)): self._field(str(name), content) for name, content in value.items()}
            case list() | tuple():
                return [self.replaced(one) for one in value]
            case str():
                return self._text(value)
        return value

    def _field(self, name: str, content: object) -> Any:
        if name in _REMOVED_FIELDS and content:
            self._uses[REMOVED] = self._uses.get(REMOVED, 0) + 1
            return REMOVED
        kind = KIND_OF_FIELD.get(name)
        return self._use(kind, content) if kind is not None and isinstance(content, str) else self.replaced(content)

    def _text(self, text: str) -> str:
        text = self._known.sub(lambda match: self._use("", match.group()), text)
        for kind, pattern in _PATTERNS:
            text = pattern.sub(lambda match, kind=kind: self._use(kind, match.group()), text)  # type: ignore[misc]
        return text

    def _use(self, kind: str, value: str) -> str:
        name = self._name(kind, value)
        if name != value:
            self._uses[name] = self._uses.get(name, 0) + 1
        return name

    def _name(self, kind: str, value: str) -> str:
        if not value or value in self._generic or value in self._uses:
            return value
        if value not in self._names:
            self._per_kind[kind] = self._per_kind.get(kind, 0) + 1
            self._names[value] = f"{kind}-{self._per_kind[kind]}"
        return self._names[value]


def _field_values(document: object) -> Iterator[tuple[str, str]]:
    """Yield kind and value of each known field."""
    match document:
        case dict():
            for name, content in document.items():
                if isinstance(content, str) and name in KIND_OF_FIELD:
                    yield KIND_OF_FIELD[name], content
                else:
                    yield from _field_values(content)
        case list() | tuple():
            for one in document:
                yield from _field_values(one)
