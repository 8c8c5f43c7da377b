"""What is written of the measurements that are no rates, and of the goals."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from benchmarks.runs import Run


class RecoveryRun(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a worker that has `rows` rows to load.

    Attributes:
        rows: Rows of its table.
        empty_s: From its start until it processes, with no state.
        loaded_s: The same with the state and an empty disk.
        kept_s: The same with the disk kept, where the store is on disk.
    """

    rows: int
    empty_s: float
    loaded_s: float
    kept_s: float | None


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """The starts of one engine: medians of its runs.

    Attributes:
        store: Where its table lives.
        rows: Rows of the table.
        rows_per_s: Rows over what loading them adds to a start; None where a run failed.
        loaded_s: None where a run failed.
        kept_s: Start with the disk kept; None where the store is not on disk.
        error: Why there is no figure.
    """

    engine: str
    guarantee: str
    store: str
    rows: int
    rows_per_s: float | None
    loaded_s: float | None
    kept_s: float | None
    runs: list[RecoveryRun]
    error: str = ""

    @classmethod
    def of(
        cls, engine: str, guarantee: str, store: str, runs: list[RecoveryRun], errors: Sequence[str]
    ) -> Recovery:
        """Return the row of these runs; with any error it has no figure."""
        rows = runs[0].rows if runs else 0
        loaded_s = median(run.loaded_s for run in runs) if runs else 0.0
        empty_s = median(run.empty_s for run in runs) if runs else 0.0
        slower = (
            f"a start with state took {loaded_s:.2f} s, one without {empty_s:.2f} s: measure with more rows"
        )
        failed = "" if loaded_s > empty_s else slower if runs else "no run ended"
        error = "; ".join(dict.fromkeys(errors)) or failed
        kept = [run.kept_s for run in runs if run.kept_s is not None]
        return cls(
            engine=engine,
            guarantee=guarantee,
            store=store,
            rows=rows,
            rows_per_s=None if error else round(rows / (loaded_s - empty_s), 1),
            loaded_s=None if error else loaded_s,
            kept_s=median(kept) if kept and not error else None,
            runs=runs,
            error=error,
        )


class LatencyRun(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch at one rate; milliseconds."""

    events: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float

    @classmethod
    def of(cls, latencies_ms: Sequence[float]) -> LatencyRun:
        """Return the percentiles of these, at least one."""
        ordered = sorted(latencies_ms)

        def at(share: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

        return cls(events=len(ordered), p50_ms=at(0.5), p99_ms=at(0.99), p999_ms=at(0.999), max_ms=at(1.0))


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One engine at one rate: medians of its stretches; None with an error.

    Attributes:
        what: What is waited for: empty for the output of an event, else the answer to a question.
    """

    engine: str
    guarantee: str
    rate_per_s: int
    p50_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    runs: list[LatencyRun]
    error: str = ""
    what: str = ""

    @classmethod
    def of(
        cls,
        engine: str,
        guarantee: str,
        rate_per_s: int,
        runs: list[LatencyRun],
        error: str,
        *,
        what: str = "",
    ) -> Latency:
        """Return the row of these stretches."""
        failed = error or ("" if runs else "no stretch ended")
        return cls(
            engine=engine,
            guarantee=guarantee,
            rate_per_s=rate_per_s,
            p50_ms=None if failed else median(run.p50_ms for run in runs),
            p99_ms=None if failed else median(run.p99_ms for run in runs),
            p999_ms=None if failed else median(run.p999_ms for run in runs),
            runs=runs,
            error=failed,
            what=what,
        )


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The second stage of the aggregator with so many rows.

    Attributes:
        rows: Rows that it keeps: one for each window and group.
        written: Rows that have come so far.
        closed: Of these, those whose window has closed, each with a final result.
        expired: Of these, those that are kept no more.
        rss_mib: Memory of the process.
        disk_mib: Size of its stores on disk.
        rows_per_s: Rows a second of its work since the size before; None for the first.
        rows_per_cpu_s: The same per CPU second, of all threads.
    """

    rows: int
    written: int
    closed: int
    expired: int
    rss_mib: float
    disk_mib: float
    rows_per_s: float | None
    rows_per_cpu_s: float | None


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """The engine at one size of one thing.

    Attributes:
        what: What grows: ``partitions``, ``workers``, ``rows`` or ``rules``.
        size: How many of them.
        case: What is done with the events.
        events_per_cpu_s: Median, per CPU second of all workers; None with an error.
    """

    what: str
    size: int
    case: str
    events_per_cpu_s: float | None
    runs: list[Run]
    error: str = ""


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A goal, what was measured, and whether it is met."""

    goal: str
    measured: str
    met: bool
