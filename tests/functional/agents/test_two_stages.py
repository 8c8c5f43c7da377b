"""Both stages of the aggregator in memory, against a recomputation of the whole log in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from tables.aggregations.calculation import Start
from tests.support.aggregate_batch import Batch
from tests.support.aggregate_events import Logged, orders
from tests.support.aggregate_questions import QUESTIONS
from tests.support.aggregate_results import differences, finals, missed, newest
from tests.support.aggregate_stages import ORDERS, Place, Stages, served

COUNT = 1_000


def log_ends(events: list[Logged]) -> dict[Place, int]:
    """Return how many events each partition has."""
    ends: dict[Place, int] = {}
    for each in events:
        ends[each.topic, each.partition] = each.offset + 1
    return ends


def check(stages: Stages, batch: Batch) -> None:
    """Check all that was written: each final once, nothing missing, nothing more, and what was late."""
    for name, question in QUESTIONS.items():
        results = stages.results.get(name, [])
        if question.windows["kind"] == "none":
            given, right = newest(question, results), batch.results(question)
        else:
            given, right = finals(question, results), batch.finals(question)
        assert differences(question.functions, given, right) == [], name
        told = [each for each in stages.late if each[2]["fleet_aggregation"] == f"{name}~1".encode()]
        late = sorted(window for each in told for window in missed(*each))
        assert late == batch.missed(question), name


def test_all_definitions_at_once_equal_a_recomputation() -> None:
    """Whatever the chunks of either stage, and the order in which partitions come."""
    events = orders(COUNT, seed=3)
    builds = [served(name, number, each) for number, (name, each) in enumerate(QUESTIONS.items(), ORDERS + 1)]
    stages = Stages(builds, Random(4))
    stages.run(events)
    check(stages, Batch(events))


def test_history_beside_what_comes_equals_a_recomputation() -> None:
    """Builds that began within the log take each event once, as history or as it came."""
    events, random = orders(COUNT, seed=3), Random(4)
    begun: Mapping[Place, int] = {place: random.randrange(end) for place, end in log_ends(events).items()}
    builds = [
        served(name, number, each, Start.EARLIEST)
        for number, (name, each) in enumerate(QUESTIONS.items(), ORDERS + 1)
    ]
    stages = Stages(builds, random)
    stages.run(events, begun)
    check(stages, Batch(events, begun))
