"""Small workbooks: XLSX files as others write them, and another reading of them. Not here: what must become of them."""

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape


class Failed(str):
    """A cell whose formula has failed, as it shows: `#N/A`."""


Cell = str | Failed | int | float | bool | date | None
Rows = Sequence[Sequence[Cell]]

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_NUMBER, _DAY, _TIME = range(3)  # the looks of a cell
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><cellXfs count="3"><xf numFmtId="0"/>'
    '<xf numFmtId="14" applyNumberFormat="1"/><xf numFmtId="22" applyNumberFormat="1"/></cellXfs></styleSheet>'
)


def xlsx(sheets: Mapping[str, Rows], merged: Mapping[str, Sequence[str]] | None = None) -> bytes:
    """An XLSX of these sheets. `merged`: of a sheet the ranges that are one cell. Days and times are numbers."""
    names = {f"sheet{number}": name for number, name in enumerate(sheets, start=1)}
    entries = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
        + "".join(f'<Override PartName="/xl/{at}.xml" ContentType="{_TYPE}.worksheet+xml"/>' for at in names)
        + "</Types>",
        "_rels/.rels": _links({"book": ("officeDocument", "xl/workbook.xml")}),
        "xl/_rels/workbook.xml.rels": _links(
            {at: ("worksheet", f"{at}.xml") for at in names} | {"styles": ("styles", "styles.xml")}
        ),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        + "".join(
            f'<sheet name="{escape(name)}" sheetId="{number}" r:id="{at}"/>'
            for number, (at, name) in enumerate(names.items(), start=1)
        )
        + "</sheets></workbook>",
        "xl/styles.xml": _STYLES,
    }
    for at, name in names.items():
        entries[f"xl/{at}.xml"] = _sheet(sheets[name], (merged or {}).get(name, ()))
    return zipped(entries)


def zipped(entries: Mapping[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in entries.items():
            archive.writestr(zipfile.ZipInfo(path), text, zipfile.ZIP_DEFLATED)  # with the same time in it, always
    return file.getvalue()


def with_entry(book: bytes, path: str, text: str) -> bytes:
    """The workbook with another text in one of its entries."""
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        return zipped({name: archive.read(name).decode() for name in archive.namelist()} | {path: text})


def raw(path: Path) -> Iterator[tuple[str, list[dict[str, str | Decimal]]]]:
    """The sheets of a file of numbers and shared strings alone, straight from its XML: name, and rows by header."""
    with zipfile.ZipFile(path) as archive:

        def tree(name: str) -> ElementTree.Element:
            return ElementTree.fromstring(archive.read(name))

        shared = ["".join(item.itertext()) for item in tree("xl/sharedStrings.xml").iter(f"{{{_MAIN}}}si")]
        names = [sheet.attrib["name"] for sheet in tree("xl/workbook.xml").iter(f"{{{_MAIN}}}sheet")]
        for number, name in enumerate(names, start=1):
            rows: list[dict[str, str | Decimal]] = []
            for row in tree(f"xl/worksheets/sheet{number}.xml").iter(f"{{{_MAIN}}}row"):
                cells: dict[str, str | Decimal] = {}
                for cell in row:
                    value = cell.findtext(f"{{{_MAIN}}}v")
                    if value is not None:
                        column = cell.attrib["r"].rstrip("0123456789")
                        cells[column] = shared[int(value)] if cell.get("t") == "s" else Decimal(value)
                rows.append(cells)
            header, *lines = rows
            yield name, [{str(header[column]): value for column, value in line.items()} for line in lines]


def _links(links: Mapping[str, tuple[str, str]]) -> str:
    inner = "".join(
        f'<Relationship Id="{id}" Type="{_OFFICE}/{kind}" Target="{target}"/>' for id, (kind, target) in links.items()
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{inner}</Relationships>'


def _sheet(rows: Rows, merged: Sequence[str]) -> str:
    lines = "".join(
        f'<row r="{number}">{"".join(_cell(f"{chr(65 + at)}{number}", cell) for at, cell in enumerate(row))}</row>'
        for number, row in enumerate(rows, start=1)
    )
    ranges = "".join(f'<mergeCell ref="{ref}"/>' for ref in merged)
    merges = f"<mergeCells>{ranges}</mergeCells>" if merged else ""
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{lines}</sheetData>{merges}</worksheet>'


def _cell(at: str, value: Cell) -> str:
    match value:
        case None:
            return ""
        case bool():
            return f'<c r="{at}" t="b"><v>{value:d}</v></c>'
        case Failed():
            return f'<c r="{at}" t="e"><v>{value}</v></c>'
        case str():
            return f'<c r="{at}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
        case datetime():
            return f'<c r="{at}" s="{_TIME}"><v>{(value - datetime(1899, 12, 30)) / timedelta(days=1)!r}</v></c>'
        case date():
            return f'<c r="{at}" s="{_DAY}"><v>{(value - date(1899, 12, 30)).days}</v></c>'
    return f'<c r="{at}" s="{_NUMBER}"><v>{value!r}</v></c>'
