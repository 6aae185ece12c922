"""Sheets: a cell is read as it is written, or the error names its place and the fix."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from rebalance_cli.exit_codes import CliError
from rebalance_cli.sheets.columns import Column
from rebalance_cli.sheets.reader import Sheet, read_sheet

SHEET = "symbol,target_weight\nAAA,0.25\n"


def read(folder: Path, content: str | bytes) -> Sheet:
    path = folder / "sheet.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_sheet(path)


def problem(folder: Path, content: str | bytes) -> tuple[str, str]:
    with pytest.raises(CliError) as raised:
        read(folder, content)
    return raised.value.problem.removeprefix(f"{folder / 'sheet.csv'}"), raised.value.next_step


def amounts(sheet: Sheet) -> dict[str, str]:
    return {row.symbol: str(row.amount) for row in sheet.rows}


# --- files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_encodings_are_recognised(tmp_path: Path, encoding: str) -> None:
    assert amounts(read(tmp_path, SHEET.encode(encoding))) == {"AAA": "0.25"}


def test_big_endian_text_with_a_byte_order_mark_is_recognised(tmp_path: Path) -> None:
    assert amounts(read(tmp_path, b"\xfe\xff" + SHEET.encode("utf-16-be"))) == {"AAA": "0.25"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"PK\x03\x04rest of a zip file", "is a spreadsheet"),
        (b"\xd0\xcf\x11\xe0rest", "is a spreadsheet"),
        (SHEET.encode("utf-16-le"), "not text in UTF-8"),
        ("symbol,target_weight,größe\n".encode("latin-1"), "not text in UTF-8"),
        (b"\xff\xfeodd", "not text in UTF-8"),
    ],
)
def test_other_files_are_invalid_and_the_fix_says_how_to_save_them(tmp_path: Path, content: bytes, text: str) -> None:
    found, fix = problem(tmp_path, content)

    assert text in found
    assert "CSV UTF-8" in fix


@pytest.mark.parametrize("content", ["", "\n\n", " , ,\n"])
def test_empty_file_is_invalid(tmp_path: Path, content: str) -> None:
    assert problem(tmp_path, content)[0] == ": the file is empty."


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="There is no file"):
        read_sheet(tmp_path / "none.csv")
    with pytest.raises(CliError, match="cannot be read"):
        read_sheet(tmp_path)


def test_open_quote_is_invalid_instead_of_swallowing_lines(tmp_path: Path) -> None:
    assert "not CSV" in problem(tmp_path, 'symbol,target_weight\n"AAA,0.1\nBBB,0.2\n')[0]


# --- lines and columns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "Ticker;Weight\nAAA;0.25\n",
        "TICKER\tTarget Weight\nAAA\t0.25\n",
        "\n,,\n symbol , target-weight \n\nAAA,25%\n,\n",
        "symbol,target_weight\r\naaa,.25\r\n",
    ],
)
def test_delimiters_spellings_and_blank_lines_do_not_matter(tmp_path: Path, content: str) -> None:
    sheet = read(tmp_path, content)

    assert sheet.kind is Column.TARGET_WEIGHT
    assert [(row.symbol, row.amount) for row in sheet.rows] == [("AAA", Decimal("0.25"))]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("symbol,trade_amount,trade_amount", "trade_amount is there more than once"),
        ("symbol,trade_amount,Trade Amount", "more than once, as trade_amount and as Trade Amount"),
        ("ticker,symbol,trade_amount", "symbol is there more than once, as ticker and as symbol"),
        ("symbol,trade_amount,note,note", "note is there more than once"),
        ("symbol,weight,trade_amount", "both trade_amount and target_weight"),
        ("stock,amount", "it has stock, amount"),
        ("symbol,shares", "it has symbol, shares"),
    ],
)
def test_header_without_one_meaning_is_invalid(tmp_path: Path, header: str, text: str) -> None:
    assert text in problem(tmp_path, f"{header}\nAAA,1,2\n")[0]


@pytest.mark.parametrize("name", ["limit_price", "Limit Price", "action", "Side", "quantity", "stop-price"])
def test_column_that_asks_for_something_else_is_invalid(tmp_path: Path, name: str) -> None:
    assert f"the column {name} is not read" in problem(tmp_path, f"symbol,trade_amount,{name}\nAAA,1,2\n")[0]


def test_other_columns_are_named(tmp_path: Path) -> None:
    assert read(tmp_path, "symbol,trade_amount,Name,Sector,\nAAA,1,x,y,\n").notes == ("Name, Sector: not read",)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("AAA,9,000", "line 2: the line has 3 cells, the header has 2"),
        ("AAA", "line 2: the line has 1 cells, the header has 2"),
        (",5", "line 2, column symbol: the symbol is missing"),
        ("A B,5", "line 2, column symbol: 'A B' is not a symbol"),
        ("=A1,5", "line 2, column symbol: '=A1' is not a symbol"),
        ("\u0131bm,5", "line 2, column symbol: '\u0131bm' is not a symbol"),
        ("stra\u00dfe,5", "line 2, column symbol: 'stra\u00dfe' is not a symbol"),
        ("Total,55", "line 2: Total is a sum"),
        ("sum,55", "line 2: sum is a sum"),
        ("CASH,5", "line 2: cash is what the trades leave"),
        ("AAA,", "line 2, column trade_amount: the cell is empty"),
        ("BBB,1\nAAA,1\nbbb,2", "line 4: BBB is in line 2 already"),
    ],
)
def test_line_without_one_meaning_is_invalid(tmp_path: Path, line: str, text: str) -> None:
    assert text in problem(tmp_path, f"symbol,trade_amount\n{line}\n")[0]


def test_sheet_without_rows_is_invalid(tmp_path: Path) -> None:
    assert "no row" in problem(tmp_path, "symbol,trade_amount\n")[0]


# --- numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "dollars"),
    [
        ("900", "900"),
        ("-900.5", "-900.5"),
        ("$900", "900"),
        ("-$900", "-900"),
        ("$-900", "-900"),
        ('"1,500"', "1500"),
        ('"-$1,234,567.89"', "-1234567.89"),
        ("1.500", "1.500"),
        ("0.0001", "0.0001"),
    ],
)
def test_dollars_are_read_as_written(tmp_path: Path, cell: str, dollars: str) -> None:
    assert amounts(read(tmp_path, f"symbol,trade_amount\nAAA,{cell}\n")) == {"AAA": dollars}


@pytest.mark.parametrize(
    ("cell", "text", "fix"),
    [
        ('"900,50"', "has a decimal comma", "Write 900.50."),
        ('"1.500,00"', "has a decimal comma", "Write 1500.00."),
        ('"0,500"', "has a decimal comma", "Write 0.500."),
        ('"1,50,000"', "is not a number", "Write digits"),
        ("2000%", "is a percentage", "Write dollars"),
        ("(500)", "is in parentheses", "Write -500"),
        ("1E+05", "has an exponent", "Write all digits"),
        ("1e999999999999", "has an exponent", "Write all digits"),
        ("nan", "is not a number", "Write digits"),
        ("inf", "is not a number", "Write digits"),
        ("-", "is not a number", "Write digits"),
        ("1 500", "is not a number", "Write digits"),
        ("1_500", "is not a number", "Write digits"),
        ("−500", "is not a number", "Write digits"),
        ("٥٠٠", "is not a number", "Write digits"),
        ("€500", "is not a number", "Write digits"),
        ("500 USD", "is not a number", "Write digits"),
        ("1000000000000000", "is too large", "15 digits"),
    ],
)
def test_dollars_with_another_or_no_reading_are_invalid(tmp_path: Path, cell: str, text: str, fix: str) -> None:
    found, next_step = problem(tmp_path, f"symbol,trade_amount\nAAA,1\nBBB,{cell}\n")

    assert found.startswith(", line 3, column trade_amount: ")
    assert text in found
    assert fix in next_step


@pytest.mark.parametrize("cell", ["1.500", "-1.500", "12,345"])
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_one_separator_before_three_digits_has_two_readings_where_commas_are_decimal(
    tmp_path: Path, delimiter: str, cell: str
) -> None:
    found = problem(tmp_path, f"symbol{delimiter}trade_amount\nAAA{delimiter}{cell}\n")[0]

    assert "can be thousands or three decimals" in found


@pytest.mark.parametrize(
    ("cell", "weight"),
    [("0.25", "0.25"), ("25%", "0.25"), ("12.5 %", "0.125"), ("1", "1"), ("0", "0"), ("5e-05", "0.00005")],
)
def test_weights_are_fractions_or_percentages(tmp_path: Path, cell: str, weight: str) -> None:
    (row,) = read(tmp_path, f"symbol,weight\nAAA,{cell}\n").rows

    assert row.amount == Decimal(weight)


@pytest.mark.parametrize(
    ("cell", "text", "fix"),
    [
        ("30", "is above 1", "Write 0.3 or 30%."),
        ("2", "is above 1", "Write 0.02 or 2%."),
        ("1.01", "is above 1", "Write 0.0101 or 1.01%."),
        ("5000", "is above 1", "Write a fraction"),
        ("101%", "is more than the portfolio", "at most 100%"),
        ('"0,30"', "has a decimal comma", "Write 0.30."),
        ('"30,5%"', "has a decimal comma", "Write 30.5%."),
        ("-0.1", "is below 0", "Write 0."),
        ("$0.3", "is not a number", "Write digits"),
        ("nan", "is not a number", "Write digits"),
        ("1e5", "has an exponent", "Write all digits"),
    ],
)
def test_other_weights_are_invalid(tmp_path: Path, cell: str, text: str, fix: str) -> None:
    found, next_step = problem(tmp_path, f"symbol,weight\nAAA,{cell}\n")

    assert found.startswith(", line 2, column weight: ")
    assert text in found
    assert fix in next_step


@pytest.mark.parametrize("rows", ["AAA,0.6\nBBB,0.6", "AAA,0.6\nBBB,0.400002", "AAA,96%\nCASH,5%"])
def test_weights_above_the_portfolio_are_invalid(tmp_path: Path, rows: str) -> None:
    assert "more than the portfolio" in problem(tmp_path, f"symbol,weight\n{rows}\n")[0]


def test_rounded_weights_may_exceed_the_portfolio_by_a_millionth(tmp_path: Path) -> None:
    assert len(read(tmp_path, "symbol,weight\nAAA,0.6666667\nBBB,0.3333334\n").rows) == 2


def test_cash_row_is_what_stays_and_no_item(tmp_path: Path) -> None:
    sheet = read(tmp_path, "symbol,weight\nAAA,95%\nCash,5%\n")

    assert amounts(sheet) == {"AAA": "0.95"}
    assert sheet.cash_weight == Decimal("0.05")
    assert sheet.notes == ("CASH: 5% stays in cash; no order is sent for it",)


@pytest.mark.parametrize(
    ("rows", "total", "rest"),
    [("AAA,30%\nBBB,35%\nCASH,5%", "70%", "30%"), ("AAA,0.5", "50%", "50%"), ("AAA,0", "0%", "100%")],
)
def test_note_names_the_part_of_the_portfolio_that_the_sheet_leaves_out(
    tmp_path: Path, rows: str, total: str, rest: str
) -> None:
    note = read(tmp_path, f"symbol,weight\n{rows}\n").notes[-1]

    assert note.startswith(f"the weights sum to {total}; the other {rest} stays in cash")


@pytest.mark.parametrize("rows", ["AAA,100%", "AAA,95%\nCASH,5%", "AAA,0.3333333\nBBB,0.6666666"])
def test_no_note_about_the_sum_of_a_complete_sheet(tmp_path: Path, rows: str) -> None:
    assert [note for note in read(tmp_path, f"symbol,weight\n{rows}\n").notes if "sum" in note] == []


@pytest.mark.parametrize("priority", ["0", "6", "2.5", "1e10", "high"])
def test_priority_is_from_1_to_5(tmp_path: Path, priority: str) -> None:
    found = problem(tmp_path, f"symbol,trade_amount,priority\nAAA,1,{priority}\n")[0]

    assert "is not a whole number from 1 to 5" in found


def test_negative_current_value_is_invalid_and_an_empty_one_unknown(tmp_path: Path) -> None:
    sheet = "symbol,trade_amount,Market Value\nAAA,1,\nBBB,1,5\n"

    assert [row.current_value for row in read(tmp_path, sheet).rows] == [None, Decimal(5)]
    assert "short position" in problem(tmp_path, sheet + "CCC,1,-5\n")[0]
