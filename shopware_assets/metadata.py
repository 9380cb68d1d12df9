"""What the UI shows of a table: columns with types, units and definitions, taken from contracts and answers."""

from collections.abc import Iterable, Mapping

import dagster as dg

from shopware_assets.contracts.contract import Carried, Column, Contract, Derived
from shopware_assets.contracts.tables import SYSTEM_COLUMNS, Table, bronze, rejected, silver
from shopware_assets.transforms.answer import Answer, Measure


def _schema(table: Table, described: Iterable[Column | Carried | Derived | Measure], verbatim: bool) -> dg.TableSchema:
    by_name = {column.name: column for column in described}

    def column(name: str) -> dg.TableColumn:
        about = by_name.get(name)
        text = getattr(about, "definition", None) or getattr(about, "description", None) or SYSTEM_COLUMNS.get(name)
        unit = "" if verbatim else getattr(about, "unit", "")
        description = " ".join(
            part for part in (text or "The window's place on disk.", f"[{unit}]" if unit else "") if part
        )
        tags = {"personal_data": ""} if getattr(about, "personal", False) else None
        constraints = dg.TableColumnConstraints(nullable=not getattr(about, "required", False) or verbatim)
        kind = "String" if verbatim and about else str(table.columns[name])
        return dg.TableColumn(name, kind, description=description, constraints=constraints, tags=tags)

    return dg.TableSchema([column(name) for name in table.columns])


def bronze_schema(contract: Contract) -> dg.TableSchema:
    return _schema(bronze(contract), contract.columns, verbatim=True)


def silver_schema(contract: Contract) -> dg.TableSchema:
    carried = [carried for reference in contract.references for carried in reference.carries]
    return _schema(silver(contract), [*contract.columns, *carried, *contract.derived], verbatim=False)


def rejected_schema(contract: Contract) -> dg.TableSchema:
    return _schema(rejected(contract), contract.columns, verbatim=True)


def answer_schema(answer: Answer) -> dg.TableSchema:
    return _schema(answer.table, answer.measures, verbatim=False)


def of_table(table: Table, schema: dg.TableSchema, **more: object) -> Mapping[str, object]:
    return {"dagster/column_schema": schema, "dagster/table_name": table.name, **more}
