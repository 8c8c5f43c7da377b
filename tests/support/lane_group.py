"""A consumer group on paper: members that join, leave and are given partitions over the wire's form."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.assignor.partition_assignor import PartitionAssignor
from yarl import URL

TOPICS = {"charges": 4, "refunds": 4, "files": 1, "claims": 6}


class Topics:
    """Partition counts as the client's cluster metadata gives them."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts

    def partitions_for_topic(self, topic: str) -> set[int]:
        """Return the partition numbers of `topic`."""
        return set(range(self._counts.get(topic, 0)))


class Group:
    """A consumer group.

    Attributes:
        kind: Assignor of the members that join next.
        members: The assignor of each member, the first of which leads.
        counts: Partitions by topic.
    """

    def __init__(
        self, kind: type[PartitionAssignor], *, standbys: int = 0, counts: Mapping[str, int] = TOPICS
    ) -> None:
        self.kind = kind
        self._standbys = standbys
        self.members: dict[str, Any] = {}
        self.counts = dict(counts)

    def join(self, name: str) -> None:
        """Let a member with no history join."""
        app = SimpleNamespace(
            tables=SimpleNamespace(changelog_topics=set(), data={}),
            conf=SimpleNamespace(canonical_url=URL(f"http://{name}")),
            tracer=None,
            sensors=SimpleNamespace(
                on_assignment_start=lambda _: None, on_assignment_completed=lambda *_: None
            ),
            lane_topics=set(self.counts),
        )
        self.members[name] = self.kind(app, replicas=self._standbys)  # type: ignore[arg-type]

    def rebalance(self, order: list[str] | None = None) -> dict[str, dict[str, list[int]]]:
        """Give out all partitions, over the wire's form; return them by member and topic."""
        names = order or list(self.members)
        told: dict[str, Any] = {
            f"id-{name}": ConsumerProtocolMemberMetadata.decode(
                self.members[name].metadata(set(self.counts)).encode()
            )
            for name in names
        }
        answers = self.members[names[0]].assign(Topics(self.counts), told)
        found = {}
        for name in names:
            answer = ConsumerProtocolMemberAssignment.decode(answers[f"id-{name}"].encode())
            self.members[name].on_assignment(answer)
            found[name] = {topic: sorted(numbers) for topic, numbers in answer.assignment}
        return found
