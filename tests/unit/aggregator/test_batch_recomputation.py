"""Shuffled and late events give what a recomputation of the whole log in SQL gives."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from tests.support.aggregate_batch import Batch
from tests.support.aggregate_events import Logged, orders
from tests.support.aggregate_pipeline import Pipeline, compiled
from tests.support.aggregate_questions import QUESTIONS
from tests.support.aggregate_results import differences

COUNT = 3_000
MANY = 20_000


@pytest.fixture(scope="module")
def events() -> list[Logged]:
    """Orders, one in twenty of them late."""
    return orders(COUNT, seed=6)


@pytest.fixture(scope="module")
def batch(events: list[Logged]) -> Batch:
    """All of them, to be asked at once."""
    return Batch(events)


def test_there_is_something_to_get_wrong(batch: Batch) -> None:
    """Some events miss a window, some miss one of those that they are in, and sessions are of several."""
    for name in ("tumbling", "hopping", "session", "calendar"):
        assert len(batch.missed(QUESTIONS[name])) > 50
    hopping, sessions = QUESTIONS["hopping"], batch.results(QUESTIONS["session"])
    windows = Counter(missed[:3] for missed in batch.missed(hopping))
    assert set(windows.values()) == {1, 2, 3}
    assert sum(row["orders"] > 5 for row in sessions.values()) > 10


def test_sketches_of_many_values_are_within_their_error() -> None:
    """More different values than can be counted one by one."""
    question, events = QUESTIONS["sketches"], orders(MANY, seed=8)
    given = Pipeline(compiled(question), Random(9)).results(events)
    assert differences(question.functions, given, Batch(events).results(question)) == []


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_function_equals_a_recomputation(name: str, events: list[Logged], batch: Batch) -> None:
    """In windows of this kind, whatever the chunks and the order of merges; and so do the late events."""
    question = QUESTIONS[name]
    pipeline = Pipeline(compiled(question), Random(7))
    assert differences(question.functions, pipeline.results(events), batch.results(question)) == []
    assert sorted(pipeline.missed) == batch.missed(question)
