"""What is remembered of topics that the worker may not write to."""

from __future__ import annotations

from aiokafka.structs import TopicPartition

from fleet.lane.config import LaneConfig
from fleet.lane.topics import Topics

INBOX = TopicPartition("fleet.redrive.router", 2)


def test_a_refused_topic_is_remembered_over_a_loss() -> None:
    """Or the chunk that was refused would be tried for ever."""
    topics = Topics(LaneConfig(bootstrap_servers="nowhere:1"))
    topics.refuse(["team.claims"])
    topics.forget()
    assert topics.is_refused("team.claims")
    assert topics.get("team.claims") is None


def test_what_is_sent_again_tries_it_again_once() -> None:
    """A batch of the inbox that is refused once more is not tried a third time; the next batch is."""
    topics = Topics(LaneConfig(bootstrap_servers="nowhere:1"))
    topics.refuse(["team.claims"])
    topics.try_refused(INBOX, 7)
    assert not topics.is_refused("team.claims")
    topics.refuse(["team.claims"])
    topics.try_refused(INBOX, 7)
    assert topics.is_refused("team.claims")
    topics.try_refused(INBOX, 8)
    assert not topics.is_refused("team.claims")
