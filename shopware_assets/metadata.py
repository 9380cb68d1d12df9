"""What the UI shows of a table: columns with types, units and definitions, taken from contracts and answers."""

from collections.abc import Collection, Iterable, Mapping

import dagster as dg
import narwhals as nw

from shopware_assets.contracts.contract import Carried, Column, Contract, Derived, Type
from shopware_assets.contracts.tables import SYSTEM_COLUMNS, Table, bronze, rejected, silver
from shopware_assets.serving.tables import Served
from shopware_assets.transforms.answer import Answer, Measure


def _schema(
    table: Table,
    described: Iterable[Column | Carried | Derived | Measure],
    *,
    key: tuple[str, ...] = (),
    verbatim: bool = False,
) -> dg.TableSchema:
    by_name = {column.name: column for column in described}

    def column(name: str) -> dg.TableColumn:
        about = by_name.get(name)
        text = getattr(about, "definition", None) or getattr(about, "description", None) or SYSTEM_COLUMNS.get(name)
        if text is None:  # not of the row, but of its window
            text = f"The {'hour' if name.endswith('_hour') else 'day'} of the row's window, by which it is laid out."
        unit = "" if verbatim else getattr(about, "unit", "")
        if values := getattr(about, "values", ()):
            text = f"{text} One of {', '.join(values)}."
        description = f"{text} [{unit}]" if unit else text
        tags = {"personal_data": ""} if getattr(about, "personal", False) else None
        constraints = _constraints(name, key, required=not verbatim and getattr(about, "required", False))
        kind = _type_name(table.columns[name])
        return dg.TableColumn(name, kind, description=description, constraints=constraints, tags=tags)

    return dg.TableSchema([column(name) for name in table.columns])


def _constraints(name: str, key: Collection[str], *, required: bool) -> dg.TableColumnConstraints:
    return dg.TableColumnConstraints(
        nullable=not required and name not in key,
        unique=name in key and len(key) == 1,
        other=["part of the key"] if name in key and len(key) > 1 else [],
    )


def _type_name(dtype: nw.dtypes.DType) -> str:
    """A type as SQL calls it."""
    match dtype:
        case nw.Decimal():
            return f"decimal({dtype.precision},{dtype.scale})"
        case nw.Datetime():
            return "timestamp"
    return _TYPE_NAMES[type(dtype)]


_TYPE_NAMES: dict[type[nw.dtypes.DType], str] = {
    nw.String: "string",
    nw.Int32: "int",
    nw.Int64: "bigint",
    nw.Float64: "double",
    nw.Date: "date",
}


def bronze_schema(contract: Contract) -> dg.TableSchema:
    return _schema(bronze(contract), contract.columns, verbatim=True)


def silver_schema(contract: Contract) -> dg.TableSchema:
    carried = [carried for reference in contract.references for carried in reference.carries]
    return _schema(silver(contract), [*contract.columns, *carried, *contract.derived], key=contract.key)


def rejected_schema(contract: Contract) -> dg.TableSchema:
    return _schema(rejected(contract), contract.columns, verbatim=True)


def answer_schema(answer: Answer) -> dg.TableSchema:
    return _schema(answer.table, answer.measures, key=answer.key)


def served_schema(served: Served, answer: Answer) -> dg.TableSchema:
    """Attributes of an item, with the types that DynamoDB knows."""
    measures = {measure.name: measure for measure in answer.measures}

    def attribute(name: str, column: str) -> dg.TableColumn:
        measure = measures[column]
        kind = "string" if measure.type in (Type.STRING, Type.DATE) else "number"
        same = "" if name == column else f" It is `{column}` of gold.{answer.name}."
        unit = f" [{measure.unit}]" if measure.unit else ""
        constraints = _constraints(name, served.lookup.key, required=False)
        return dg.TableColumn(name, kind, description=f"{measure.definition}{same}{unit}", constraints=constraints)

    return dg.TableSchema([attribute(name, column) for name, column in served.attributes.items()])


def of_table(table: Table, schema: dg.TableSchema, **more: object) -> Mapping[str, object]:
    return {"dagster/column_schema": schema, "dagster/table_name": table.name, **more}
