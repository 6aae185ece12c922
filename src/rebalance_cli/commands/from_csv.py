"""``rebalance plan from-csv``: make a plan from a spreadsheet, without a portfolio system."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from rebalance_cli.exit_codes import CliError
from rebalance_cli.options import CommandSession, target_command
from rebalance_cli.outputs import Written
from rebalance_cli.queries.plan_checks import validate_plan
from rebalance_cli.views.tables import facts
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.plan import ExecutionStyle, Urgency
from rebalance_executor.domain.values import format_decimal
from rebalance_executor.execution.ports import Broker

app = typer.Typer(help="Make plans.", no_args_is_help=True)

_CENT = Decimal("0.01")
_WEIGHT_STEP = Decimal("0.000001")
_NUMBERS = ("trade_amount", "target_weight", "current_value", "priority")
_MAX_DIGITS = 15
_EXAMPLE = "The first line names the columns, as in symbol,target_weight; each following line is like AAPL,0.25."


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One line of the sheet. Amounts are in dollars; empty cells are None."""

    symbol: str
    trade_amount: Decimal | None
    target_weight: Decimal | None
    current_value: Decimal | None
    priority: int


@app.command("from-csv")
@target_command
def from_csv(
    session: CommandSession,
    sheet: Annotated[
        Path,
        typer.Argument(metavar="SHEET", help="CSV file with the columns symbol and trade_amount or target_weight."),
    ],
    *,
    portfolio_value: Annotated[
        float | None,
        typer.Option("--portfolio-value", help="Portfolio value in dollars (default: the account's equity)."),
    ] = None,
    min_trade: Annotated[float, typer.Option("--min-trade", help="Items below this many dollars become a HOLD.")] = 1.0,
    urgency: Annotated[
        Urgency, typer.Option("--urgency", help="How fast to work the orders; see docs/execution.md.")
    ] = Urgency.NORMAL,
    style: Annotated[
        ExecutionStyle, typer.Option("--style", help="Continuous trading (work), or an auction; see docs/auctions.md.")
    ] = ExecutionStyle.WORK,
    plan_id: Annotated[
        str | None, typer.Option("--plan-id", help="Plan ID (default: file name and timestamp).")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the plan to this file (default: stdout).")
    ] = None,
) -> None:
    """Make a plan from a CSV file.

    trade_amount: trade these dollars. target_weight: trade the difference between the current and the target value. The
    current value comes from the column current_value, or from the account's positions at the midpoint.
    """
    rows = read_sheet(sheet)
    now = datetime.now(UTC)
    total, values = _portfolio(session, rows, Decimal(str(portfolio_value)) if portfolio_value is not None else None)
    name = plan_id or f"{sheet.stem}-{now:%Y%m%dT%H%M%S}"
    document = plan_document(rows, values, total, name, now, min_trade=Decimal(str(min_trade)))
    document |= {"execution_urgency": urgency.value, "execution_style": style.value}
    verdict = validate_plan(document, ExecutionConfig(), now)
    if not verdict.valid:
        problems = "; ".join(f"{problem.path}: {problem.text}" for problem in verdict.problems)
        raise CliError(f"{sheet} makes no valid plan: {problems}.", f"Correct the sheet or the options. {_EXAMPLE}")
    text = json.dumps(document, indent=2)
    if output is None:
        typer.echo(text)
        return
    output.write_text(text + "\n", encoding="utf-8")
    answer = Written(path=str(output), next=session.options.command("preview", str(output)))
    session.answer(answer, facts([("Written", answer.path)]), answer.next)


def _portfolio(
    session: CommandSession, rows: Sequence[SheetRow], total: Decimal | None
) -> tuple[Decimal, dict[str, Decimal | None]]:
    """Return portfolio value and current values by symbol; ask the account only for what is missing."""
    values = {row.symbol: row.current_value for row in rows}
    needs_positions = any(row.trade_amount is None and row.current_value is None for row in rows)
    if total is not None and not needs_positions:
        return total, values
    with session.context() as ctx:
        equity, held = _holdings(ctx.broker(ctx.settings.account), [row.symbol for row in rows])
    values = {symbol: value if value is not None else held.get(symbol, ZERO) for symbol, value in values.items()}
    return equity if total is None else total, values


# --- the sheet -------------------------------------------------------------------------------------------


def read_sheet(path: Path) -> list[SheetRow]:
    """Read the lines of a CSV file.

    Raises:
        CliError: the file cannot be read, a column is missing, or a cell is not a number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            lines = [{k: (v or "").strip() for k, v in row.items() if isinstance(v, str)} for row in reader]
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}.", "Check the path and its permissions.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise CliError(f"{path} is not a CSV file in UTF-8: {error}.", _EXAMPLE) from None
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise CliError(f"{path} has the column {repeated[0]} more than once.", "Keep one of them.")
    if "symbol" not in names or not {"trade_amount", "target_weight"} & set(names):
        raise CliError(f"{path} needs the columns symbol and trade_amount or target_weight.", _EXAMPLE)
    return [_parse_row(path, number, line) for number, line in enumerate(lines, 2) if any(line.values())]


def _parse_row(path: Path, number: int, line: Mapping[str, str]) -> SheetRow:
    cells: dict[str, Decimal | None] = {}
    for name in _NUMBERS:
        cell = _parse_number(line.get(name, ""))
        if cell is not None and not cell.is_finite():
            raise CliError(f"{path}, line {number}: {name} {line[name]!r} is not a number.", "Correct the cell.")
        if cell is not None and cell.adjusted() > _MAX_DIGITS:
            raise CliError(f"{path}, line {number}: {name} {line[name]!r} is too large.", "Correct the cell.")
        if name == "priority" and cell is not None and cell != int(cell):
            text = f"{path}, line {number}: priority {line[name]!r} is not a whole number."
            raise CliError(text, "Correct the cell: 1 is the first priority, 5 the last.")
        cells[name] = cell
    symbol = line.get("symbol", "").upper()
    if not symbol or (cells["trade_amount"] is None) == (cells["target_weight"] is None):
        raise CliError(f"{path}, line {number} needs a symbol and either trade_amount or target_weight.", _EXAMPLE)
    return SheetRow(
        symbol, cells["trade_amount"], cells["target_weight"], cells["current_value"], int(cells["priority"] or 1)
    )


def _parse_number(text: str) -> Decimal | None:
    """Return the number in a cell, without ``$`` and ``,``; a percentage as a fraction; NaN if it is not a number."""
    digits = text.replace(",", "").replace("$", "")
    try:
        number = Decimal(digits.rstrip("%")) if digits else None
        return number / 100 if number is not None and digits.endswith("%") else number
    except ArithmeticError:
        return Decimal("NaN")


# --- the plan --------------------------------------------------------------------------------------------


def plan_document(
    rows: Sequence[SheetRow],
    values: Mapping[str, Decimal | None],
    total: Decimal,
    plan_id: str,
    now: datetime,
    *,
    min_trade: Decimal,
) -> dict[str, Any]:
    """Return the plan document.

    Args:
        rows: lines of the sheet.
        values: current value of each symbol in dollars; None if unknown.
        total: portfolio value in dollars.
        plan_id: ID of the plan.
        now: timestamp of the plan.
        min_trade: dollars below which an item becomes a HOLD.
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
        target_value = (row.target_weight * total).quantize(_CENT, ROUND_HALF_EVEN)
        amount = target_value - value.quantize(_CENT, ROUND_HALF_EVEN)
    else:
        amount = row.trade_amount or ZERO
        target_value = max(value + amount, _CENT)  # 0 would mean a full exit, which a dollar amount does not request
    target = row.target_weight if row.target_weight is not None else target_value / total if total else ZERO
    target = min(max(target, ZERO), Decimal(1)).quantize(_WEIGHT_STEP, ROUND_HALF_EVEN)
    action = "HOLD" if abs(amount) < min_trade else "BUY" if amount > 0 else "SELL"
    return {
        "symbol": row.symbol,
        "action": action,
        "trade_amount": format_decimal(amount) if action != "HOLD" else "0",
        "current_weight": format_decimal(min(current, Decimal(1))),
        "target_weight": format_decimal(target),
        "weight_diff": format_decimal(target - min(current, Decimal(1))),
        "target_value": format_decimal(target_value),
        "current_value": format_decimal(value.quantize(_CENT, ROUND_HALF_EVEN)),
        "priority": row.priority,
    }


def _holdings(broker: Broker, symbols: Sequence[str]) -> tuple[Decimal, dict[str, Decimal]]:
    """Return the account's equity and the value of each held symbol at the midpoint, in dollars.

    Raises:
        CliError: a held symbol has no usable quote.
    """
    account, positions = broker.account(), broker.positions(symbols)
    held = [symbol for symbol in symbols if symbol in positions]
    quotes = broker.quotes(held) if held else {}
    unusable = [s for s in held if s not in quotes or quotes[s].problem is not None]
    if unusable:
        text = f"There is no usable quote of {' '.join(unusable)} to value the position."
        raise CliError(text, "Add the column current_value to the sheet, or try again.")
    return account.equity or account.cash, {s: positions[s].qty * quotes[s].mid for s in held}
