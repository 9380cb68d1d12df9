"""Whatever lands: it never stops the other files, never vanishes, and the ledger says what became of it."""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from shopware_assets.bronze import ingest
from shopware_assets_tests.end_to_end.shopware import Shopware

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
READABLE = "record_readable"
FEEDS = {"inventory": "inventory", "orders": "shop/orders"}
LANDED = datetime(2025, 6, 1, 0, 30, tzinfo=UTC)
"""In the window of the rows, which are thus judged in the run that reads them."""
HEADER = "order_id,user_id,status,created_at,returned_at,shipped_at,delivered_at,num_of_item"


@dataclass(frozen=True)
class File:
    """A file under its feed's prefix, and what must become of it: rows accepted, rows rejected by their reasons, and
    what the ledger says of it: its outcome, and a note where a person needs one."""

    table: str
    name: str
    body: bytes
    accepted: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    outcome: str = "ingested"
    note: str | None = None

    @property
    def key(self) -> str:
        return f"{FEEDS[self.table]}/{self.name}"


def snapshot(name: str, number: int = 0, **fields: object) -> str:
    """A good record of inventory, of an id that no other file has."""
    record = {
        "inventory_id": (zlib.crc32(name.encode()) << 20) + number,
        "product_id": 1,
        "warehouse_id": 2,
        "stock_level": 3,
        "restock_threshold": 4,
        "last_updated": 1748736939,
        **fields,
    }
    return json.dumps(record)


def order(name: str, number: int = 0, **fields: str) -> str:
    """A good row of orders."""
    row = {"order_id": f"{name}-{number}", "user_id": "u1", "status": "shipped", "created_at": "2025-06-01T10:00:00"}
    row |= {"num_of_item": "1"} | fields
    return ",".join(row.get(column, "") for column in HEADER.split(","))


def unreadable(why: str) -> dict[str, Any]:
    return {"outcome": "unreadable", "reasons": {READABLE: 1}, "note": why}


def inventory_files() -> Iterator[File]:
    def lines(name: str, *between: bytes, **expected: Any) -> File:
        """Good records on the first and on the last line."""
        good = [snapshot(name, number).encode() for number in (0, 1)]
        expected = {"accepted": 2, "reasons": {READABLE: len(between)} if between else {}} | expected
        return File("inventory", name, b"\n".join([good[0], *between, good[1]]) + b"\n", **expected)

    def whole(name: str, body: bytes, **expected: Any) -> File:
        return File("inventory", name, body, **expected)

    good = [snapshot("utf16.jsonl", n) for n in (0, 1)]
    yield lines("good.jsonl")
    broken = "None of its records can be read."
    yield whole("null.json", b"null", outcome="unreadable", reasons={READABLE: 1}, note=broken)
    yield whole("zero.json", b"", outcome="empty")
    yield whole("blank.jsonl", b"\n \r\n\n", outcome="empty")
    yield whole("empty_array.json", b"[]", outcome="empty")
    yield whole("bom.jsonl", b"\xef\xbb\xbf" + snapshot("bom.jsonl").encode(), accepted=1)
    yield lines("nul.jsonl", snapshot("x", note="a\0b").replace("\\u0000", "\0").encode())
    yield lines("not_utf8.jsonl", b'{"inventory_id": 1, "note": "\xff\xfe"}')
    yield lines("surrogate.jsonl", b'{"inventory_id": 1, "note": "\\ud800"}')
    yield lines("long_line.jsonl", b'{"note": "' + b"x" * (1 << 20))
    yield whole("long_field.jsonl", snapshot("long_field.jsonl", note="x" * (1 << 20)).encode(), accepted=1)
    yield lines("deep.jsonl", b'{"note": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    yield lines("repeated_key.jsonl", b'{"stock_level": 1, ' + snapshot("x").encode()[1:])
    yield lines("no_object.jsonl", b"[1, 2]", b"504", b'"text"', b"null")
    yield lines("torn.jsonl", b'{"inventory_id": 1, "product_')
    yield lines("huge_number.jsonl", b'{"inventory_id": 1e400}')
    yield whole(
        "open_array.json", b"[" + snapshot("open_array.json").encode() + b', {"inv', accepted=1, reasons={READABLE: 1}
    )
    yield whole("array.json", f"[{snapshot('array.json')}, {snapshot('array.json', 1)}]".encode(), accepted=2)
    yield whole("spread.json", json.dumps(json.loads(snapshot("spread.json")), indent=2).encode(), accepted=1)
    yield whole("utf16.jsonl", "\n".join(good).encode("utf-16"), accepted=2)
    yield whole(
        "utf16_unmarked.jsonl",
        "\n".join(good).encode("utf-16-le"),
        **unreadable("It is not text: neither UTF-8 nor UTF-16 with a byte order mark."),
    )
    yield whole("crlf.jsonl", "".join(snapshot("crlf.jsonl", n) + "\r\n" for n in (0, 1)).encode(), accepted=2)
    yield whole("good.jsonl.gz", gzip.compress(snapshot("good.jsonl.gz").encode()), accepted=1)
    yield whole(
        "cut_short.jsonl.gz", gzip.compress(snapshot("x").encode() * 99)[:-20], **unreadable("Its gzip is cut short.")
    )
    yield whole("picture.json", PNG, **unreadable("It is a PNG picture, not text."))
    yield whole("odd name +%41 ü.json", snapshot("odd name").encode(), accepted=1)
    yield whole(
        "values.jsonl",
        "\n".join(
            [
                snapshot("values.jsonl", 0, stock_level="many"),
                snapshot("values.jsonl", 1, stock_level=-1, product_id=None),
                snapshot("values.jsonl", 2, colour="red"),
            ]
        ).encode(),
        accepted=1,
        reasons={"stock_level_parses": 1, "product_id_present,stock_level_not_negative": 1},
    )


def orders_files() -> Iterator[File]:
    def csv(name: str, *rows: bytes | str, header: str = HEADER, **expected: Any) -> File:
        encoded = [row.encode() if isinstance(row, str) else row for row in (header, *rows)]
        return File("orders", name, b"\n".join(encoded) + b"\n", **expected)

    def between(name: str, *rows: bytes | str, reasons: dict[str, int]) -> File:
        return csv(name, order(name, 0), *rows, order(name, 1), accepted=2, reasons=reasons)

    def whole(name: str, body: bytes, **expected: Any) -> File:
        return File("orders", name, body, **expected)

    short = "order_id,user_id,created_at,num_of_item"
    unused = "returned_at, shipped_at, delivered_at"
    yield csv("good.csv", order("good.csv", 0), order("good.csv", 1), accepted=2)
    yield whole("null.csv", b"null", **unreadable("Its header names none of the columns: 'null'."))
    yield whole("zero.csv", b"", outcome="empty")
    yield csv("header.csv", outcome="empty")
    yield whole("bom.csv", f"\ufeff{HEADER}\n{order('bom.csv')}\n".encode(), accepted=1)
    yield between("nul.csv", b"a\0b" + b"," * 7, reasons={READABLE: 1})
    yield between("not_utf8.csv", b"\xff\xfe" + b"," * 7, reasons={READABLE: 1})
    yield between("surrogate.csv", b"\xed\xa0\x80" + b"," * 7, reasons={READABLE: 1})
    yield between("ragged.csv", "one,two", "1,2,3,4,5,6,7,8,9", reasons={READABLE: 2})
    yield csv("long_field.csv", order("long_field.csv", user_id="x" * (1 << 20)), accepted=1)
    yield between("quote.csv", '"not closed,u1,shipped', reasons={READABLE: 1})
    yield csv("newline.csv", order('"newline.csv\nx"'.replace("-0", "")).replace('"-0', '-0"'), accepted=1)
    yield csv(
        "missing.csv",
        "missing.csv-0,u1,2025-06-01,1",
        header=short,
        reasons={"status_present": 1},
        note=f"Its header lacks status, {unused}.",
    )
    yield csv(
        "reordered.csv",
        "1,2025-06-01,shipped,u1,reordered.csv-0",
        header="num_of_item,created_at,status,user_id,order_id",
        accepted=1,
        note=f"Its header lacks {unused}.",
    )
    yield csv(
        "repeated.csv",
        order("repeated.csv") + ",x",
        header=f"{HEADER},status",
        **unreadable("Its header has a name twice: 'status'."),
    )
    yield csv("undeclared.csv", order("undeclared.csv") + ",red", header=f"{HEADER},colour", accepted=1)
    yield whole("utf16.csv", f"{HEADER}\n{order('utf16.csv')}\n".encode("utf-16"), accepted=1)
    yield whole("crlf.csv", f"{HEADER}\r\n{order('crlf.csv')}\r\n".encode(), accepted=1)
    yield whole("good.csv.gz", gzip.compress(f"{HEADER}\n{order('good.csv.gz')}\n".encode()), accepted=1)
    yield whole(
        "cut_short.csv.gz",
        gzip.compress(f"{HEADER}\n{order('x')}\n".encode() * 99)[:-20],
        **unreadable("Its gzip is cut short."),
    )
    yield whole("picture.csv", PNG, **unreadable("It is a PNG picture, not text."))
    yield between(
        "values.csv",
        order("values.csv", 2, status="teleported", num_of_item="0"),
        order("values.csv", 3, created_at="yesterday"),
        reasons={"status_known,num_of_item_positive": 1, "created_at_parses": 1},
    )


FILES = [*inventory_files(), *orders_files()]


@dataclass(frozen=True)
class Outcome:
    """A settled home, the ledger's line of each object, and the rejected rows."""

    shopware: Shopware
    lines: dict[str, dict[str, Any]]
    rejected: pl.DataFrame


def settled(shopware: Shopware, files: Sequence[File]) -> Outcome:
    for file in files:
        shopware.drop(file.key, file.body, LANDED)
    shopware("settle")
    lines = shopware.json("ledger", "--settled")
    rejected = [shopware.table(f"silver/{table}_rejected") for table in sorted({file.table for file in files})]
    kept = [rows.select("_source", "_reasons", "_corrupt", "_line") for rows in rejected]
    return Outcome(shopware, {line["object"]: line for line in lines if line["object"]}, pl.concat(kept))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """All files landed at once, good beside bad, and settled."""
    return settled(Shopware(tmp_path_factory.mktemp("bad_input")), FILES)


def assert_outcome(outcome: Outcome, file: File) -> None:
    line = outcome.lines[file.key]
    rejected = outcome.rejected.filter(pl.col("_source") == file.key)
    read = file.accepted + sum(file.reasons.values())
    assert (line["outcome"], line["read"], line["accepted"]) == (file.outcome, read, file.accepted)
    assert Counter(rejected["_reasons"]) == file.reasons
    assert line["balances"]
    unread = rejected.filter(pl.col("_reasons") == READABLE)
    assert unread["_corrupt"].null_count() == 0, "its text, or why there is none"
    assert line["note"] == file.note


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.key)
def test_every_file_ends_as_it_should(outcome: Outcome, file: File) -> None:
    assert_outcome(outcome, file)


def test_nothing_else_is_in_the_books(outcome: Outcome) -> None:
    assert set(outcome.lines) == {file.key for file in FILES}
    assert outcome.shopware.table("silver/orders").height == sum(f.accepted for f in FILES if f.table == "orders")


def test_missing_columns_are_told_of(outcome: Outcome) -> None:
    told = set(outcome.shopware.table("alerts")["id"].str.extract("columns:(.*):", 1).drop_nulls())
    assert told == {"shop/orders/missing.csv", "shop/orders/reordered.csv"}


@pytest.mark.long
def test_a_thirty_megabyte_array(shopware: Shopware) -> None:
    records = 200_000
    body = "[" + ",\n".join(snapshot("big", n, note="x" * 20) for n in range(records)) + "]"
    assert len(body) > 30 << 20
    file = File("inventory", "big.json", body.encode(), accepted=records)
    assert_outcome(settled(shopware, [file]), file)


def test_a_reader_that_trusts_files_would_fail(shopware: Shopware, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a plain reader in place of ours, and the good file beside the bad one is not done."""

    def trusting(chunks: Iterator[bytes], *_: object) -> Iterator[pl.DataFrame]:
        yield pl.read_ndjson(b"".join(chunks), schema=dict.fromkeys(json.loads(snapshot("x")), pl.String)).with_columns(
            _extra=None, _corrupt=None, _line=1
        )

    monkeypatch.setattr(ingest, "read_records", trusting)
    for file in FILES:
        if Path(file.name).name in ("good.jsonl", "torn.jsonl"):
            shopware.drop(file.key, file.body)
    shopware("settle", code=1)
    assert not shopware.exists("silver/inventory") or shopware.table("silver/inventory").is_empty()
