"""Random sequences of faults on the real stack: whatever the order, nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.lane_load import EVENTS, Load
from tests.support.lane_plan import Action, Stage, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_broker import Broker
    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

ROUNDS = int(os.environ.get("EVENTFLEET_FAULT_ROUNDS", "1"))
SEED = int(os.environ.get("EVENTFLEET_FAULT_SEED") or random.randrange(2**32))
REPLAY = os.environ.get("EVENTFLEET_FAULT_PLAN", "")
STEPS = 4
TIME_BOX_S = 90.0 * ROUNDS
PER_SECOND = 1000

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600 + TIME_BOX_S)]


def plans() -> st.SearchStrategy[list[Step]]:
    """Plans of four steps; the first one drawn has the actions in the order of their declaration."""
    if REPLAY:
        return st.just([Step.parse(each) for each in REPLAY.split()])
    orders = st.permutations(list(Action)).map(lambda order: order[:STEPS])
    return st.tuples(orders, st.lists(st.integers(0, 2), min_size=STEPS, max_size=STEPS)).map(
        lambda drawn: [Step(*each) for each in zip(*drawn, strict=True)]
    )


async def test_any_sequence_of_faults_leaves_exact_results(
    broker: Broker, cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """Each plan has an app of its own; after each step all partitions are live, at the end all is exact.

    A failure names seed and plan; ``EVENTFLEET_FAULT_PLAN='kill:0 join:1'`` runs that plan alone.
    """
    stop_at = time.monotonic() + TIME_BOX_S
    print(f"EVENTFLEET_FAULT_SEED={SEED}")  # noqa: T201 - shown where the test fails, to run it again

    async def follow(plan: list[Step]) -> None:
        print(f"EVENTFLEET_FAULT_PLAN='{' '.join(map(str, plan))}'")  # noqa: T201 - as above
        load = await Load.prepared(cluster, unique, seed=SEED, poison_share=0.01)
        stage = Stage(load, new_workers(load.app_id, load.source), broker)
        stage.begin()
        async with load.flowing(PER_SECOND):
            await load.live(stage.running, "the start")
            for step in plan:
                await stage.carry_out(step)
        await load.send(EVENTS // 100)
        await load.consumed()
        await load.check()
        for worker in stage.workers.started:
            worker.kill()

    for plan in drawn_plans():
        if time.monotonic() < stop_at:
            await follow(plan)


def drawn_plans() -> list[list[Step]]:
    """Draw the plans of this run."""
    drawn: list[list[Step]] = []

    @seed(SEED)
    @settings(
        max_examples=1 if REPLAY else ROUNDS,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(plans())
    def draw(plan: list[Step]) -> None:
        drawn.append(plan)

    draw()
    return drawn
