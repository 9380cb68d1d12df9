"""A home may be called as its owner likes; a name below which tables cannot be stored is refused before it is made."""

from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from resources import lake
from shopware_assets_tests.end_to_end.shopware import Shopware

ROW = b'{"inventory_id": 1, "product_id": 1, "warehouse_id": 2, "stock_level": 3, "last_updated": 1748736939}'
NAME = """größe mit leer 雪😀/ 100%#a'b"{c};d:e,f@g~h+i&j$k!l(m)n<o>`p """
REFUSED = "[]^|\\=?*\t\n"


def settle(home: Path) -> list[dict[str, int]]:
    shopware = Shopware(home)
    shopware.drop("inventory/2025-06-01-00/1.jsonl", ROW)
    shopware("settle")
    shopware("ledger", "--settled")
    assert shopware.json("status")
    return shopware.json("sql", "select inventory_id, stock_level from gold.inventory_current order by 1")


@pytest.mark.long
def test_a_home_of_any_name(tmp_path: Path) -> None:
    assert settle(tmp_path / NAME) == [{"inventory_id": 1, "stock_level": 3}]


def test_tables_whose_files_are_named_as_deltalake_spells_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    monkeypatch.setattr(lake, "_NamedAsStored", DeltaTable)
    with pytest.raises((AssertionError, OSError, pl.exceptions.PolarsError)):
        settle(tmp_path / "größe mit leer")


@pytest.mark.parametrize("letter", REFUSED)
def test_a_home_that_cannot_hold_tables(letter: str, tmp_path: Path) -> None:
    home = tmp_path / f"a{letter}b"
    said = Shopware(home)("settle", code=2).stderr
    assert f"tables cannot be stored below a name with {letter!r}" in said
    assert not home.exists()


def test_a_home_with_what_looks_like_an_escaped_letter(tmp_path: Path) -> None:
    assert "a name with '%'" in Shopware(tmp_path / "a%20b")("settle", code=2).stderr
