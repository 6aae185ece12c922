"""Announcements of splits: ``GET /v2/corporate_actions/announcements``, which Alpaca has deprecated.

They are the splits of :mod:`paper_broker.corporate_actions`, in the older form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from paper_broker.corporate_actions import CorporateActions
from paper_broker.errors import malformed, not_found
from paper_broker.formats import JsonObject, parse_date

_SUB_TYPES = {"forward_splits": "stock_split", "reverse_splits": "reverse_split", "unit_splits": "unit_split"}
_TYPES = frozenset({"dividend", "merger", "spinoff", "split"})
"""Alpaca's types, of which this broker has splits."""
_DATES = ("declaration_date", "ex_date", "record_date", "payable_date")
_LONGEST = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class AnnouncementQuery:
    """The parameters of a request, as they are in the query; both dates are included."""

    ca_types: str = ""
    since: str = ""
    until: str = ""
    symbol: str | None = None
    cusip: str | None = None
    date_type: str = "ex_date"


def announcements(actions: CorporateActions, query: AnnouncementQuery) -> list[JsonObject]:
    """Return the announcements that match, oldest first.

    Raises:
        BrokerError: 422 for a missing or invalid parameter, or a period of more than 90 days.
    """
    types = set(query.ca_types.split(","))
    if not types <= _TYPES:
        raise malformed(f"ca_types must be some of {', '.join(sorted(_TYPES))}")
    if query.date_type not in _DATES:
        raise malformed(f"date_type must be one of {', '.join(_DATES)}")
    first, last = _day("since", query.since), _day("until", query.until)
    if last - first > _LONGEST:
        raise malformed(f"the period must be at most {_LONGEST.days} days")
    return [
        row
        for row in _rows(actions)
        if row["ca_type"] in types
        and row[query.date_type] is not None
        and first.isoformat() <= row[query.date_type] <= last.isoformat()
        and query.symbol in (None, row["initiating_symbol"], row["target_symbol"])
        and query.cusip in (None, row["initiating_original_cusip"], row["target_original_cusip"])
    ]


def announcement(actions: CorporateActions, action_id: str) -> JsonObject:
    """Return one announcement.

    Raises:
        BrokerError: 404 for an unknown ID.
    """
    found = next((row for row in _rows(actions) if row["id"] == action_id), None)
    if found is None:
        raise not_found(f"announcement not found for {action_id}")
    return found


def _rows(actions: CorporateActions) -> list[JsonObject]:
    rows = [_row(kind, row) for kind in _SUB_TYPES for row in actions.of_kind(kind)]
    return sorted(rows, key=lambda row: str(row["ex_date"]))


def _row(kind: str, row: Mapping[str, Any]) -> JsonObject:
    cusip = row.get("cusip") or row["old_cusip"]
    return {
        "id": row["id"],
        "corporate_action_id": f"{cusip}_{_SUB_TYPES[kind]}",
        "ca_type": "split",
        "ca_sub_type": _SUB_TYPES[kind],
        "initiating_symbol": row.get("symbol") or row["old_symbol"],
        "initiating_original_cusip": cusip,
        "target_symbol": row.get("symbol") or row["new_symbol"],
        "target_original_cusip": row.get("cusip") or row["new_cusip"],
        "declaration_date": None,
        "ex_date": row.get("ex_date") or row["effective_date"],
        "record_date": row.get("record_date"),
        "payable_date": row.get("payable_date"),
        "cash": "0",
        "old_rate": str(row["old_rate"]),
        "new_rate": str(row["new_rate"]),
    }


def _day(name: str, text: str) -> date:
    try:
        return parse_date(text)
    except ValueError as error:
        raise malformed(f"{name} must be a date like 2026-01-26") from error
