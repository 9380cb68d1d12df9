"""Point of sale: what the stores sell and take back."""

from decimal import Decimal

import narwhals as nw

from shopware_assets.contracts.contract import (
    Carried,
    Column,
    Contract,
    Derived,
    Reference,
    Rule,
    Severity,
    Type,
)
from shopware_assets.contracts.windows import Grain

_quantity, _revenue, _discount = nw.col("quantity"), nw.col("revenue"), nw.col("discount_applied")
_given_back = _discount.fill_null(Decimal(0))
_adds_up = (_given_back >= 0) & (_given_back <= _revenue.abs())
"""Of other rows, which are rejected, the difference may be more than money can be."""

POS_SALES = Contract(
    name="pos_sales",
    feed="pos",
    prefix="pos",
    layout="csv",
    description="One row per line of a basket, a sale or a return.",
    columns=(
        Column("transaction_id", Type.STRING, "The basket.", required=True),
        Column("store_id", Type.INT, "The store.", required=True),
        Column("product_id", Type.INT, "The product.", required=True),
        Column(
            "quantity",
            Type.INT,
            "Pieces sold; negative, pieces brought back.",
            required=True,
            unit="pieces",
            rules=(Rule("quantity_not_zero", "`quantity` is not 0.", _quantity == 0),),
        ),
        Column(
            "revenue",
            Type.MONEY,
            "What the pieces cost before the discount; negative for a return.",
            required=True,
            unit="money",
            rules=(
                Rule(
                    "revenue_agrees_with_quantity",
                    "`revenue` has the sign of `quantity`, or is 0.",
                    ((_quantity > 0) & (_revenue < 0)) | ((_quantity < 0) & (_revenue > 0)),
                ),
            ),
        ),
        Column(
            "discount_applied",
            Type.MONEY,
            "What was taken off, of a return what had been.",
            unit="money",
            rules=(
                Rule("discount_not_negative", "`discount_applied` is 0 or more.", _discount < 0),
                Rule(
                    "discount_not_above_revenue",
                    "`discount_applied` is at most `revenue`, whatever its sign.",
                    _discount > _revenue.abs(),
                ),
            ),
        ),
        Column("timestamp", Type.TIME, "When the basket was paid.", required=True, unit="UTC"),
    ),
    key=("transaction_id", "product_id", "sign"),
    event_time="timestamp",
    grain=Grain.DAY,
    newest_by=nw.col("timestamp"),
    references=(
        Reference(
            "store_known",
            "The store of the line is in the table of stores.",
            column="store_id",
            parent="stores",
            parent_key="store_id",
            carries=(Carried("region", Type.STRING, "The region of its store as it is now.", "region", "unknown"),),
            severity=Severity.WARN,
        ),
    ),
    derived=(
        Derived(
            "sign",
            Type.INT,
            "1 for a sale, -1 for a return.",
            nw.when(_quantity > 0).then(nw.lit(1)).otherwise(nw.when(_quantity < 0).then(nw.lit(-1))).cast(nw.Int64),
        ),
        Derived(
            "net_revenue",
            Type.MONEY,
            "revenue - discount_applied of a sale, revenue + discount_applied of a return; no discount is 0.",
            nw.when(_adds_up & (_quantity > 0) & (_revenue >= 0))
            .then(_revenue - _given_back)
            .otherwise(nw.when(_adds_up & (_quantity < 0) & (_revenue <= 0)).then(_revenue + _given_back))
            .cast(Type.MONEY.dtype),
            unit="money",
        ),
    ),
    owner="team:sales",
)
