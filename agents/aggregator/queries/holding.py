"""One partition of the aggregates as a query reads it: its owner's, or a standby's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.aggregator.domain.rows import BUILDS, INDEX, ROWS, Progress, build_key

if TYPE_CHECKING:
    from fleet.lane.store import Store

READ = (ROWS, INDEX, BUILDS)
"""The tables that queries read."""


@dataclass(frozen=True)
class Holding:
    """One partition.

    Attributes:
        partition: Its number.
        tables: Its tables by name.
        lag: For a standby, changelog offsets not read yet; None for the owner's.
        as_of_ms: When its rows were last known to be all that was committed, epoch milliseconds.
    """

    partition: int
    tables: Mapping[str, Store]
    lag: int | None = None
    as_of_ms: int | None = None

    @property
    def rows(self) -> Store:
        """The table of rows."""
        return self.tables[ROWS]

    @property
    def index(self) -> Store:
        """The index of windows."""
        return self.tables[INDEX]

    def progress(self, build: str) -> Progress | None:
        """Return how far a build has got here; None where nothing has been heard of it."""
        row = self.tables[BUILDS].get(build_key(self.partition, build))
        return None if row is None else Progress.of(row)

    def watermark_ms(self, build: str) -> int | None:
        """Return the watermark that holds for the rows here; to be asked for before they are read.

        The tables of a standby are read one by one: what its rows do not hold yet, its watermark must not
        promise.
        """
        progress = self.progress(build)
        if progress is None or not self._rows_are_as_new():
            return None
        return progress.watermark_ms

    def _rows_are_as_new(self) -> bool:
        if self.lag is None:
            return True
        stands = self.tables[BUILDS].offsets
        return all(
            self.tables[name].offsets.get(topic, 0) >= offset
            for name in (ROWS, INDEX)
            for topic, offset in stands.items()
        )

    def about(self) -> dict[str, Any]:
        """Return what an answer says of it."""
        return {"partition": self.partition, "lag": self.lag, "as_of_ms": self.as_of_ms}
