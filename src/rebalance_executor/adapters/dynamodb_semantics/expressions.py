"""DynamoDB's expressions as far as this program uses them: conditions, key conditions, ``SET`` and ``REMOVE``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

Item = Mapping[str, Any]
"""An item in DynamoDB's notation: ``{"pk": {"S": "…"}}``."""
Test = Callable[[Item, Item], bool]
"""Test of a condition, given an item and the expression's values."""
_Operand = Callable[[Item, Item], Any]
"""Function that returns an attribute in DynamoDB's notation, or None if it does not exist."""

_TOKENS = re.compile(r"[A-Za-z_:#][\w]*|<>|<=|>=|[=<>(),+]")
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class UnsupportedExpression(ValueError):
    """An expression that DynamoDB would reject, or that this program does not use."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition, and the names of the values in it."""

    holds: Test
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Update:
    """A parsed update expression, and the names of the values in it."""

    sets: tuple[tuple[str, _Operand], ...]
    removes: tuple[str, ...]
    values: frozenset[str]


@cache
def parse_condition(text: str) -> Condition:
    """Parse a condition or key condition. Results are cached."""
    parser = _Parser(_TOKENS.findall(text))
    holds = parser.disjunction()
    parser.end()
    return Condition(holds, frozenset(parser.values))


@cache
def parse_update(text: str) -> Update:
    """Parse an update expression. Results are cached."""
    parser = _Parser(_TOKENS.findall(text))
    sets = parser.listed("SET", parser.assignment)
    removes = parser.listed("REMOVE", parser.take)
    parser.end()
    return Update(tuple(sets), tuple(removes), frozenset(parser.values))


@cache
def used_values(condition: str | None, update: str | None) -> frozenset[str]:
    """Return the names of the values that a request's expressions use."""
    used = parse_condition(condition).values if condition is not None else frozenset()
    return used | parse_update(update).values if update is not None else used


@dataclass(slots=True)
class _Parser:
    tokens: list[str]
    values: set[str] = field(default_factory=set)

    @property
    def next(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self, expected: str | None = None) -> str:
        if not self.tokens or expected not in (None, self.tokens[0]):
            raise UnsupportedExpression(f"expected {expected or 'more'} before {self.tokens}")
        return self.tokens.pop(0)

    def listed[T](self, clause: str, parse: Callable[[], T]) -> list[T]:
        """Parse a clause with its list, if it is there."""
        if self.next != clause:
            return []
        self.take()
        found = [parse()]
        while self.next == ",":
            self.take()
            found.append(parse())
        return found

    def end(self) -> None:
        if self.tokens:
            raise UnsupportedExpression(f"unexpected {self.tokens}")

    # --- conditions --------------------------------------------------------------------------------------

    def disjunction(self) -> Test:
        """Parse conditions joined by OR."""
        first = self._conjunction()
        while self.next == "OR":
            self.take()
            first = _or(first, self._conjunction())
        return first

    def _conjunction(self) -> Test:
        first = self._condition()
        while self.next == "AND":
            self.take()
            first = _and(first, self._condition())
        return first

    def _condition(self) -> Test:
        if self.next == "(":
            self.take("(")
            inner = self.disjunction()
            self.take(")")
            return inner
        if self.next in ("attribute_exists", "attribute_not_exists"):
            return self._existence()
        if self.next == "begins_with":
            return self._prefix()
        return self._comparison()

    def _prefix(self) -> Test:
        self.take("begins_with")
        self.take("(")
        name = self._operand()
        self.take(",")
        prefix = self._operand()
        self.take(")")
        return lambda item, values: bool(_value(name(item, values)).startswith(_value(prefix(item, values))))

    def _existence(self) -> Test:
        should_exist = self.take() == "attribute_exists"
        self.take("(")
        name = self.take()
        self.take(")")
        return lambda item, _: (name in item) is should_exist

    def _comparison(self) -> Test:
        left, sign = self._operand(), self.take()
        if sign == "BETWEEN":
            low = self._operand()
            self.take("AND")
            high = self._operand()
            return _and(_compared(operator.ge, left, low), _compared(operator.le, left, high))
        right = self._operand()
        if sign == "<>":
            equal = _compared(operator.eq, left, right)
            return lambda item, values: not equal(item, values)
        if sign not in _COMPARISONS:
            raise UnsupportedExpression(f"{sign} is not a comparison")
        return _compared(_COMPARISONS[sign], left, right)

    # --- operands and assignments ------------------------------------------------------------------------

    def assignment(self) -> tuple[str, _Operand]:
        """Parse ``name = operand`` or ``name = operand + operand``."""
        name = self.take()
        self.take("=")
        first = self._operand()
        if self.next != "+":
            return name, first
        self.take("+")
        second = self._operand()
        return name, lambda item, values: {"N": str(_value(first(item, values)) + _value(second(item, values)))}

    def _operand(self) -> _Operand:
        token = self.take()
        if token == "if_not_exists":  # noqa: S105 - a function's name
            self.take("(")
            name = self.take()
            self.take(",")
            default = self._operand()
            self.take(")")
            return lambda item, values: item[name] if name in item else default(item, values)
        if token.startswith(":"):
            self.values.add(token)
            return lambda _, values: values[token]
        return lambda item, _: item.get(token)


def _and(first: Test, second: Test) -> Test:
    return lambda item, values: first(item, values) and second(item, values)


def _or(first: Test, second: Test) -> Test:
    return lambda item, values: first(item, values) or second(item, values)


def _compared(compare: Callable[[Any, Any], bool], left: _Operand, right: _Operand) -> Test:
    def holds(item: Item, values: Item) -> bool:
        """Return whether both attributes exist, have one type, and compare."""
        first, second = left(item, values), right(item, values)
        if first is None or second is None or first.keys() != second.keys():
            return False  # DynamoDB: a comparison with a missing attribute or another type is false
        return compare(_value(first), _value(second))

    return holds


def _value(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    return Decimal(value) if kind == "N" else value
