"""Numbers in cells and options. A number has one reading, or it is invalid: none is changed or guessed."""

from __future__ import annotations

import re
from decimal import Decimal

_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_SMALL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE]-[0-9]{1,2}")
"""With a negative exponent, as programs write small weights: 5e-05."""
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")
_ONE_GROUP = re.compile(r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}")
"""Thousands to one reader, three decimals to another."""
_DECIMAL_COMMA = re.compile(r"[+-]?([0-9]+|[0-9]{1,3}(\.[0-9]{3})+),[0-9]+")
_IN_PARENTHESES = re.compile(r"\(\$?[0-9.,]+\)")
_EXPONENT = re.compile(r"[+-]?[0-9.]+[eE][+-]?[0-9]+")
_MAX_DIGITS = 15
_MAX_CENTS = Decimal(10) ** _MAX_DIGITS


class NumberError(Exception):
    """A text that is not a number, or has more than one reading.

    Args:
        problem: what is wrong; continues a sentence that starts with the text.
        fix: what to write.
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


def parse_dollars(text: str, *, delimiter: str = ",") -> Decimal:
    """Return the dollars of a cell such as ``-500``, ``$1,500.50`` or ``-$20``.

    Args:
        text: the cell.
        delimiter: delimiter of the sheet. In a sheet with another one than the comma, ``1,500`` and ``1.500`` have two
            readings, because numbers there often have a decimal comma.

    Raises:
        NumberError: the text is not a number of dollars, or has two readings.
    """
    if "%" in text:
        raise NumberError("is a percentage, and this is an amount in dollars", "Write dollars, like 1500.50.")
    number = re.sub(r"^([+-]?)\$", r"\1", text)
    number = re.sub(r"^\$([+-])", r"\1", number)
    if delimiter != "," and _ONE_GROUP.fullmatch(number):
        thousands, decimals = re.sub("[.,]", "", number), number.replace(",", ".")
        raise NumberError("can be thousands or three decimals", f"Write {thousands}, or {decimals}0 for the decimals.")
    if _GROUPED.fullmatch(number):
        number = number.replace(",", "")
    if not _PLAIN.fullmatch(number):
        raise _invalid(text, number)
    return _bounded(Decimal(number))


def parse_weight(text: str) -> Decimal:
    """Return the fraction of a cell such as ``0.25`` or ``25%``, from 0 to 1.

    Raises:
        NumberError: the text is not a fraction or a percentage from 0 to 1.
    """
    number = text.removesuffix("%").rstrip() if text.endswith("%") else text
    if not _PLAIN.fullmatch(number) and not _SMALL.fullmatch(number):
        raise _invalid(text, number)
    weight = Decimal(number)
    if weight < 0:
        raise NumberError("is below 0: this program buys and sells what is held, and sells nothing short", "Write 0.")
    if text.endswith("%"):
        if weight > 100:
            raise NumberError("is more than the portfolio", "Write at most 100%.")
        return weight / 100
    if weight > 1:
        percentage = format(weight, "f")
        fix = f"Write {format(weight / 100, 'f')} or {percentage}%." if weight <= 100 else "Write a fraction like 0.25."
        raise NumberError("is above 1, which is the portfolio", fix)
    return weight


def parse_priority(text: str) -> int:
    """Return a priority from 1 to 5.

    Raises:
        NumberError: the text is anything else.
    """
    if text not in ("1", "2", "3", "4", "5"):
        raise NumberError("is not a whole number from 1 to 5", "Write 1 for the first priority, 5 for the last.")
    return int(text)


def _invalid(text: str, number: str) -> NumberError:
    """Return the error for a text that is not a number in plain notation, with the fix for what it looks like."""
    sign = "%" if text.endswith("%") else ""
    if _DECIMAL_COMMA.fullmatch(number):
        plain = number.replace(".", "").replace(",", ".")
        return NumberError("has a decimal comma", f"Write {plain}{sign}.")
    if _IN_PARENTHESES.fullmatch(text):
        return NumberError("is in parentheses", f"Write -{text.strip('($)')} for a negative number.")
    if _EXPONENT.fullmatch(number):
        return NumberError("has an exponent, which hides digits", "Write all digits, like 150000.")
    return NumberError("is not a number", "Write digits with a decimal point, like 1500.50.")


def _bounded(number: Decimal) -> Decimal:
    if abs(number) >= _MAX_CENTS:
        raise NumberError("is too large", f"Write an amount with at most {_MAX_DIGITS} digits before the point.")
    return number
