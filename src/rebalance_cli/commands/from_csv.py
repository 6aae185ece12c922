"""``rebalance plan from-csv``: a plan from a spreadsheet, for who has no portfolio system."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer

from rebalance_cli.console import answer, command
from rebalance_cli.context import CONFIG_FILE, HOME, AsJson, ConfigFile, Home, cli_context
from rebalance_cli.exit_codes import CliError
from rebalance_cli.outputs import Written
from rebalance_cli.queries.plan_checks import validation_of
from rebalance_cli.views.result import facts
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.values import format_decimal

app = typer.Typer(help="Make plans.", no_args_is_help=True)

_CENT = Decimal("0.01")
_WEIGHT_STEP = Decimal("0.000001")
_NUMBERS = ("trade_amount", "target_weight", "current_value", "priority")
_EXAMPLE = "A sheet begins with a line like symbol,target_weight; below it stand lines like AAPL,0.25."


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One line of the sheet; what it leaves empty is None."""

    symbol: str
    trade_amount: Decimal | None
    target_weight: Decimal | None
    current_value: Decimal | None
    priority: int


@app.command("from-csv")
def from_csv(
    sheet: Annotated[Path, typer.Argument(metavar="SHEET", help="CSV with symbol, and trade_amount or target_weight.")],
    *,
    value: Annotated[float | None, typer.Option("--value", help="The portfolio's dollars; else the account's.")] = None,
    min_trade: Annotated[float, typer.Option("--min-trade", help="Dollars below which an item is a HOLD.")] = 1.0,
    urgency: Annotated[Urgency, typer.Option("--urgency", help="How patiently to work it.")] = Urgency.NORMAL,
    plan_id: Annotated[str | None, typer.Option("--id", help="The plan's id; made from name and time else.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the plan here, not to stdout.")] = None,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Make a plan from a CSV file.

    With trade_amount the dollars are taken as they are. With target_weight they are what leads from the current value
    (a column current_value, or else the account's positions at their mid) to that share of the portfolio.
    """
    with command(as_json=as_json) as (console, out):
        rows = read_sheet(sheet)
        now = datetime.now(UTC)
        total, values = Decimal(str(value)) if value is not None else None, {r.symbol: r.current_value for r in rows}
        needs_values = any(r.trade_amount is None and r.current_value is None for r in rows)
        if total is None or needs_values:
            with cli_context(home, config, console) as found:
                equity, held = _holdings(found.broker(found.settings.account), [r.symbol for r in rows])
            total = equity if total is None else total
            values = {
                symbol: known if known is not None else held.get(symbol, ZERO) for symbol, known in values.items()
            }
        name = plan_id or f"{sheet.stem}-{now:%Y%m%dT%H%M%S}"
        document = plan_of(rows, values, total, name, now, min_trade=Decimal(str(min_trade)))
        document["execution_urgency"] = urgency.value
        verdict = validation_of(document, ExecutionConfig(), now)
        if not verdict.valid:
            wrong = "; ".join(f"{problem.path}: {problem.text}" for problem in verdict.problems)
            raise CliError(f"{sheet} makes no valid plan: {wrong}.", f"Mend the sheet or the options. {_EXAMPLE}")
        text = json.dumps(document, indent=2)
        if output is None:
            typer.echo(text)
            return
        output.write_text(text + "\n", encoding="utf-8")
        told = Written(path=str(output), next=f"rebalance preview {output}")
        answer(told, facts([("Written", told.path), ("Next", told.next)]), as_json=as_json, out=out)


def read_sheet(path: Path) -> list[SheetRow]:
    """The lines of the file.

    Raises:
        CliError: it cannot be read, a column is missing, or a cell is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            lines = [{k: (v or "").strip() for k, v in row.items() if isinstance(v, str)} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CliError(f"{path} cannot be read: {error}.", _EXAMPLE) from None
    if "symbol" not in names or not {"trade_amount", "target_weight"} & set(names):
        raise CliError(f"{path} needs the columns symbol, and trade_amount or target_weight.", _EXAMPLE)
    return [_row(path, number, line) for number, line in enumerate(lines, 2) if any(line.values())]


def _row(path: Path, number: int, line: Mapping[str, str]) -> SheetRow:
    told: dict[str, Decimal | None] = {}
    for name in _NUMBERS:
        text = line.get(name, "").replace(",", "").replace("$", "")
        percent = text.endswith("%")
        try:
            cell = Decimal(text.rstrip("%")) if text else None
        except InvalidOperation:
            cell = Decimal("NaN")
        if cell is not None and not cell.is_finite():
            raise CliError(f"{path}, line {number}: {name} {line[name]!r} is not a number.", "Mend the cell.")
        if name == "priority" and cell is not None and cell != int(cell):
            raise CliError(f"{path}, line {number}: priority {line[name]!r} is not a whole number.", "Mend the cell.")
        told[name] = cell / 100 if percent and cell is not None else cell
    symbol = line.get("symbol", "").upper()
    if not symbol or (told["trade_amount"] is None) == (told["target_weight"] is None):
        raise CliError(f"{path}, line {number}: a symbol, and either trade_amount or target_weight.", _EXAMPLE)
    return SheetRow(
        symbol, told["trade_amount"], told["target_weight"], told["current_value"], int(told["priority"] or 1)
    )


def plan_of(
    rows: Sequence[SheetRow],
    values: Mapping[str, Decimal | None],
    total: Decimal,
    plan_id: str,
    now: datetime,
    *,
    min_trade: Decimal,
) -> dict[str, Any]:
    """The plan document.

    Args:
        rows: the sheet.
        values: dollars held of each symbol; None where that is not known.
        total: dollars of the whole portfolio.
        plan_id: its id.
        now: its timestamp.
        min_trade: dollars below which nothing is traded.
    """
    items = [_item(row, values.get(row.symbol) or ZERO, total, min_trade) for row in rows]
    traded = sum((abs(Decimal(item["trade_amount"])) for item in items), ZERO)
    return {
        "schema_version": "1.0.0",
        "plan_id": plan_id,
        "correlation_id": plan_id,
        "causation_id": "rebalance plan from-csv",
        "timestamp": now.isoformat(timespec="seconds"),
        "total_portfolio_value": format_decimal(total),
        "total_trade_value": format_decimal(traded),
        "items": items,
    }


def _item(row: SheetRow, value: Decimal, total: Decimal, min_trade: Decimal) -> dict[str, Any]:
    current = (value / total).quantize(_WEIGHT_STEP, ROUND_HALF_EVEN) if total else ZERO
    if row.target_weight is not None:
        wanted = (row.target_weight * total).quantize(_CENT, ROUND_HALF_EVEN)
        amount = wanted - value.quantize(_CENT, ROUND_HALF_EVEN)
    else:
        amount = row.trade_amount or ZERO
        wanted = max(value + amount, _CENT)  # 0 would mean a full exit, which a dollar amount does not ask for
    target = row.target_weight if row.target_weight is not None else wanted / total if total else ZERO
    target = min(max(target, ZERO), Decimal(1)).quantize(_WEIGHT_STEP, ROUND_HALF_EVEN)
    action = "HOLD" if abs(amount) < min_trade else "BUY" if amount > 0 else "SELL"
    return {
        "symbol": row.symbol,
        "action": action,
        "trade_amount": format_decimal(amount) if action != "HOLD" else "0",
        "current_weight": format_decimal(min(current, Decimal(1))),
        "target_weight": format_decimal(target),
        "weight_diff": format_decimal(target - min(current, Decimal(1))),
        "target_value": format_decimal(wanted),
        "current_value": format_decimal(value.quantize(_CENT, ROUND_HALF_EVEN)),
        "priority": row.priority,
    }


def _holdings(broker: Any, symbols: Sequence[str]) -> tuple[Decimal, dict[str, Decimal]]:
    """The account's equity, and the dollars held of each symbol at mid."""
    account, positions = broker.account(), broker.positions(symbols)
    held = [symbol for symbol in symbols if symbol in positions]
    quotes = broker.quotes(held) if held else {}
    unusable = [s for s in held if s not in quotes or quotes[s].problem is not None]
    if unusable:
        raise CliError(f"No usable quote of {' '.join(unusable)}.", "Give the column current_value, or try again.")
    return account.equity or account.cash, {s: positions[s].qty * quotes[s].mid for s in held}
