"""Partitions: the windows as Dagster has them, with the names that contracts give them, up to a day ahead."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.tables import silver
from shopware_assets.contracts.windows import Grain
from shopware_assets.ledger import WHOLE
from shopware_assets.partitions import Partitions

START = datetime(2025, 1, 1, tzinfo=UTC)
PARTITIONS = Partitions(START)
AHEAD = timedelta(hours=24)


@pytest.mark.parametrize("grain", Grain)
def test_windows_reach_from_the_start_to_a_day_ahead(grain: Grain) -> None:
    before = grain.floor(datetime.now(UTC) + AHEAD)
    last = PARTITIONS.last(grain)
    assert before <= last <= grain.floor(datetime.now(UTC) + AHEAD)
    definition = PARTITIONS.of(grain)
    assert definition
    keys = definition.get_partition_keys()
    assert (keys[0], keys[-1]) == (grain.label(START), grain.label(last))
    assert keys[:50] == [grain.label(START + number * grain.length) for number in range(50)]


@pytest.mark.parametrize("grain", Grain)
def test_dagster_and_we_mean_the_same_time_by_a_name(grain: Grain) -> None:
    definition = PARTITIONS.of(grain)
    assert isinstance(definition, dg.TimeWindowPartitionsDefinition)
    for name in ("2025-03-30-02:00", "2025-10-26-01:00") if grain is Grain.HOUR else ("2025-03-30", "2025-10-26"):
        window = definition.time_window_for_partition_key(name)  # when clocks change elsewhere
        assert window.start == grain.parse(name)
        assert window.end - window.start == grain.length


def test_a_table_without_windows_has_no_partitions() -> None:
    products = silver(CONTRACTS["products"])
    assert PARTITIONS.of(products.grain) is None
    assert PARTITIONS.present(products, [WHOLE]) == {WHOLE}


@pytest.mark.parametrize("table", ["orders", "inventory"])
def test_windows_that_do_not_exist_are_not_asked_for(table: str) -> None:
    """Not yet, or never: from before the start."""
    of = silver(CONTRACTS[table])
    assert of.grain
    now = of.grain.floor(datetime.now(UTC))
    before, first = of.grain.label(START - of.grain.length), of.grain.label(START)
    there, ahead = of.grain.label(now), of.grain.label(now + 3 * AHEAD)
    assert PARTITIONS.present(of, [before, first, there, ahead]) == {first, there}
