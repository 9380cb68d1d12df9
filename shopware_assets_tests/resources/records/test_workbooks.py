"""Workbooks against their own XML, and every way in which one of them or one of its sheets can be odd."""

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from string import ascii_uppercase
from typing import Any

import fastexcel
import pytest

from resources.records import Unreadable, limits, sheets
from shopware_assets_tests.resources.records.reading import texts
from shopware_assets_tests.workbook import Cell, Failed, Rows, raw, with_entry, xlsx, zipped

HEADER = ["a", "b", "c"]
TWO = xlsx({"one": [HEADER, [1, 2, 3]], "two": [HEADER, [4, 5, 6]]})


def cells(book: bytes, *cuts: int) -> dict[str, list[Any] | str]:
    """The rows of each sheet, as short as they can be, or why it cannot be read."""
    found: dict[str, list[Any] | str] = {}
    chunks = [book[start:end] for start, end in zip((0, *cuts), (*cuts, len(book)), strict=True)]
    for name, text in sheets(chunks):
        try:
            found[name] = texts(b"".join(text), "csv")
        except Unreadable as error:
            found[name] = str(error)
    return found


def one(rows: Rows, *merged: str) -> list[Any] | str:
    return cells(xlsx({"one": rows}, {"one": merged}))["one"]


# --- the real ones ----------------------------------------------------------------------------------------------------

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "grocery"


def plain(number: Decimal) -> str:
    return f"{round(number, 9).normalize():f}"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"the real sample is not there: {SAMPLE}")
@pytest.mark.parametrize(
    ("name", "rows"),
    [("orders_apr_2025", 7_500), pytest.param("order_items_apr_2025", 40_803, marks=pytest.mark.long)],
)
def test_every_value_of_the_real_workbooks_is_what_their_xml_says(name: str, rows: int) -> None:
    """Numbers to nine decimals: beyond them they are what a double makes of 89.68."""
    path, count = SAMPLE / f"{name}.xlsx", 0
    expected = dict(raw(path))
    columns = list(expected["2025-04-01"][0])
    assert list(expected) == [f"2025-04-{day:02}" for day in range(1, 16)]
    for sheet, text in sheets([path.read_bytes()]):
        found = texts(b"".join(text), "csv", columns)
        said = [[line.get(column, "") for column in columns] for line in expected.pop(sheet)]
        assert len(found) == len(said)
        for line, cells in zip(found, said, strict=True):
            assert line == tuple(value if isinstance(value, str) else plain(value) for value in cells)
        count += len(found)
    assert (expected, count) == ({}, rows)


# --- sheets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(), (1,), (2, 3), (100,)])
def test_a_workbook_is_as_many_csvs_as_it_has_sheets(cuts: Sequence[int]) -> None:
    assert cells(TWO, *cuts) == {"one": [("1", "2", "3")], "two": [("4", "5", "6")]}


@pytest.mark.parametrize("data", [b"", b"P", b"PK", b"a,b,c\n1,2,3\n", b"\x1f\x8b", b"PK,b\n"])
def test_what_is_no_workbook_stays_as_it_is(data: bytes) -> None:
    for chunks in ([data], [data[:1], data[1:]], [data[at : at + 1] for at in range(len(data))]):
        ((name, text),) = sheets(chunks)
        assert (name, b"".join(text)) == ("", data)


def test_cells_have_their_values_and_not_their_looks() -> None:
    rows: dict[tuple[Cell, ...], tuple[str, ...]] = {
        (1, 2.5, -3): ("1", "2.5", "-3"),
        (229.53, 0.1, 1e15): ("229.53", "0.1", "1000000000000000"),
        (date(2025, 4, 1), datetime(2025, 4, 1, 18, 22, 9), 45748): (
            *("2025-04-01 00:00:00", "2025-04-01 18:22:09", "45748"),
        ),
        (date(2024, 2, 29), datetime(2025, 4, 1, 23, 59, 59), None): ("2024-02-29 00:00:00", "2025-04-01 23:59:59", ""),
        (" x ", 'a "b", c', "007"): (" x ", 'a "b", c', "007"),
        (True, "1\n2", "Größe & <b>"): ("true", "1\n2", "Größe & <b>"),
    }
    assert one([HEADER, *rows]) == list(rows.values())


@pytest.mark.parametrize("money", ["0.01", "229.53", "0.0001", "99999.9999", "12345678901.23"])
def test_money_is_exact_to_its_last_digit(money: str) -> None:
    found = one([HEADER, [float(money), None, None]])
    assert round(Decimal(found[0][0]), 4) == Decimal(money)


def test_rows_without_a_value_are_no_records() -> None:
    assert one([HEADER, [None, None, None], [1, 2, 3], ["", " ", None], [4, None, ""]]) == [
        *(("1", "2", "3"), ("4", "", ""))
    ]
    assert one([[], [], HEADER, [1, 2, 3]]) == [("1", "2", "3")]


@pytest.mark.parametrize("rows", [[], [[]], [[None, "", " "]], [HEADER], [[], HEADER, []]])
def test_a_sheet_without_rows_has_none(rows: Rows) -> None:
    assert one(rows) == []


def test_columns_go_by_their_names() -> None:
    assert one([["c", "more", "a"], [3, 9, 1]]) == [("1", None, "3", {"more": "9"})]


@pytest.mark.parametrize(
    ("rows", "merged", "why"),
    [
        ([["Orders of April", None, None], HEADER, [1, 2, 3]], "A1:C1", "name twice: ''"),
        ([["a", "b", "a"], [1, 2, 3]], "", "name twice: 'a'"),
        ([["x", "y"], [1, 2]], "", "none of the columns"),
        ([[1, 2, 3], [4, 5, 6]], "", "none of the columns"),  # no header
    ],
    ids=["a merged header", "a name twice", "other columns", "no header"],
)
def test_a_sheet_that_cannot_be_used_stops_no_other(rows: Rows, merged: str, why: str) -> None:
    found = cells(xlsx({"odd": rows, "fine": [HEADER, [1, 2, 3]]}, {"odd": [merged]} if merged else None))
    assert why in found["odd"]
    assert found["fine"] == [("1", "2", "3")]


def test_a_merged_name_is_that_of_its_first_column() -> None:
    assert one([["a", None, "c"], [1, 2, 3]], "A1:B1") == [("1", None, "3", {"": "2"})]


def test_a_damaged_sheet_stops_no_other() -> None:
    found = cells(with_entry(TWO, "xl/sheet1.xml", "<worksheet><sheetData><row><c"))
    assert found == {"one": found["one"], "two": [("4", "5", "6")]}
    assert str(found["one"]).startswith("The sheet cannot be read: ")


# --- whole workbooks --------------------------------------------------------------------------------------------------

LOCKED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)


@pytest.mark.parametrize(
    ("book", "why"),
    [
        (TWO[:-30], "damaged workbook"),
        (TWO[: len(TWO) // 2], "damaged workbook"),
        (b"PK\x03\x04", "damaged workbook"),
        (zipped({"a.txt": "hello"}), "another kind of ZIP archive"),
        (with_entry(TWO, "xl/workbook.xml", "<"), "damaged workbook"),
        (xlsx({}), "without sheets"),
        (
            with_entry(
                TWO,
                "xl/workbook.xml",
                '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
                ' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>'
                '<sheet name="x" sheetId="1" r:id="sheet1"/><sheet name="x" sheetId="2" r:id="sheet2"/>'
                "</sheets></workbook>",
            ),
            "two of one name",
        ),
    ],
)
def test_a_workbook_that_cannot_be_read_says_why(book: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        cells(book)


@pytest.mark.parametrize(("far", "is_read"), [("B9999", True), ("AZ99", True), ("XFD9999", False)])
def test_a_sheet_with_a_cell_far_away_is_not_read(far: str, is_read: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is held as a table: in the last cell there can be, that would be one of 400 GB."""
    row = far.lstrip(ascii_uppercase)
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        f'<row r="1"><c r="A1"><v>1</v></c></row><row r="{row}"><c r="{far}"><v>2</v></c></row></sheetData></worksheet>'
    )
    book = with_entry(TWO, "xl/sheet1.xml", sheet)
    for step in (limits.STEP_BYTES, *range(140, 190, 5)):  # wherever a step ends
        monkeypatch.setattr(limits, "STEP_BYTES", step)
        if is_read:
            assert len(cells(book)) == 2
        else:
            with pytest.raises(Unreadable, match=r"^It has a cell in row 9,999 and one in column 16,384: "):
                cells(book)


def test_a_locked_workbook_says_that_it_is() -> None:
    assert "a locked Office document" in cells(LOCKED)[""]


def test_a_cell_whose_formula_has_failed_says_so() -> None:
    shown = ["#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"]
    book = [[None, None, None], HEADER, *([number, None, Failed(text)] for number, text in enumerate(shown))]
    assert one(book) == [(str(number), "", text) for number, text in enumerate(shown)]
    assert one([HEADER, [Failed("#N/A"), 1, Failed("#REF!")]]) == [("#N/A", "1", "#REF!")]


def test_damage_anywhere_is_told_and_never_a_crash() -> None:
    random, outcomes = Random(1), set[type]()
    for _ in range(600):
        book = bytearray(TWO)
        for _ in range(random.choice((1, 2, 5))):
            book[random.randrange(4, len(book))] = random.randrange(256)
        try:
            outcomes |= {type(found) for found in cells(bytes(book)).values()}
        except Unreadable as error:
            outcomes.add(type(error))
    assert outcomes == {list, Unreadable}


def told_smaller(book: bytes) -> bytes:
    """The archive of one entry, whose headers tell the size and checksum of its first million bytes."""
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        (entry,) = archive.infolist()
        data = archive.read(entry)
    true, told = struct.pack("<L", entry.file_size), struct.pack("<L", 1_000_000)
    crc, of_the_beginning = (struct.pack("<L", zlib.crc32(text)) for text in (data, data[:1_000_000]))
    assert (book.count(true), book.count(crc)) == (2, 2)
    return book.replace(true, told).replace(crc, of_the_beginning)


def in_two_directories(book: bytes) -> bytes:
    """The archive with a comment that is, to some, the end of a directory of nothing."""
    nothing = struct.pack("<4s4H2LH", b"PK\5\6", 0, 5, 0, 0, 0, 0, 0)
    return book[:-2] + struct.pack("<H", len(nothing)) + nothing


def test_an_archive_that_lies_about_sizes_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped({"xl/media/image.png": "0" * 5_000_000})
    assert len(bomb) < 20_000
    lie = told_smaller(bomb)
    with zipfile.ZipFile(io.BytesIO(lie)) as archive:
        assert len(archive.read("xl/media/image.png")) == 1_000_000, "with a checksum that fits"
    monkeypatch.setattr(limits, "UNZIPPED_BYTES", 3 << 20)
    for book in (bomb, lie):
        with pytest.raises(Unreadable, match="a workbook of more than 3 MB when unzipped"):
            cells(book)
    monkeypatch.setattr(limits, "UNZIPPED_BYTES", 5_000_000)
    for book in (bomb, lie):
        with pytest.raises(Unreadable, match="damaged workbook or another kind"):
            cells(book)


def test_what_is_read_is_what_was_counted() -> None:
    assert fastexcel.read_excel(in_two_directories(TWO)).sheet_names == ["one", "two"], "which `zipfile` does not see"
    with pytest.raises(Unreadable, match="damaged workbook"):
        cells(in_two_directories(TWO))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_of_another_method_is_not_unzipped(method: int) -> None:
    """Of these, Python inflates without a limit what some kilobytes hold."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(Unreadable, match=r"a\.txt is compressed by another method"):
        cells(file.getvalue())


def test_a_locked_archive_says_that_it_is() -> None:
    locked = zipped({"a.txt": "a"}).replace(b"\x14\0\0\0\x08\0", b"\x14\0\x01\0\x08\0")
    with pytest.raises(Unreadable, match="encrypted"):
        cells(locked)


def test_a_workbook_has_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(cells(TWO)) == 2, "the control"
    monkeypatch.setattr(limits, "WORKBOOK_BYTES", len(TWO))
    assert len(cells(TWO, 10)) == 2, "the control"
    monkeypatch.setattr(limits, "WORKBOOK_BYTES", len(TWO) - 1)
    with pytest.raises(Unreadable, match="a workbook of more than 0 MB"):
        cells(TWO, 10)
    assert len(cells(b"a,b,c\n" + b"1,2,3\n" * 1_000)[""]) == 1_000, "text has others"
