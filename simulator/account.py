"""What a simulation put in, and what must therefore come out.

Here belong the counts alone. They are kept while rows are made, never read back from the files, so that a test may hold
them against a reader's own count.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class TableAccount:
    """Counts of one table. `read = accepted + rejected + superseded` once everything has been ingested and settled.

    Landing keeps the newest version of an object. Where older versions were ingested before they were overwritten,
    their rows (`replaced`) are read and superseded as well; accepted and rejected are the same either way.
    """

    files: int = 0  # objects landed, each version counted
    empty_files: int = 0  # of them, files without a row (zero bytes, or a header alone)
    late_files: int = 0  # files that arrived late as a whole
    copies: int = 0  # files sent again under a new key, with the same rows
    versions: int = 0  # files sent again under the same key, with corrected rows
    incomplete_files: int = 0  # files whose header lacks a column: `columns_complete`

    rows: int = 0  # records landed, those of older versions counted
    replaced: int = 0  # of them, records of older versions
    accepted: int = 0
    rejected: int = 0
    superseded: int = 0  # by key; the replaced ones are not counted here

    rules: dict[str, int] = field(default_factory=dict)  # rejected rows by the rules they name; a row may name several
    warnings: dict[str, int] = field(default_factory=dict)  # accepted rows by the `warn` rules they name
    undeclared: int = 0  # readable rows, whatever becomes of them, with a field the contract does not name
    orphans: int = 0  # rejected rows that name a parent which never comes, or is itself rejected
    late: int = 0  # rows first sent 1 hour to 30 days after their event
    duplicates: int = 0  # rows sent again, alike, in a later file

    @property
    def read(self) -> int:
        """Records that landing still holds at the end."""
        return self.rows - self.replaced

    def reject(self, rules: Iterable[str]) -> None:
        self.rejected += 1
        for rule in rules:
            self.rules[rule] = self.rules.get(rule, 0) + 1

    def warn(self, rules: Iterable[str]) -> None:
        for rule in rules:
            self.warnings[rule] = self.warnings.get(rule, 0) + 1


@dataclass
class Account:
    """The counts of each table of a feed; they hold for a lake that has seen nothing else of it."""

    feed: str
    tables: dict[str, TableAccount]
