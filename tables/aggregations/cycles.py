"""Cycles of aggregations: results that would be aggregated into themselves, each time anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from tables.aggregations.errors import AggregationError
from tables.documents import Document
from tables.kinds import ACTIVE
from tables.routes.cycles import Step, Way, find_cycle_of, way_round

_HINT: Final = "change a source or the output.topic of one of these, or discard the build that reads it"


def check_cycles(table: Iterable[Document]) -> None:
    """Refuse aggregations whose results would come round to them again.

    Args:
        table: All aggregations; only active ones that write results count, with the sources of all builds.

    Raises:
        AggregationError: With the way round, e.g. ``cycle: a -(one)-> b -(two)-> a``.
    """
    cycle = find_cycle_of(way for document in table for way in _ways(document))
    if cycle:
        raise AggregationError(f"cycle: {way_round(cycle)}", field="sources", hint=_HINT)


def _ways(document: Document) -> Iterator[Way]:
    topic = document["output"]["topic"]
    if topic and document["state"] == ACTIVE:
        step = Step(document["name"], topic)
        # Any build can be switched to, without another check.
        for source in sorted(
            {source for each in (document, *document["builds"]) for source in each["sources"]}
        ):
            yield Way(step, source, topic)
