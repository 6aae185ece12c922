"""Formats of values in requests and responses: decimal strings, RFC 3339 timestamps with nanoseconds, UUID-shaped IDs.

Inside the model an instant is an integer: nanoseconds since the Unix epoch. Integers compare fast, keep the
nanoseconds that Alpaca sends, and need no conversion for JSON.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

type JsonObject = dict[str, Any]
"""A JSON object, as requests and responses contain it."""

SECOND = 1_000_000_000
"""Nanoseconds in one second."""
MINUTE = 60 * SECOND
"""Nanoseconds in one minute."""
NEW_YORK = ZoneInfo("America/New_York")
SHARE_STEP = Decimal("0.000000001")
"""Smallest quantity of shares. Alpaca silently truncates further decimals."""
ZERO = Decimal(0)
ONE = Decimal(1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9})\d*)?(Z|[+ -]\d\d:\d\d)?)?$")


def format_decimal(value: Decimal) -> str:
    """Return the number without exponent and trailing zeros; zero is ``"0"``."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_decimal_or_none(value: Decimal | None) -> str | None:
    """Return the number as :func:`format_decimal` does, or None if it is unknown."""
    return None if value is None else format_decimal(value)


def json_number(value: Decimal) -> int | float:
    """Return the number as market data has it: an int if it is whole, otherwise a float."""
    return int(value) if value == value.to_integral_value() else float(value)


def nanoseconds(at: datetime) -> int:
    """Convert an aware datetime to nanoseconds since the epoch."""
    return (at - _EPOCH) // _MICROSECOND * 1000


def to_datetime(instant: int) -> datetime:
    """Convert nanoseconds since the epoch to an aware UTC datetime, truncated to microseconds."""
    return _EPOCH + timedelta(microseconds=instant // 1000)


def duration(seconds: str | float | Decimal) -> int:
    """Convert seconds to nanoseconds."""
    return int(Decimal(str(seconds)) * SECOND)


def timestamp(instant: int) -> str:
    """Return RFC 3339 in UTC with nanoseconds, as in orders."""
    second, fraction = divmod(instant, SECOND)
    return f"{_format_second(second)}.{fraction:09d}Z"


def timestamp_or_none(instant: int | None) -> str | None:
    """Return a timestamp as :func:`timestamp` does, or None if the event did not happen."""
    return None if instant is None else timestamp(instant)


@lru_cache(maxsize=4096)
def _format_second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


def new_york_timestamp(instant: int, *, fraction: bool = False) -> str:
    """Return RFC 3339 with the New York offset, as in the market clock."""
    local = to_datetime(instant).astimezone(NEW_YORK).replace(microsecond=0).isoformat()
    return f"{local[:19]}.{instant % SECOND:09d}{local[19:]}" if fraction else local


def parse_instant(text: str) -> int:
    """Parse an RFC 3339 timestamp or a date to nanoseconds since the epoch; without an offset it is UTC.

    Raises:
        ValueError: the text is neither.
    """
    match = _INSTANT.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a timestamp: write it like 2026-01-26T15:00:00Z.")
    day, clock, fraction, offset = match.groups()
    # An unescaped plus sign in a query string arrives as a space.
    zone = "+00:00" if offset in (None, "Z") else offset.replace(" ", "+")
    second = nanoseconds(datetime.fromisoformat(f"{day}T{clock or '00:00'}{zone}"))
    return second + int((fraction or "0").ljust(9, "0"))


def parse_date(text: str) -> date:
    """Parse the date of a date or timestamp.

    Raises:
        ValueError: the text does not start with a date.
    """
    return date.fromisoformat(text[:10])


def identifier(*parts: object) -> str:
    """Return a UUID-shaped ID derived from the parts alone, so that IDs are reproducible from a seed."""
    digest = blake2b("|".join(map(str, parts)).encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:]}"


def floor_shares(qty: Decimal) -> Decimal:
    """Truncate a quantity of shares to nine decimals."""
    exponent = qty.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= -9:
        return qty
    return qty.quantize(SHARE_STEP, rounding=ROUND_DOWN)
