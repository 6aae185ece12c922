"""How values look on the wire: decimals as strings, instants in RFC 3339 with nanoseconds, ids shaped like UUIDs.

Inside the model an instant is an integer: nanoseconds since the Unix epoch. Integers compare fast, never lose the
nanoseconds that Alpaca sends, and are already JSON.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

type Wire = dict[str, Any]
"""A JSON object as it travels."""

SECOND = 1_000_000_000
NEW_YORK = ZoneInfo("America/New_York")
SHARE_STEP = Decimal("0.000000001")
"""Nine decimals of a share; more are cut off silently."""
ZERO = Decimal(0)
ONE = Decimal(1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9})\d*)?(Z|[+ -]\d\d:\d\d)?)?$")


def plain(value: Decimal) -> str:
    """The number without exponent and without trailing zeros; zero is ``"0"``."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain_or_none(value: Decimal | None) -> str | None:
    """As :func:`plain`, with null for what is not known."""
    return None if value is None else plain(value)


def number(value: Decimal) -> int | float:
    """A market-data number: JSON number, whole ones without a point."""
    return int(value) if value == value.to_integral_value() else float(value)


def nanoseconds(moment: datetime) -> int:
    """The instant of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND * 1000


def moment(instant: int) -> datetime:
    """The aware UTC datetime of an instant, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=instant // 1000)


def duration(seconds: str | float | Decimal) -> int:
    """Seconds as nanoseconds."""
    return int(Decimal(str(seconds)) * SECOND)


def timestamp(instant: int) -> str:
    """RFC 3339 in UTC with nanoseconds, as orders carry it."""
    second, rest = divmod(instant, SECOND)
    return f"{_second(second)}.{rest:09d}Z"


def timestamp_or_none(instant: int | None) -> str | None:
    """As :func:`timestamp`, with null for what did not happen."""
    return None if instant is None else timestamp(instant)


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


def new_york_timestamp(instant: int, *, fraction: bool = False) -> str:
    """RFC 3339 with the New York offset, as the clock carries it."""
    local = moment(instant).astimezone(NEW_YORK).replace(microsecond=0).isoformat()
    return f"{local[:19]}.{instant % SECOND:09d}{local[19:]}" if fraction else local


def parse_instant(text: str) -> int:
    """The instant of an RFC 3339 timestamp or a date; without an offset it is UTC.

    Raises:
        ValueError: if it is neither.
    """
    found = _INSTANT.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no timestamp: write it like 2026-01-26T15:00:00Z.")
    day, clock, fraction, offset = found.groups()
    # An unquoted plus arrives as a blank in a query string.
    zone = "+00:00" if offset in (None, "Z") else offset.replace(" ", "+")
    second = nanoseconds(datetime.fromisoformat(f"{day}T{clock or '00:00'}{zone}"))
    return second + int((fraction or "0").ljust(9, "0"))


def parse_date(text: str) -> date:
    """The date at the front of a date or timestamp.

    Raises:
        ValueError: if there is none.
    """
    return date.fromisoformat(text[:10])


def identifier(*parts: object) -> str:
    """A UUID-shaped id that follows from its parts alone, so that a seed gives the same ids again."""
    digest = blake2b("|".join(map(str, parts)).encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:]}"


def floor_shares(qty: Decimal) -> Decimal:
    """Shares cut to nine decimals."""
    exponent = qty.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= -9:
        return qty
    return qty.quantize(SHARE_STEP, rounding=ROUND_DOWN)
