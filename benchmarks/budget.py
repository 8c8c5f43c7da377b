"""How long a benchmark takes, roughly: told before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.engines import LATENCY, RECOVERY, Engine
from benchmarks.growth import GROWTH, PARTITIONS_OF, RULES, WORKERS, Scale
from benchmarks.latency import RATES_PER_S
from benchmarks.workers.job import AGGREGATE_TUMBLING, AGGREGATES, CASES, QUERY, ROUTES

if TYPE_CHECKING:
    from benchmarks.plan import Plan

MINUTE_S: Final = 60
STACK_S: Final = 20
RUN_S: Final = 4.0
"""What a run takes beside its events: topics, the start of the worker, joining the group, its end."""
PUBLISHED_PER_S: Final = 180_000
CHECKED_PER_S: Final = 200_000


def told(plan: Plan) -> str:
    """Return how long `plan` takes, for people."""
    return f"about {max(1, round(seconds(plan) / MINUTE_S)):,} min"


def seconds(plan: Plan) -> float:
    """Return about how many seconds `plan` takes."""
    total = STACK_S + sum(_of(case, plan) for case in plan.cases)
    size = plan.extent.size
    if {*CASES, GROWTH} & set(plan.cases):
        total += (size.charges + size.claims + 2 * size.warmup_events) / PUBLISHED_PER_S
    if set(AGGREGATES) & set(plan.cases):
        total += (size.timed + size.warmup_events) / PUBLISHED_PER_S
    return total


def _of(case: str, plan: Plan) -> float:
    engines = [engine for engine in plan.engines if case in engine.cases]
    if case == GROWTH:
        return _growth(plan.product, plan.extent.scale, plan.extent.size.claims)
    if case == RECOVERY:
        return plan.extent.recovery_keys / PUBLISHED_PER_S + sum(_recovery(each, plan) for each in engines)
    if case == LATENCY:
        return sum(_latency(each, plan) for each in engines)
    if case == QUERY:
        return sum(_query(each, plan) for each in engines)
    return sum(min(plan.runs, each.max_runs) * _run(each, case, plan) for each in engines)


def _run(engine: Engine, case: str, plan: Plan) -> float:
    size = plan.extent.size
    events = size.events(engine, case) + size.warmup(engine, case)
    checked_s = events / CHECKED_PER_S if case in ROUTES else 0
    return RUN_S + events / engine.per_s.of(case) + checked_s


def _recovery(engine: Engine, plan: Plan) -> float:
    """A start without state, one that makes the state, one or two that load it."""
    rows = min(engine.state_keys, plan.extent.recovery_keys)
    once = 3 * RUN_S + rows / engine.per_s.tables + 2 * rows / CHECKED_PER_S
    return once * min(plan.runs, plan.extent.recovery_runs, engine.max_runs)


def _latency(engine: Engine, plan: Plan) -> float:
    stretch = plan.extent.stretch
    warmup_s = min(engine.warmup_events, stretch.warmup_events) / engine.per_s.routes
    return RUN_S + warmup_s + len(RATES_PER_S) * stretch.turns * (stretch.seconds + 1)


def _query(engine: Engine, plan: Plan) -> float:
    asking = plan.extent.asking
    return RUN_S + asking.before / engine.per_s.of(AGGREGATE_TUMBLING) + 2 * (asking.seconds + 1)


def _growth(product: Engine, scale: Scale, claims: int) -> float:
    """The points over one table each, and those of the rules."""
    per_s = product.per_s
    rules_s = len(RULES) * scale.runs * (RUN_S + claims / per_s.routes + claims / CHECKED_PER_S)
    tables_s = sum(
        (keys + scale.events) / PUBLISHED_PER_S
        + scale.runs_of(keys) * (RUN_S + (keys + scale.events) / per_s.tables + keys / CHECKED_PER_S)
        for keys in scale.keys
    )
    others = len(PARTITIONS_OF) + len(WORKERS)
    each_s = scale.events / PUBLISHED_PER_S + scale.runs * (RUN_S + 2 * scale.events / per_s.tables)
    return rules_s + tables_s + others * each_s
