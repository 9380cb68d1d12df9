"""What landing is made of: objects and their versions, and what can be done with them in any kind of place."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

ARCHIVE = "archive"
"""The folder below the landing root to which objects move whose rows are in bronze; no feed lands there."""

OLDER = "archive/.older"
"""Versions of a key that a newer one has followed into the archive."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC) - EPOCH for year in (2, 9999))


@dataclass(frozen=True, order=True)
class Landed:
    """A version of an object in landing: its key below the landing root, etag, time of landing and size in bytes."""

    key: str
    version: str
    landed_at: datetime
    size: int


class Fetched(NamedTuple):
    """An opened object: when this version first landed (its metadata may say), and its bytes in chunks."""

    landed_at: datetime
    chunks: Iterator[bytes]


class Gone(Exception):
    """The object, or this version of it, is no longer in landing."""


class Unreachable(Exception):
    """This object cannot be read though others can; `str(e)` says why."""


class Landing(Protocol):
    """Where sources drop objects."""

    @property
    def root(self) -> str:
        """The address of landing."""
        ...

    def check_readable(self) -> None:
        """Checks, quickly, that landing can be listed.

        Raises:
            Misconfigured: It cannot.
        """
        ...

    def pages(self, prefix: str, after: str = "") -> Iterator[list[Landed]]:
        """The objects below the folder `prefix` in pages, in the order of their keys, from the key after `after`.

        Raises:
            Misconfigured: Landing cannot be listed: a failed listing is not an empty one.
        """
        ...

    def find(self, key: str) -> Landed | None:
        """The object as it is now; None if there is none."""
        ...

    def fetch(self, landed: Landed) -> Fetched:
        """Opens this very version.

        Raises:
            Gone: It was deleted or replaced meanwhile; also while its chunks are read.
            Unreachable: It cannot be read though it is there; also while its chunks are read.
        """
        ...

    def put(self, key: str, body: bytes, landed_at: datetime | None = None) -> None:
        """Drops an object as a source would, whole or not at all; `landed_at` backdates it.

        Raises:
            Misconfigured: Landing cannot be written to.
        """
        ...

    def archive(self, objects: Iterable[Landed]) -> Iterator[tuple[Landed, str]]:
        """Moves these very versions into the archive, and yields each that was, with "", or that cannot be, with why.

        Others have changed meanwhile. A copy is verified before anything is deleted. Killed in between, it is done
        again by the next call. Another version of a key that is in the archive is kept below `archive/.older`.

        Raises:
            Misconfigured: Landing, not one object alone, cannot be used or written to.
        """
        ...

    def restore(self, key: str) -> bool:
        """Brings the newest archived version of a key back, as landed when it first did.

        Returns:
            Whether it did: not if there is none, or if landing has an object of that key, which it would replace.

        Raises:
            Misconfigured: Landing cannot be written to.
        """
        ...


def after_epoch(since: timedelta) -> datetime:
    """The time, or the nearest of which a day more or less is one too: clocks may say anything."""
    return EPOCH + min(max(since, _FIRST), _LAST)
