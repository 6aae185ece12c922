"""Field types shared by the models (exact decimals, UTC times, names) and their formats for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, PlainSerializer, StringConstraints

from rebalance_executor.domain.session import new_york

_LARGEST_EXPONENT = 15
"""Limit of dollars and shares. 10^16 and more is a mistake, and its plain notation could exhaust the memory."""

_SMALLEST_EXPONENT = -60
"""Limit of decimal places. Plans carry 28 significant digits; a finer amount is a mistake as well."""

DAY_SECONDS = 86_400
DAY_MINUTES = 1_440
"""One day, in the unit of the field that it bounds: the upper bound of most durations in the configuration."""

_CENT = Decimal("0.01")

_JSON_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)


def format_decimal(value: Decimal) -> str:
    """Return a decimal in plain notation, without exponent and trailing zeros: ``1.50`` → ``1.5``."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def cents(amount: Decimal) -> Decimal:
    """Return dollars rounded to the cent, half to even, as all texts show them."""
    return amount.quantize(_CENT)


def sum_of_cents(amounts: Iterable[Decimal]) -> Decimal:
    """Return the sum of dollars that are each rounded to the cent first.

    A sum next to its parts is made with this: a reader who adds up what is shown gets the same cents.
    """
    return sum((cents(amount) for amount in amounts), Decimal(0))


def parts_in_cents(parts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return dollars by name, rounded so that they sum to the rounded total, each less than a cent off.

    Each one is the difference of two rounded running sums; a part of zero stays zero.
    """
    rounded, running, before = {}, Decimal(0), Decimal("0.00")
    for name, amount in parts.items():
        running += amount
        rounded[name] = cents(running) - before
        before = cents(running)
    return rounded


def format_shares(quantity: Decimal) -> str:
    """Return shares for a message, with up to four decimals, or with all of them if those would be zero."""
    rounded = round(quantity, 4)
    return format_decimal(rounded or quantity)


def format_dollars(amount: Decimal) -> str:
    """Return dollars rounded to the cent, without cents if they are zero: ``1234.5`` → ``$1,234.50``."""
    text = f"{abs(amount):,.2f}".removesuffix(".00")
    return f"-${text}" if amount < 0 else f"${text}"


def seconds(amount: Decimal | int) -> timedelta:
    """Return a number of seconds as a ``timedelta``, exact to the microsecond."""
    return timedelta(microseconds=int(amount * 1_000_000))


def format_time(at: datetime) -> str:
    """Return a time for people, to the second: ``2026-01-26 20:45:00 UTC (15:45:00 New York)``.

    New York's date is added where it differs from that in UTC.
    """
    utc = at.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC{_in_new_york(utc)}"


def format_clock(at: datetime) -> str:
    """Return a time of day for people, next to a date that is known: ``20:45:00 UTC (15:45:00 New York)``."""
    utc = at.astimezone(UTC)
    return f"{utc:%H:%M:%S} UTC{_in_new_york(utc)}"


def _in_new_york(utc: datetime) -> str:
    try:
        local = new_york(utc)
    except OverflowError:  # the first hours of the year 1
        return ""
    date = "" if local.date() == utc.date() else f"{local:%Y-%m-%d} "
    return f" ({date}{local:%H:%M:%S} New York)"


def _bounded(value: Decimal) -> Decimal:
    if value == 0:
        return Decimal(0)  # also "0E+20", which real plans contain
    exponent = value.as_tuple().exponent
    if value.adjusted() > _LARGEST_EXPONENT or (isinstance(exponent, int) and exponent < _SMALLEST_EXPONENT):
        raise ValueError("must be below 10^16 and have at most 60 decimals")
    return value


def forbid_bool(value: object) -> object:
    """Return the value unless it is a boolean, which Python and pydantic accept as a number.

    Raises:
        ValueError: the value is a boolean.
    """
    if isinstance(value, bool):
        raise ValueError("must not be a boolean")  # noqa: TRY004 - pydantic wants ValueError
    return value


def _small(value: object) -> object:
    # the integer of a decimal with a large exponent takes minutes to compute
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() > _LARGEST_EXPONENT:
        raise ValueError("must be below 10^16")
    return value


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999 in UTC") from None


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("contains characters that cannot be printed")
    return value


def _spelled_as_json(value: object) -> object:
    if isinstance(value, str) and not _JSON_NUMBER.fullmatch(value):
        raise ValueError("is not a decimal number")
    return value


Amount = Annotated[
    Decimal,
    BeforeValidator(_spelled_as_json),
    BeforeValidator(forbid_bool),
    AfterValidator(_bounded),
    PlainSerializer(format_decimal, return_type=str, when_used="json"),
]
"""An exact decimal (dollars, shares, a fraction, seconds), always finite; a plain decimal string in JSON."""

Count = Annotated[int, BeforeValidator(_small), BeforeValidator(forbid_bool)]
"""A whole number, also if it is written as a decimal."""

Timestamp = Annotated[AwareDatetime, BeforeValidator(forbid_bool), AfterValidator(_utc)]
"""A time with a zone, kept in UTC."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_printable)]
"""An identifier: 1 to 100 printable characters."""
