"""The watermark of a build, as its sources go on, fall idle, wake up and end."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agents.aggregator.domain.messages import Mark, Source, Standing
from agents.aggregator.domain.plan import Compiled
from agents.aggregator.domain.rows import Heard, Progress, source_key
from agents.aggregator.domain.watermarks import hear, holding
from tables.aggregations.calculation import Start
from tests.support.aggregate_definitions import a_build

TOPICS = {"canonical.claim": 2, "canonical.payment": 1}


def build_of(start: Start = Start.LATEST) -> Compiled:
    """Return a build of two topics."""
    return a_build(start=start, sources=list(TOPICS))


def sources_of(build: Compiled) -> list[Source]:
    """Return all its sources."""
    return [
        Source(topic, number, history)
        for topic, partitions in TOPICS.items()
        for number in range(partitions)
        for history in ((False, True) if build.has_history else (False,))
    ]


def told(progress: Progress, build: Compiled, source: Source, at_ms: int | None, standing: Standing) -> None:
    """Let a source say something."""
    hear(progress, Mark(build.id, source, TOPICS[source.topic], at_ms, standing), build)


class Watermarks(RuleBasedStateMachine):
    """Sources say in any order how far they have got; the watermark is told by the rule, each time anew."""

    @initialize(start=st.sampled_from(Start))
    def begin(self, start: Start) -> None:
        """Begin with nothing heard."""
        self.build = build_of(start)
        self.progress = Progress()
        self.said: dict[Source, tuple[int | None, Standing]] = {}
        self.expected: int | None = None

    @rule(data=st.data(), step_ms=st.integers(-5, 20), standing=st.sampled_from(Standing))
    def says(self, data: st.DataObject, step_ms: int, standing: Standing) -> None:
        """A source says how far it has got; now and then less than before."""
        source = data.draw(st.sampled_from(sources_of(self.build)))
        before = self.said.get(source, (None, Standing.LIVE))[0]
        now = data.draw(st.none()) if before is None and step_ms < 0 else (before or 0) + step_ms
        reached = before if now is None else now if before is None else max(now, before)
        self.said[source] = reached, standing
        told(self.progress, self.build, source, now, standing)
        live = [
            self.said.get(each, (None, Standing.LIVE))
            for each in sources_of(self.build)
            if self.said.get(each, (None, Standing.LIVE))[1] is Standing.LIVE
        ]
        times = [time_ms for time_ms, _ in live if time_ms is not None]
        if live and len(times) == len(live):
            self.expected = max(min(times), min(times) if self.expected is None else self.expected)
        # And it is kept as a row between any two.
        self.progress = Progress.of(self.progress.row())

    @invariant()
    def is_right(self) -> None:
        """It is the least of the live sources, and never goes back."""
        assert self.progress.watermark_ms == self.expected


Watermarks.TestCase.settings = settings(max_examples=60, deadline=None)
TestWatermarks = Watermarks.TestCase


def test_a_source_never_heard_of_holds_the_watermark() -> None:
    """Also a partition of a topic of which another partition was heard, and a whole topic."""
    build, progress = build_of(), Progress()
    told(progress, build, Source("canonical.claim", 0), 100, Standing.LIVE)
    assert progress.watermark_ms is None
    told(progress, build, Source("canonical.claim", 1), 90, Standing.LIVE)
    assert [(each.source.topic, each.heard) for each in holding(progress, build)] == [
        ("canonical.claim", True),
        ("canonical.claim", True),
        ("canonical.payment", False),
    ]
    told(progress, build, Source("canonical.payment", 0), 200, Standing.IDLE)
    assert progress.watermark_ms == 90


@pytest.mark.parametrize("standing", [Standing.IDLE, Standing.DONE])
def test_all_at_rest_change_nothing(standing: Standing) -> None:
    """While no source is live the watermark stays where it is."""
    build, progress = build_of(), Progress()
    for source in sources_of(build):
        told(progress, build, source, 50, Standing.LIVE)
    for source in sources_of(build):
        told(progress, build, source, 70, standing)
    assert progress.watermark_ms == 50


def test_what_a_source_counts_never_gets_less() -> None:
    """Marks in partials and marks to all go by different ways."""
    build, progress = build_of(), Progress()
    source = sources_of(build)[0]
    for late, refused in ((3, 1), (5, 0), (4, 2)):
        hear(progress, Mark(build.id, source, 1, 9, Standing.LIVE, late, refused), build)
    assert progress.sources[source_key(source)] == Heard(9, Standing.LIVE, 5, 2)
