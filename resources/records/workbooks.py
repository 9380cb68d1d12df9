"""Workbooks: an XLSX is as many CSVs as it has sheets, each read as if it had been saved as one.

Not here: what a record of them is (`csv_records`).
"""

import io
import re
import sys
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain

import fastexcel
import polars as pl

from resources.records import limits
from resources.records.text import Unreadable

_ZIP = b"PK\x03\x04"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)  # encrypted: a RuntimeError
_ROW, _WIDE = re.compile(rb"""\br=["'](\d{1,7})["']"""), re.compile(rb"""\br=["']([A-Z]{2,3})\d""")
_REFERENCE_BYTES = 16  # where a step ends within one, it is seen with the next
_NARROW = 26  # columns of one letter
_SHOWN = {"Div0": "#DIV/0!", "NA": "#N/A", "Name": "#NAME?", "Null": "#NULL!", "Num": "#NUM!", "Ref": "#REF!"}


def sheets(chunks: Iterable[bytes]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The sheets of an object: name and text; an object that is no workbook is one sheet without a name.

    Cells have their values, not their looks: times are ISO 8601, whole numbers have no decimals; what could not be
    computed is called as it shows, `#N/A`. Rows without a value are left out, as blank lines are. A workbook is held
    whole, its sheets one at a time.

    Raises:
        Unreadable: It is a damaged workbook, another kind of archive, or too large; from the text, a damaged sheet.
    """
    chunks = iter(chunks)
    head = next(chunks, b"")
    while len(head) < len(_ZIP) and (more := next(chunks, b"")):
        head += more
    if not head.startswith(_ZIP):
        yield "", chain([head], chunks)
        return
    book = _opened(_whole(chain([head], chunks)))
    for name in book.sheet_names:
        yield name, _text(book, name)


def _text(book: fastexcel.ExcelReader, name: str) -> Iterator[bytes]:
    try:
        rows, errors = book.load_sheet(name, header_row=None, dtypes="string").to_arrow_with_errors()
    except fastexcel.FastExcelError as error:
        raise Unreadable(f"The sheet cannot be read: {_first_line(error)}.") from None
    sheet = pl.DataFrame(rows)
    failed: dict[int, dict[int, str]] = defaultdict(dict)
    for cell in errors.errors if errors else ():
        row, column = cell.position
        failed[column][row] = _shown(cell.detail)
    for column, shown in failed.items():
        sheet = sheet.with_columns(sheet.to_series(column).scatter([*shown], [*shown.values()]))
    if sheet.width:
        empty = pl.all_horizontal(pl.all().fill_null("").str.strip_chars() == "")
        yield sheet.filter(~empty).write_csv(include_header=False, quote_style="always").encode()


def _shown(detail: str) -> str:
    kind = detail.rpartition("Error(")[2].rstrip("')")
    return _SHOWN.get(kind, f"#{kind.upper()}!")


def _whole(chunks: Iterable[bytes]) -> bytes:
    held = io.BytesIO()
    for chunk in chunks:
        held.write(chunk)
        if held.tell() > limits.WORKBOOK_BYTES:
            raise Unreadable(f"It is a workbook of more than {limits.WORKBOOK_BYTES >> 20} MB.")
    return held.getvalue()


def _opened(data: bytes) -> fastexcel.ExcelReader:
    try:
        book = fastexcel.read_excel(_unzipped(data))
    except (*_DAMAGE, fastexcel.FastExcelError) as error:
        why = _first_line(error)
        raise Unreadable(f"It is a damaged workbook or another kind of ZIP archive, not text: {why}.") from None
    if not book.sheet_names or len({*book.sheet_names}) < len(book.sheet_names):
        raise Unreadable("It is a workbook without sheets, or with two of one name.")
    return book


def _unzipped(data: bytes) -> bytes:
    """The archive without compression.

    Its directory may lie about sizes, and the reader may find another one in it than `zipfile` does: so it is given
    what was counted, not what was sent. A sheet is held with all cells up to its last, so one far away is too many.
    """
    plain, left, most = io.BytesIO(), limits.UNZIPPED_BYTES, limits.UNZIPPED_BYTES >> 20
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(plain, "w") as copy:
        for name, entry in {entry.filename: entry for entry in archive.infolist()}.items():
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                # Its parts can be huge: of other methods `zipfile` unzips all that it reads, at once.
                raise zipfile.BadZipFile(f"{name} is compressed by another method than Deflate")
            entry.file_size = sys.maxsize  # it is read until it really ends
            rows, columns, end = 1, _NARROW, b""
            with archive.open(entry) as packed, copy.open(name, "w") as part:
                while chunk := packed.read(limits.STEP_BYTES):
                    if (left := left - len(chunk)) < 0:
                        raise Unreadable(f"It is a workbook of more than {most} MB when unzipped.")
                    part.write(chunk)
                    seen, end = end + chunk, chunk[-_REFERENCE_BYTES:]
                    rows = max([rows, *map(int, _ROW.findall(seen))])
                    columns = max([columns, *map(_column, {*_WIDE.findall(seen)})])
            if rows * columns > limits.SHEET_CELLS:
                raise Unreadable(
                    f"It has a cell in row {rows:,} and one in column {columns:,}: is one there by mistake?"
                )
    return plain.getvalue()


def _column(letters: bytes) -> int:
    """Which column these letters name: `AA` is 27."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
