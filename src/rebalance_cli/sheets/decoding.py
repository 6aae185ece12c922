"""Text of a CSV file: its encoding and its delimiter."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from rebalance_cli.exit_codes import CliError
from rebalance_cli.sheets.errors import SheetError

_SAVE_AS = "Save it as CSV UTF-8: File, Save As, CSV UTF-8 (comma delimited)."
_SPREADSHEETS = {b"PK\x03\x04": "a spreadsheet or another zip file", b"\xd0\xcf\x11\xe0": "a spreadsheet (.xls)"}
"""First bytes of files that spreadsheet programs write → what they are."""
_ENCODINGS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""Byte order mark → encoding."""
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a sheet as cells, with their numbers in the file; lines without any text are left out."""

    path: Path
    delimiter: str
    cells: tuple[tuple[int, tuple[str, ...]], ...]


def read_lines(path: Path) -> Lines:
    """Read the cells of a CSV file, delimited by commas, semicolons or tabs.

    Raises:
        CliError: the file cannot be read, or is no CSV file in UTF-8 or in UTF-16 with a byte order mark.
    """
    text = _read_text(path)
    first = next((line for line in text.splitlines() if line.strip(" \t,;\r")), None)
    if first is None:
        raise SheetError(path, "the file is empty", "The first line names the columns; each following line is a row.")
    delimiter = max(_DELIMITERS, key=lambda one: len(next(csv.reader([first], delimiter=one))))
    try:
        return Lines(path, delimiter, tuple(_lines(text, delimiter)))
    except csv.Error as error:
        raise SheetError(path, f"the file is not CSV: {error}", "Close every quote that is opened.") from None


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CliError(f"There is no file {path}.", "Check the name and the folder of the sheet.") from None
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}.", "Check the path and its permissions.") from None
    for start, kind in _SPREADSHEETS.items():
        if data.startswith(start):
            raise SheetError(path, f"the file is {kind}, not CSV", _SAVE_AS)
    encoding = next((name for mark, name in _ENCODINGS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise SheetError(path, "the file is not text in UTF-8", _SAVE_AS) from None
    if "\0" in text:  # UTF-16 without a byte order mark, UTF-32, or no text
        raise SheetError(path, "the file is not text in UTF-8", _SAVE_AS)
    return text


def _lines(text: str, delimiter: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    for cells in reader:
        stripped = tuple(cell.strip() for cell in cells)
        if any(stripped):
            yield reader.line_num, stripped
