"""The one decoder of JSON texts from outside: queue messages, documents in S3, and files that commands read.

It returns what Lambda's runtime makes of the same text, so that a plan is the same plan from every source: numbers
with a fraction or an exponent are doubles, which keep 17 significant digits. Decimal strings stay exact.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import NoReturn

from rebalance_executor.domain.errors import InvalidInput

_MAX_DIGITS = 308
"""Limit of an integer's digits: that of a double. Python needs quadratic time for the digits of an integer."""

_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class _Invalid:
    """An invalid value, kept in its place until the whole text is decoded and its path is known."""

    problem: str


def decode_json(text: str | bytes) -> object:
    """Return the value of a JSON text. Bytes may be UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        InvalidInput: not text in one of these encodings, not JSON, nested too deeply, a number beyond a double, or a
            key that an object has twice.
    """
    decoder = _Decoder()
    try:
        characters = text if isinstance(text, str) else text.decode(json.detect_encoding(text))
        value: object = json.loads(
            characters.removeprefix("\ufeff"),
            parse_float=decoder.parse_float,
            parse_int=decoder.parse_int,
            parse_constant=_no_constant,
            object_pairs_hook=decoder.parse_object,
        )
        if decoder.is_invalid:
            _raise_first(value)
    except RecursionError:
        raise InvalidInput("$", "is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise InvalidInput("$", f"is not text in UTF-8, UTF-16 or UTF-32: {error.reason}") from None
    except ValueError as error:
        raise InvalidInput("$", f"is not JSON: {error}") from None
    return value


class _Decoder:
    """Conversions of one text, which put an ``_Invalid`` in the place of a value that is not accepted."""

    def __init__(self) -> None:
        self.is_invalid = False

    def parse_float(self, digits: str) -> object:
        """Return a number with a fraction or an exponent; it is invalid if it is too large."""
        value = float(digits)
        return value if math.isfinite(value) else self._invalid_number(digits)

    def parse_int(self, digits: str) -> object:
        """Return a whole number; it is invalid if it has too many digits."""
        return int(digits) if len(digits) <= _MAX_DIGITS else self._invalid_number(digits)

    def parse_object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        """Return an object with these keys and values. A key that appears more than once has an invalid value."""
        value = dict(pairs)
        if len(value) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    value[key] = self._invalid("appears more than once in its object; keep one of the values")
                seen.add(key)
        return value

    def _invalid_number(self, digits: str) -> _Invalid:
        shown = digits if len(digits) <= _SHOWN_CHARACTERS else f"{digits[:_SHOWN_CHARACTERS]}…"
        return self._invalid(f"is {shown}; numbers must be below 10^{_MAX_DIGITS}")

    def _invalid(self, problem: str) -> _Invalid:
        self.is_invalid = True
        return _Invalid(problem)


def _raise_first(value: object, *path: str) -> None:
    """Raise ``InvalidInput`` for the first invalid value in the document, if it has one."""
    if isinstance(value, _Invalid):
        raise InvalidInput(".".join(path) or "$", value.problem)
    if isinstance(value, dict):
        for key, child in value.items():
            _raise_first(child, *path, key)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            _raise_first(child, *path, str(index))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")
