"""The aggregations of each case of ``make bench-aggregation``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.rules import BIG_DOLLARS
from benchmarks.workers.aggregation import Aggregation, Comparison, Function, Session, Window
from benchmarks.workers.job import AGGREGATE_HOPPING, AGGREGATE_SESSION, AGGREGATE_TEN, AGGREGATE_TUMBLING

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
GRACE_MS: Final = 10 * MINUTE_MS
"""More than the partitions of a topic are apart while a worker catches up: nothing is late for any engine."""

_PROVIDER: Final = ("billing_provider.npi",)
_RENDERING: Final = ("rendering_provider_npi",)
_PAYER: Final = ("payer.id",)
_TOTALS: Final[tuple[Function, ...]] = ("count", "sum")
_SESSION: Final = Session(30 * SECOND_MS, GRACE_MS)


def _windows(size_ms: int, advance_ms: int | None = None) -> Window:
    return Window(size_ms, advance_ms or size_ms, GRACE_MS)


_TUMBLING: Final = Aggregation(
    name="provider-minute", group=_PROVIDER, functions=_TOTALS, window=_windows(MINUTE_MS)
)

AGGREGATIONS: Final[Mapping[str, tuple[Aggregation, ...]]] = {
    AGGREGATE_TUMBLING: (_TUMBLING,),
    AGGREGATE_HOPPING: (
        Aggregation(
            name="provider-hop",
            group=_PROVIDER,
            functions=_TOTALS,
            window=_windows(MINUTE_MS, 20 * SECOND_MS),
        ),
    ),
    AGGREGATE_SESSION: (
        Aggregation(name="provider-session", group=_PROVIDER, functions=_TOTALS, session=_SESSION),
    ),
    AGGREGATE_TEN: (
        _TUMBLING,
        Aggregation(
            name="office-hop",
            group=_PROVIDER,
            functions=_TOTALS,
            window=_windows(MINUTE_MS, 20 * SECOND_MS),
            tests=(Comparison("place_of_service", "==", "11"),),
        ),
        Aggregation(
            name="original-session",
            group=_PROVIDER,
            functions=("count", "max"),
            session=_SESSION,
            tests=(Comparison("frequency_code", "==", "1"),),
        ),
        Aggregation(
            name="payer-minute",
            group=_PAYER,
            functions=("count", "sum", "min", "max"),
            window=_windows(MINUTE_MS),
        ),
        Aggregation(
            name="payer-place",
            group=(*_PAYER, "place_of_service"),
            functions=_TOTALS,
            window=_windows(5 * MINUTE_MS),
        ),
        Aggregation(
            name="rendering-minute",
            group=_RENDERING,
            functions=_TOTALS,
            window=_windows(MINUTE_MS),
            tests=(Comparison("total_charge", ">=", 500),),
        ),
        Aggregation(
            name="place-seconds",
            group=("place_of_service",),
            functions=("count", "max"),
            window=_windows(10 * SECOND_MS),
        ),
        Aggregation(
            name="replaced-hour",
            group=_PROVIDER,
            functions=("count",),
            window=_windows(HOUR_MS),
            tests=(Comparison("transaction_type", "==", "RP"),),
        ),
        Aggregation(
            name="frequency-hop",
            group=(*_PAYER, "frequency_code"),
            functions=_TOTALS,
            window=_windows(5 * MINUTE_MS, MINUTE_MS),
        ),
        Aggregation(
            name="big-elsewhere",
            group=_RENDERING,
            functions=("count", "min", "max"),
            window=_windows(10 * MINUTE_MS),
            tests=(
                Comparison("total_charge", ">=", BIG_DOLLARS),
                Comparison("place_of_service", "!=", "11"),
            ),
        ),
    ),
}
"""By case; ``aggregate-ten`` has other groups, filters, functions and windows for each."""
