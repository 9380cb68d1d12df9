"""The watch: what there is to do now, for sensors and for `shopware settle` alike."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from resources.lake import Lake
from resources.landing import Landing
from resources.notifications import Notifications
from resources.world import RulesResource
from sensors import alerts, healing, landing
from sensors.requests import ATTEMPTS, Asked, Request, admit, failing
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
            found = landing.look(self.lake, self.landing, contracts, "", seconds=float("inf"))
            yield from landing.ingestions(found.new, self.partitions, self.rules.starts_at)

    def stale(self) -> Iterable[Request]:
        """What is stale in silver, gold and serving."""
        survey = Survey(self.lake.snapshot(), self.engine, self.rules.reject_threshold)
        return healing.wanted(survey, self.partitions, self.rules.serves)

    def tell(self, notifications: Notifications, runs: Sequence[Asked]) -> int:
        """Tells people what is wrong and, of feeds in which nothing is left to do, what has been settled; how much.

        Landing is not looked at: that takes long, or fails, and the lake can be told of without it.
        """
        wanted = list(self.stale())
        unsettled = {asset for request in wanted for asset in request.assets}
        in_vain = {(r.assets, r.missing(r.windows)) for r in admit(wanted, runs).given_up}
        found = alerts.facts(
            self.lake,
            threshold=self.rules.reject_threshold,
            rule_share=self.rules.rule_alert_share,
            given_up=[
                *(r for r in runs if (r.failed and r.attempt >= ATTEMPTS) or (r.assets, r.missing) in in_vain),
                *failing(runs),
            ],
            unsettled=unsettled,
        )
        messages = alerts.tell(self.lake, notifications, found)
        for contracts in feeds().values() if self.rules.notify_success else ():
            if not unsettled & alerts.made_of(contracts):
                messages += alerts.tell_settled(self.lake, notifications, contracts)
        return messages
