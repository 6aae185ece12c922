"""Corporate actions: ``GET /v1/corporate-actions`` with the splits and symbol changes of a scenario.

They are announcements, and adjust the bars of days before a split. Positions, orders and quotes stay as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from paper_broker.data_pages import invalid
from paper_broker.formats import ONE, JsonObject, identifier, json_number, parse_date

FIELDS: Mapping[str, tuple[str, ...]] = {
    "forward_splits": ("symbol", "new_rate", "old_rate", "ex_date", "process_date", "record_date", "payable_date"),
    "reverse_splits": ("symbol", "new_rate", "old_rate", "ex_date", "process_date", "record_date", "payable_date"),
    "unit_splits": (
        "old_symbol", "old_rate", "new_symbol", "new_rate", "alternate_symbol", "alternate_rate", "effective_date",
        "process_date", "payable_date",
    ),
    "name_changes": ("old_symbol", "new_symbol", "process_date"),
}  # fmt: skip
"""Fields in a scenario, by kind."""
_OPTIONAL = frozenset({"process_date", "record_date", "payable_date"})
_TYPES = {kind.removesuffix("s"): kind for kind in FIELDS}
"""Kinds by the type in a query."""
_OTHER_TYPES = frozenset({
    "cash_dividend", "stock_dividend", "spin_off", "cash_merger", "stock_merger", "stock_and_cash_merger",
    "redemption", "worthless_removal", "rights_distribution",
})  # fmt: skip
"""Alpaca's other types, of which there are no actions here."""
_MOST_ROWS = 1000


@dataclass(frozen=True, slots=True)
class ActionQuery:
    """The parameters of a request, as they are in the query. Dates are those of processing, both included."""

    symbols: frozenset[str] | None = None
    types: str | None = None
    start: str | None = None
    end: str | None = None
    limit: str = "1000"
    page_token: str | None = None


class CorporateActions:
    """The corporate actions of one exchange."""

    def __init__(self) -> None:
        self._rows: dict[str, list[JsonObject]] = {}

    def set(self, spec: Mapping[str, Any]) -> None:
        """Replace the actions with those of ``corporate_actions`` of a scenario.

        Raises:
            ValueError: an unknown kind or field, a missing field, a rate that is not above zero, or an invalid date.
        """
        if unknown := spec.keys() - FIELDS.keys():
            raise ValueError(f"Unknown corporate actions: {sorted(unknown)}. Choose from {sorted(FIELDS)}.")
        self._rows = {kind: [_row(kind, action) for action in actions] for kind, actions in spec.items()}

    def find(self, query: ActionQuery, today: date) -> JsonObject:
        """Return one page of the actions that match, by kind; a kind without any is absent.

        Raises:
            BrokerError: 400 for an invalid parameter.
        """
        types = set(query.types.split(",")) if query.types else set(_TYPES)
        if unknown := types - _TYPES.keys() - _OTHER_TYPES:
            raise invalid(f"invalid types {sorted(unknown)}")
        first, last = _day("start", query.start, today), _day("end", query.end, today)
        matching = [
            (kind, row)
            for name, kind in _TYPES.items()
            if name in types
            for row in sorted(self.of_kind(kind), key=lambda row: str(row["process_date"]))
            if first <= date.fromisoformat(row["process_date"]) <= last
            and (query.symbols is None or query.symbols & _symbols(row))
        ]
        start, limit = _number("page_token", query.page_token or "0", 0), _number("limit", query.limit, 1)
        found: dict[str, list[JsonObject]] = {}
        for kind, row in matching[start : start + limit]:
            found.setdefault(kind, []).append(row)
        following = str(start + limit) if start + limit < len(matching) else None
        return {"corporate_actions": found, "next_page_token": following}

    def price_factor(self, symbol: str, day: date, today: date) -> Decimal:
        """Return the number by which prices of a day are multiplied to be comparable with those of today."""
        factor = ONE
        for row in (*self.of_kind("forward_splits"), *self.of_kind("reverse_splits")):
            if row["symbol"] == symbol and day < date.fromisoformat(row["ex_date"]) <= today:
                factor *= Decimal(str(row["old_rate"])) / Decimal(str(row["new_rate"]))
        return factor

    def of_kind(self, kind: str) -> Sequence[JsonObject]:
        """Return all actions of a kind, as the API has them."""
        return self._rows.get(kind, ())

    def dump(self) -> JsonObject:
        """Return the actions as :meth:`set` accepts them."""
        return {
            "corporate_actions": {
                kind: [{name: row[name] for name in FIELDS[kind] if row[name] is not None} for row in rows]
                for kind, rows in self._rows.items()
            }
        }


def _day(name: str, text: str | None, today: date) -> date:
    try:
        return parse_date(text) if text else today
    except ValueError as error:
        raise invalid(f"{name} must be a date like 2026-01-26") from error


def _number(name: str, text: str, least: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= _MOST_ROWS:
        raise invalid(f"{name} must be a number from {least} to {_MOST_ROWS}")
    return int(text)


def _row(kind: str, spec: Mapping[str, Any]) -> JsonObject:
    """Return an action as the API has it. The CUSIPs are invented."""
    if unknown := spec.keys() - set(FIELDS[kind]):
        raise ValueError(f"Unknown fields of {kind}: {sorted(unknown)}. Choose from {sorted(FIELDS[kind])}.")
    effective = next((name for name in ("ex_date", "effective_date") if name in FIELDS[kind]), None)
    optional = _OPTIONAL if effective else frozenset()
    if missing := set(FIELDS[kind]) - optional - spec.keys():
        raise ValueError(f"{kind} lack {sorted(missing)}.")
    given = {"process_date": spec.get(effective or "process_date"), **spec}
    values = {name: _value(kind, name, given.get(name)) for name in FIELDS[kind]}
    return {"id": identifier("corporate action", kind, *values.values()), **values, **_cusips(kind, values)}


def _cusips(kind: str, values: JsonObject) -> JsonObject:
    match kind:
        case "forward_splits":
            return {"cusip": _cusip(values["symbol"])}
        case "reverse_splits":
            return {"old_cusip": _cusip(f"old {values['symbol']}"), "new_cusip": _cusip(f"new {values['symbol']}")}
    names = [name for name in values if name.endswith("_symbol")]
    return {name.replace("symbol", "cusip"): _cusip(f"{name} {values[name]}") for name in names}


def _value(kind: str, name: str, value: Any) -> Any:
    if name.endswith("_date"):
        return None if value is None else date.fromisoformat(value).isoformat()
    if not name.endswith("_rate"):
        return str(value)
    rate = Decimal(str(value))
    if not rate.is_finite() or rate <= 0:
        raise ValueError(f"{name} of {kind} must be above 0, not {value}.")
    return json_number(rate)


def _symbols(row: JsonObject) -> set[str]:
    return {value for name, value in row.items() if name.endswith("symbol")}


def _cusip(name: str) -> str:
    return identifier("cusip", name).replace("-", "")[:9].upper()
