"""What the stores sold: one definition of each figure, at three grains."""

from collections.abc import Callable, Mapping

import narwhals as nw

from shopware_assets.contracts.contract import Type
from shopware_assets.transforms.answer import Answer, Input, Measure
from shopware_assets.transforms.engine import Engine, exact

_DAY = "timestamp_date"

_KEYS = {
    "region": Measure("region", Type.STRING, "The store's region as it is now; `unknown` if the store is unknown."),
    "store_id": Measure("store_id", Type.INT, "The store."),
    "product_id": Measure("product_id", Type.INT, "The product."),
    _DAY: Measure(_DAY, Type.DATE, "The day the baskets were paid; of returns, the day of the return.", "UTC"),
}

_FIGURES = (
    Measure("gross_sales", Type.MONEY, "Sum of revenue of lines with quantity > 0, before discounts.", "money"),
    Measure("discounts", Type.MONEY, "Discounts of sales - discounts of returns; no discount is 0.", "money"),
    Measure("returns", Type.MONEY, "-(sum of revenue of lines with quantity < 0), on the day of the return.", "money"),
    Measure("net_sales", Type.MONEY, "gross_sales - discounts - returns.", "money"),
    Measure("units_sold", Type.INT, "Sum of quantity, returns subtracted.", "pieces"),
    Measure("transactions", Type.INT, "Distinct transaction_id.", "baskets"),
)

_MONEY = {figure.name: figure.name for figure in _FIGURES if figure.type is Type.MONEY}
_LINES, _PARTS = Input("pos_sales", (_DAY,)), Input("gold/sales_daily", (_DAY,))


def _daily(*key: str) -> Callable[[Mapping[str, nw.LazyFrame], Engine], nw.LazyFrame]:
    def compute(silver: Mapping[str, nw.LazyFrame], engine: Engine) -> nw.LazyFrame:
        sold, money = nw.col("sign") == 1, Type.MONEY.dtype
        nothing = nw.lit(0).cast(money)
        discount = nw.col("discount_applied").fill_null(nothing)
        lines = silver["pos_sales"].with_columns(
            _sold=nw.when(sold).then(nw.col("revenue")).otherwise(nothing),
            _discount=nw.when(sold).then(discount).otherwise(nothing - discount),
            _returned=nw.when(sold).then(nothing).otherwise(nothing - nw.col("revenue")),
        )
        daily = lines.group_by(*key).agg(
            gross_sales=nw.col("_sold").sum().cast(money),
            discounts=nw.col("_discount").sum().cast(money),
            returns=nw.col("_returned").sum().cast(money),
            units_sold=exact("quantity").sum().cast(Type.INT.dtype),
            transactions=nw.col("transaction_id").n_unique().cast(Type.INT.dtype),
        )
        net = nw.col("gross_sales") - nw.col("discounts") - nw.col("returns")
        return daily.with_columns(net_sales=net.cast(money))

    return compute


def _answer(
    name: str,
    description: str,
    grain: str,
    *key: str,
    inputs: tuple[Input, ...] = (_LINES, _PARTS),
    sum_of: Mapping[str, str] = _MONEY,
) -> Answer:
    return Answer(
        name=name,
        description=description,
        grain=grain,
        key=key,
        day=_DAY,
        measures=(*(_KEYS[column] for column in key), *_FIGURES),
        inputs=inputs,
        compute=_daily(*key),
        owner="team:sales",
        sum_of=sum_of,
    )


SALES_DAILY = _answer(
    "sales_daily",
    "What each store sold of each product, day by day.",
    "one row per region, store, product and day with a line",
    *("region", "store_id", "product_id", _DAY),
    inputs=(_LINES,),
    sum_of={"net_sales": "net_revenue"},
)
SALES_BY_REGION_DAILY = _answer(
    "sales_by_region_daily",
    "What the stores of each region sold, day by day.",
    "one row per region and day with a line",
    *("region", _DAY),
)
SALES_BY_PRODUCT_DAILY = _answer(
    "sales_by_product_daily",
    "What the stores sold of each product, day by day.",
    "one row per product and day with a line",
    *("product_id", _DAY),
)
