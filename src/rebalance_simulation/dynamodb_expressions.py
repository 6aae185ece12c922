"""DynamoDB's expressions, as far as this program uses them: conditions, key conditions and ``SET``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

Item = Mapping[str, Any]
"""A row in DynamoDB's own notation: ``{"pk": {"S": "…"}}``."""
Test = Callable[[Item, Item], bool]
"""Whether a condition holds, of a row and the expression's values."""
_Operand = Callable[[Item, Item], Any]
"""An attribute in DynamoDB's notation, or None where there is none."""

_TOKENS = re.compile(r"[A-Za-z_:#][\w]*|<>|<=|>=|[=<>(),+]")
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Unreadable(ValueError):
    """An expression that DynamoDB would not take, or that this program has never used."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, and the values that it names."""

    holds: Test
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Change:
    """What ``SET`` sets, and the values that it names."""

    sets: tuple[tuple[str, _Operand], ...]
    values: frozenset[str]


@cache
def condition(text: str) -> Condition:
    """A condition or key condition, parsed once."""
    reader = _Reader(_TOKENS.findall(text))
    holds = reader.either()
    reader.end()
    return Condition(holds, frozenset(reader.values))


@cache
def change(text: str) -> Change:
    """An update expression, parsed once."""
    reader = _Reader(_TOKENS.findall(text))
    reader.take("SET")
    sets = [reader.assignment()]
    while reader.next == ",":
        reader.take(",")
        sets.append(reader.assignment())
    reader.end()
    return Change(tuple(sets), frozenset(reader.values))


@cache
def named(condition_text: str | None, change_text: str | None) -> frozenset[str]:
    """The values that a request's expressions name."""
    found = condition(condition_text).values if condition_text is not None else frozenset()
    return found | change(change_text).values if change_text is not None else found


@dataclass(slots=True)
class _Reader:
    tokens: list[str]
    values: set[str] = field(default_factory=set)

    @property
    def next(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self, wanted: str | None = None) -> str:
        if not self.tokens or wanted not in (None, self.tokens[0]):
            raise Unreadable(f"{wanted or 'more'} is expected before {self.tokens}")
        return self.tokens.pop(0)

    def end(self) -> None:
        if self.tokens:
            raise Unreadable(f"nothing is expected before {self.tokens}")

    # --- conditions --------------------------------------------------------------------------------------

    def either(self) -> Test:
        """Conditions with OR between them."""
        first = self._all()
        while self.next == "OR":
            self.take()
            first = _or(first, self._all())
        return first

    def _all(self) -> Test:
        first = self._one()
        while self.next == "AND":
            self.take()
            first = _and(first, self._one())
        return first

    def _one(self) -> Test:
        if self.next == "(":
            self.take("(")
            inner = self.either()
            self.take(")")
            return inner
        if self.next in ("attribute_exists", "attribute_not_exists"):
            return self._existence()
        if self.next == "begins_with":
            self.take()
            self.take("(")
            name = self._operand()
            self.take(",")
            prefix = self._operand()
            self.take(")")
            return lambda item, values: bool(_plain(name(item, values)).startswith(_plain(prefix(item, values))))
        return self._comparison()

    def _existence(self) -> Test:
        is_wanted = self.take() == "attribute_exists"
        self.take("(")
        name = self.take()
        self.take(")")
        return lambda item, _: (name in item) is is_wanted

    def _comparison(self) -> Test:
        left, sign = self._operand(), self.take()
        if sign == "BETWEEN":
            low = self._operand()
            self.take("AND")
            high = self._operand()
            return _and(_compared(operator.ge, left, low), _compared(operator.le, left, high))
        right = self._operand()
        if sign == "<>":
            same = _compared(operator.eq, left, right)
            return lambda item, values: not same(item, values)
        if sign not in _COMPARED:
            raise Unreadable(f"{sign} compares nothing")
        return _compared(_COMPARED[sign], left, right)

    # --- operands and assignments ------------------------------------------------------------------------

    def assignment(self) -> tuple[str, _Operand]:
        """``name = operand``, or the sum of two."""
        name = self.take()
        self.take("=")
        first = self._operand()
        if self.next != "+":
            return name, first
        self.take("+")
        second = self._operand()
        return name, lambda item, values: {"N": str(_plain(first(item, values)) + _plain(second(item, values)))}

    def _operand(self) -> _Operand:
        token = self.take()
        if token == "if_not_exists":  # noqa: S105 - a function's name
            self.take("(")
            name = self.take()
            self.take(",")
            other = self._operand()
            self.take(")")
            return lambda item, values: item[name] if name in item else other(item, values)
        if token.startswith(":"):
            self.values.add(token)
            return lambda _, values: values[token]
        return lambda item, _: item.get(token)


def _and(one: Test, other: Test) -> Test:
    return lambda item, values: one(item, values) and other(item, values)


def _or(one: Test, other: Test) -> Test:
    return lambda item, values: one(item, values) or other(item, values)


def _compared(how: Callable[[Any, Any], bool], left: _Operand, right: _Operand) -> Test:
    def holds(item: Item, values: Item) -> bool:
        one, other = left(item, values), right(item, values)
        if one is None or other is None or one.keys() != other.keys():
            return False  # an attribute that is not there, or of another type, equals nothing and is less than nothing
        return how(_plain(one), _plain(other))

    return holds


def _plain(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    return Decimal(value) if kind == "N" else value
