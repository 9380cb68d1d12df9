"""The watch: what there is to do now, for sensors and for `shopware settle` alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from resources.lake import Lake
from resources.landing import Landing
from resources.world import RulesResource
from sensors import healing, landing
from sensors.requests import Request
from shopware_assets.contracts import CONTRACTS
from shopware_assets.contracts.contract import Contract
from shopware_assets.partitions import Partitions
from shopware_assets.staleness import Survey
from shopware_assets.transforms.engine import Engine


def feeds() -> dict[str, list[Contract]]:
    """The tables of every feed, parents first."""
    by_feed: dict[str, list[Contract]] = {}
    for contract in CONTRACTS.values():
        by_feed.setdefault(contract.feed, []).append(contract)
    return by_feed


@dataclass(frozen=True)
class Watch:
    """Looks at landing and lake and says what has to be run."""

    lake: Lake
    landing: Landing
    engine: Engine
    rules: RulesResource
    partitions: Partitions

    def landed(self) -> Iterator[Request]:
        """What has landed and is not in bronze, of all feeds."""
        for contracts in feeds().values():
            listing = landing.list_new(self.lake, self.landing, contracts, "", seconds=float("inf"))
            yield from landing.wanted(listing.new, self.partitions, self.rules.starts_at)

    def stale(self) -> Iterable[Request]:
        """What is stale in silver, gold and serving."""
        survey = Survey(self.lake, self.engine, self.rules.reject_threshold)
        return healing.wanted(survey, self.partitions, self.rules.serves)
