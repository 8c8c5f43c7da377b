"""What an app declares, and what it refuses: no Kafka needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet.errors import FatalError
from fleet.lane import Emit, LaneApp
from tests.support.lane_fakes import chunk_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleet.lane import Chunk, Effect, State


def _nothing(chunk: Chunk, state: State) -> Iterator[Effect]:
    """Do nothing."""
    del chunk, state
    return iter(())


def test_a_record_goes_through_a_repartition_topic_under_its_new_key() -> None:
    """Placed by that key, with its headers, and with the source record as its cause."""
    by_provider = LaneApp("claims").repartition("by-provider", partitions=6)
    (record,) = chunk_of(b"value")
    passed_on = by_provider.emit(b"npi", b"value", (("ce_id", b"1"),), cause=record)
    topic = "claims-by-provider-repartition"
    assert passed_on == Emit(topic, b"npi", b"value", (("ce_id", b"1"),), cause=record)


def test_a_new_version_of_an_app_goes_on_with_its_repartition_topics() -> None:
    """What the old version had passed on, and not read yet, is the new one's work."""
    app = LaneApp("claims", version=2)
    assert app.conf.id == "claims-v2"
    assert app.repartition("by-provider", partitions=6).topic == "claims-by-provider-repartition"


def test_an_agent_reads_a_repartition_topic_like_any_source() -> None:
    """It may be named beside co-partitioned topics."""
    app = LaneApp("claims")
    app.lane_agent(name="sum", sources=["redrive", app.repartition("by-provider", partitions=6)])(_nothing)
    assert app.lane.host.agents["sum"].sources == ("redrive", "claims-by-provider-repartition")
    assert app.lane_topics == {"redrive", "claims-by-provider-repartition"}


def test_dead_letters_come_back_to_an_agent_that_says_so() -> None:
    """It reads its inbox as one more source; others do not need such a topic."""
    app = LaneApp("claims")
    app.lane_agent(name="one", sources=["claims"], redrive=True)(_nothing)
    app.lane_agent(name="two", sources=["payments"])(_nothing)
    one, two = app.lane.host.agents["one"], app.lane.host.agents["two"]
    assert (one.sources, one.inbox) == (("claims", "fleet.redrive.one"), "fleet.redrive.one")
    assert (two.sources, two.inbox) == (("payments",), "")


def test_two_agents_of_an_app_cannot_read_one_topic() -> None:
    """The app's group has one offset of it: both would move it. The message names all three."""
    app = LaneApp("claims")
    app.lane_agent(name="one", sources=["claims"])(_nothing)
    with pytest.raises(FatalError, match=r"agents one and two both read claims: .* an app of its own"):
        app.lane_agent(name="two", sources=["claims"])(_nothing)
