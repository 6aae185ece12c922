"""Problems of an invalid plan, in words that name the field and the limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rebalance_executor.domain.errors import InvalidInput

MAJOR_ONE_ONLY = "must be a 1.x version"

MAX_LOGGED_PROBLEMS = 20
"""Limit of problems per log line."""

_PLAIN_MESSAGES = {
    "tuple_type": "must be a list",
    "too_short": "must have at least one item",
    "missing": "is missing",
    "schema_version": MAJOR_ONE_ONLY,
    "timezone_aware": "must have a time zone, like 2026-01-26T15:45:00-05:00",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "string_too_long": "has more than {max_length} characters",
    "string_pattern_mismatch": "contains characters that are not allowed; the pattern is {pattern}",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "less_than_equal": "must be at most {le}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "int_from_float": "must be a whole number",
    "finite_number": "must be a finite number",
}
"""Messages that replace those of pydantic; the placeholders are in the context of its error."""


def kind_of(value: object) -> str:
    """Return the kind of a JSON value for a message."""
    names = {type(None): "null", list: "a list", str: "text", bool: "a boolean"}
    return names.get(type(value), "a number" if isinstance(value, int | float | Decimal) else type(value).__name__)


def repeated_symbols(symbols: Iterable[str]) -> Iterator[str]:
    """Return the problem of each symbol that occurs more than once."""
    for symbol, times in Counter(symbols).items():
        if times > 1:
            yield f"symbol {symbol} appears {'twice' if times == 2 else f'{times} times'}; merge its items"


def _message(error: ErrorDetails) -> str:
    plain = _PLAIN_MESSAGES.get(error["type"])
    return plain.format(**error.get("ctx", {})) if plain is not None else error["msg"].removeprefix("Value error, ")


def as_invalid_input(error: ValidationError, items: object) -> InvalidInput:
    """Return the typed error of a plan that pydantic found invalid.

    Args:
        error: the error of pydantic.
        items: the items of the document, which may not be a list.
    """
    errors = error.errors(include_url=False, include_input=False)
    if len(errors) > 1:  # pydantic also counts an invalid item as missing
        errors = [e for e in errors if (e["loc"], e["type"]) != (("items",), "too_short")] or errors
    problems = [
        (
            ".".join(str(part) for part in e["loc"]) or "$",
            _message(e),
        )
        for e in errors
    ]
    if isinstance(items, list):  # the model does not compare its items if one of them is invalid
        named = (item.get("symbol") for item in items if isinstance(item, dict))
        repeated = repeated_symbols(name.strip().upper() for name in named if isinstance(name, str) and name.strip())
        problems += [("items", text) for text in repeated if ("items", text) not in problems]
    field, problem = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    logged = [f"{path}: {text}" for path, text in problems[:MAX_LOGGED_PROBLEMS]]
    invalid = InvalidInput(field, problem + more, problems=logged)
    invalid.problems = tuple(problems)
    return invalid
