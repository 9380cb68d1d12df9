"""KPIs of the grocery marketplace, by hand."""

from shopware_assets.transforms.grocery import GROCERY_DAILY, GROCERY_DEPARTMENTS_DAILY
from shopware_assets_tests.transforms.rows import Row, computed, day, frame, money


def order(id: int, amount: str, on: int = 1) -> Row:
    return {"order_id": id, "total_amount": money(amount), "order_timestamp_date": day(on)}


def item(id: int, order_id: int, department: int, reordered: int, since: int | None, on: int = 1) -> Row:
    """A line; `on` is its order's day: its own may be another."""
    return {
        "id": id,
        "order_id": order_id,
        "department_id": department,
        "reordered": reordered,
        "days_since_prior_order": since,
        "order_date": day(on),
        "order_timestamp_date": day(9),
    }


INPUTS = {
    "grocery_orders": frame("grocery_orders", [order(1, "10.10"), order(2, "0.2"), order(3, "5", on=2)]),
    "grocery_order_items": frame(
        "grocery_order_items",
        [
            item(1, 1, 7, 1, 3),
            item(2, 1, 7, 0, 10),
            item(3, 1, 8, 1, None),
            item(4, 2, 7, 1, 4),
            item(5, 2, 8, 0, None),
        ],
    ),
}


def test_days() -> None:
    first, second = computed(GROCERY_DAILY, INPUTS).to_dicts()
    assert first == {
        "order_date": day(1),
        "orders": 2,
        "total_amount": money("10.3"),
        "items": 5,
        "reorder_rate": 3 / 5,
        "median_days_since_prior_order": 4,
        "average_basket_size": 2.5,
    }
    assert second == {
        "order_date": day(2),
        "orders": 1,
        "total_amount": money("5"),
        "items": 0,
        "reorder_rate": None,
        "median_days_since_prior_order": None,
        "average_basket_size": 0,
    }


def test_departments() -> None:
    seven, eight = computed(GROCERY_DEPARTMENTS_DAILY, INPUTS).to_dicts()
    assert seven == {
        "department_id": 7,
        "order_date": day(1),
        "orders": 2,
        "items": 3,
        "reorder_rate": 2 / 3,
        "median_days_since_prior_order": 4,
    }
    assert (eight["orders"], eight["items"], eight["reorder_rate"]) == (2, 2, 0.5)
    assert eight["median_days_since_prior_order"] is None, "no line has it"


def test_a_median_between_two_is_their_mean() -> None:
    items = frame("grocery_order_items", [item(1, 1, 7, 1, 3), item(2, 1, 7, 1, 4)])
    found = computed(GROCERY_DEPARTMENTS_DAILY, {"grocery_order_items": items})
    assert found["median_days_since_prior_order"].to_list() == [3.5]
