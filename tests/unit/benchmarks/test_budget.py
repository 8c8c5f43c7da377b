"""How long a benchmark says that it takes."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import budget
from benchmarks.aggregators import ENGINES as AGGREGATORS
from benchmarks.engines import ALL_CASES, OWN_ENGINES, PRODUCT
from benchmarks.growth import GROWTH
from benchmarks.peers.engines import ENGINES as PEERS
from benchmarks.plan import FULL, QUICK, Plan
from benchmarks.workers.job import QUERY

ENGINES = (*OWN_ENGINES, *PEERS)
PLAN = Plan(
    engines=ENGINES,
    cases=(*ALL_CASES, GROWTH),
    runs=5,
    extent=FULL,
    product=next(engine for engine in ENGINES if engine.name == PRODUCT),
)


def test_all_of_it_fits_in_forty_minutes() -> None:
    """Five repetitions of everything, with every engine."""
    assert budget.seconds(PLAN) < 40 * 60


def test_each_part_takes_its_share() -> None:
    """Less of anything is told to take less."""
    whole = budget.seconds(PLAN)
    for case in PLAN.cases:
        assert 0 < budget.seconds(replace(PLAN, cases=[case])) < whole
    assert budget.seconds(replace(PLAN, runs=1)) < whole * 0.7
    assert budget.seconds(replace(PLAN, engines=ENGINES[:1])) < whole / 2
    assert budget.seconds(replace(PLAN, extent=QUICK, runs=1)) < whole / 3


def test_it_is_told_in_minutes() -> None:
    """Never less than one."""
    assert budget.told(PLAN) == f"about {round(budget.seconds(PLAN) / 60)} min"
    assert budget.told(replace(PLAN, cases=[], runs=1)) == "about 1 min"


def test_questions_take_their_time() -> None:
    """Two kinds of them for each engine that answers."""
    asked = replace(PLAN, engines=tuple(AGGREGATORS.values()), cases=[QUERY])
    own = [engine for engine in asked.engines if QUERY in engine.cases]
    assert len(own) == 2
    least_s = 2 * FULL.asking.seconds * len(own)
    assert least_s < budget.seconds(asked) < 2 * least_s + budget.STACK_S
