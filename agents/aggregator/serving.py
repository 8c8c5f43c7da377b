"""Which build of an aggregation writes finals in a partition, and how that goes from one to another."""

from __future__ import annotations

from collections.abc import Iterator

from agents.aggregator.domain.plan import Compiled, Plan, build_id
from agents.aggregator.domain.rows import BUILDS, Progress, build_key
from fleet.lane import Effect, Put, State


def handed_over(plan: Plan, state: State) -> Iterator[Effect]:
    """Let those builds write finals that the plan says, from where those stand that did so far.

    Builds close a window at different moments. The cursor of the one that served goes over, so what it has
    closed gets no final again, and what the other one closed before it served gets its final now. Where none
    has served, nothing has had a final.
    """
    for build in plan.serving.values():
        row = state.get(BUILDS, build_key(state.partition, build.id))
        if row is None or row.get("serves"):
            continue
        progress = Progress.of(row)
        progress.closed, progress.serves, progress.behind = "", True, True
        for key, before in list(predecessors(build, state)):
            progress.closed, before.serves = before.closed, False
            yield Put(BUILDS, key, before.row())
        yield Put(BUILDS, build_key(state.partition, build.id), progress.row())


def predecessors(build: Compiled, state: State) -> Iterator[tuple[str, Progress]]:
    """Yield key and row of another build of the aggregation that writes finals, also of one that is gone."""
    for key, row in state.prefix(BUILDS, build_key(state.partition, build_id(build.definition.name, ""))):
        if row.get("serves") and key != build_key(state.partition, build.id):
            yield key, Progress.of(row)
