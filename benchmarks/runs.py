"""The rates of a case: single runs, the rows of their medians, and how rows compare."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import msgspec

from benchmarks.engines import PRODUCT
from benchmarks.measure import Rates


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what was counted, over which time.

    Attributes:
        events: Events between the first and the last progress seen.
        wall_s: Seconds between the two.
        cpu_s: CPU seconds, user and system, of the worker's process between the two.
    """

    events: int
    wall_s: float
    cpu_s: float
    events_per_s: float
    events_per_cpu_s: float

    @classmethod
    def of(cls, rates: Rates) -> Run:
        """Return the run that gave these rates."""
        return cls(
            events=rates.events,
            wall_s=round(rates.wall_s, 3),
            cpu_s=round(rates.cpu_s, 3),
            events_per_s=round(rates.events_per_s, 1),
            events_per_cpu_s=round(rates.events_per_cpu_s, 1),
        )


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One case on one engine: the medians of its runs.

    Attributes:
        case: What is done with the events.
        engine: ``eventfleet``, a peer, or ``floor`` for the bare client in a plain loop.
        guarantee: ``exactly_once`` or ``at_least_once``.
        events: Events that each run processed, checked against what came out.
        events_per_s: Median, wall clock; None where a run failed.
        events_per_cpu_s: Median, per CPU second of the worker; None where a run failed.
        spread: Least, quarter, three quarters and most of the runs' events per CPU second.
        runs: The single runs.
        settings: How the engine was set, where there was a choice.
        error: Why there is no figure.
    """

    case: str
    engine: str
    guarantee: str
    events: int
    events_per_s: float | None
    events_per_cpu_s: float | None
    spread: list[float]
    runs: list[Run]
    settings: str = ""
    error: str = ""


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """How many times the product's rate is a peer's, in one case."""

    case: str
    peer: str
    per_cpu_s: float
    per_wall_s: float


def row_of(
    *,
    case: str,
    engine: str,
    guarantee: str,
    events: int,
    runs: list[Run],
    settings: str = "",
    errors: Iterable[str] = (),
) -> Row:
    """Return the row of these runs; with any error it has no figure, however many runs went well."""
    error = "; ".join(dict.fromkeys(errors)) or ("" if runs else "no run ended")
    return Row(
        case=case,
        engine=engine,
        guarantee=guarantee,
        events=events,
        events_per_s=None if error else statistics.median(run.events_per_s for run in runs),
        events_per_cpu_s=None if error else statistics.median(run.events_per_cpu_s for run in runs),
        spread=[] if error else spread_of([run.events_per_cpu_s for run in runs]),
        runs=runs,
        settings=settings,
        error=error,
    )


def spread_of(figures: Sequence[float]) -> list[float]:
    """Return the least, the quarter, the three quarters and the most of `figures`, at least one."""
    if len(figures) == 1:
        return [figures[0]] * 4
    quarters = statistics.quantiles(figures, n=4, method="inclusive")
    return [round(figure, 1) for figure in (min(figures), quarters[0], quarters[2], max(figures))]


def ratios_of(rows: Iterable[Row]) -> list[Ratio]:
    """Return the product's rate over each peer's, for each case in which both have one."""
    listed = list(rows)
    ours = {row.case: row for row in listed if row.engine == PRODUCT}
    found = []
    for peer in listed:
        own = ours.get(peer.case)
        if own is None or own is peer or not own.events_per_s or not own.events_per_cpu_s:
            continue
        if peer.events_per_s and peer.events_per_cpu_s:
            per_cpu_s = round(own.events_per_cpu_s / peer.events_per_cpu_s, 2)
            per_wall_s = round(own.events_per_s / peer.events_per_s, 2)
            found.append(Ratio(case=peer.case, peer=peer.engine, per_cpu_s=per_cpu_s, per_wall_s=per_wall_s))
    return found
