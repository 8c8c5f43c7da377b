"""What the engine is meant to reach, beside what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from benchmarks.engines import FAUST, FLOOR, PRODUCT
from benchmarks.figures import Goal, Growth, Kept, Latency, Recovery
from benchmarks.runs import Row
from benchmarks.workers.job import (
    AGGREGATE_TUMBLING,
    AGGREGATES,
    HOPPING,
    KEYED_SUM,
    ROUTE_ATTRIBUTES,
    ROUTE_FIELDS,
    ROUTE_MANY,
    TUMBLING,
)

STREAMS_EOS: Final = "kafka-streams-eos"
QUIX: Final = "quix"
BESIDE_STREAMS: Final[Mapping[str, float]] = {
    ROUTE_ATTRIBUTES: 1.5,
    ROUTE_FIELDS: 1.5,
    ROUTE_MANY: 1.5,
    KEYED_SUM: 1.5,
    TUMBLING: 1.0,
    HOPPING: 1.0,
    AGGREGATE_TUMBLING: 1.5,
}
BESIDE_FAUST: Final = 60.0
BESIDE_QUIX: Final = 4.0
BESIDE_FLOOR: Final = 0.6
RECOVERY_PER_S: Final = 200_000
P99_MS: Final = 20.0
P99_RATE_PER_S: Final = 1_000
FLAT: Final = 1.2
FLAT_KEYS: Final = 1_000_000
STATE_ROWS: Final = 10_000_000
STATE_MIB: Final = 512


def goals(
    rows: Sequence[Row],
    recoveries: Sequence[Recovery] = (),
    latencies: Sequence[Latency] = (),
    growths: Sequence[Growth] = (),
) -> list[Goal]:
    """Return every goal that something was measured for."""
    return [*_rates(rows), *_recovery(recoveries), *_latency(latencies), *_growth(growths)]


def _rates(rows: Sequence[Row]) -> Iterator[Goal]:
    """Per CPU second, beside each peer."""
    per_cpu_s = {(row.case, row.engine): row.events_per_cpu_s for row in rows}
    for (case, engine), theirs in per_cpu_s.items():
        wanted = _wanted(case, engine)
        ours = per_cpu_s.get((case, PRODUCT))
        if wanted is None or (case, PRODUCT) not in per_cpu_s:
            continue
        ratio = ours / theirs if ours and theirs else None
        yield Goal(
            goal=f"{case}: at least {wanted:g} times {engine}, per CPU second",
            measured="not measured" if ratio is None else f"{ratio:.3g} times",
            met=ratio is not None and ratio >= wanted,
        )


def _wanted(case: str, engine: str) -> float | None:
    if engine == STREAMS_EOS:
        return BESIDE_STREAMS.get(case)
    if case in AGGREGATES:
        return None
    if engine.startswith(QUIX):
        return BESIDE_QUIX
    return {FAUST: BESIDE_FAUST, FLOOR: BESIDE_FLOOR}.get(engine)


def _recovery(found: Sequence[Recovery]) -> Iterator[Goal]:
    rates = {each.engine: each.rows_per_s for each in found}
    if PRODUCT not in rates:
        return
    ours, theirs = rates[PRODUCT], rates.get(STREAMS_EOS)
    yield Goal(
        goal=f"recovery: at least {RECOVERY_PER_S:,} rows a second",
        measured="not measured" if ours is None else f"{ours:,.0f} rows a second",
        met=ours is not None and ours >= RECOVERY_PER_S,
    )
    if STREAMS_EOS in rates:
        yield Goal(
            goal=f"recovery: not slower than {STREAMS_EOS}",
            measured="not measured"
            if ours is None or theirs is None
            else f"{ours:,.0f} beside {theirs:,.0f}",
            met=ours is not None and theirs is not None and ours >= theirs,
        )


def _latency(found: Sequence[Latency]) -> Iterator[Goal]:
    for each in found:
        if each.engine == PRODUCT and each.rate_per_s == P99_RATE_PER_S and not each.what:
            yield Goal(
                goal=f"latency: p99 under {P99_MS:g} ms at {P99_RATE_PER_S:,} a second, exactly once",
                measured="not measured" if each.p99_ms is None else f"{each.p99_ms:g} ms",
                met=each.p99_ms is not None and each.p99_ms < P99_MS,
            )


def _growth(found: Sequence[Growth]) -> Iterator[Goal]:
    costs = _costs(found, "rows", lambda size: size <= FLAT_KEYS)
    if costs:
        worst = max(costs.values()) / costs[min(costs)]
        yield Goal(
            goal=f"growth: cost of an event flat within 20 % from {min(costs):,} to {max(costs):,} rows",
            measured=f"at most {worst:.2f} times the cost at {min(costs):,}",
            met=worst <= FLAT,
        )
    costs = _costs(found, "rules", lambda size: size > 0)
    if costs:
        few, many = min(costs), max(costs)
        ratio = costs[many] / costs[few]
        yield Goal(
            goal=f"growth: sub-linear in rules that share an attribute, {few:,} to {many:,}",
            measured=f"{ratio:.2f} times the cost for {many // few} times the rules",
            met=ratio < many / few / 2,
        )


def _costs(found: Sequence[Growth], what: str, counts: Callable[[int], bool]) -> dict[int, float]:
    """Return CPU seconds an event by size; empty where any is missing."""
    chosen = [each for each in found if each.what == what and counts(each.size)]
    costs = {each.size: 1 / each.events_per_cpu_s for each in chosen if each.events_per_cpu_s}
    return costs if len(costs) == len(chosen) > 1 else {}


def of_state(found: Sequence[Kept]) -> list[Goal]:
    """Return the goal of the memory that so many rows take; none where there were fewer."""
    most = max((each.rss_mib for each in found if each.rows >= STATE_ROWS), default=None)
    if most is None:
        return []
    goal = f"state: at most {STATE_MIB:,} MiB of memory with {STATE_ROWS:,} rows"
    return [Goal(goal=goal, measured=f"{most:,.0f} MiB", met=most <= STATE_MIB)]
