"""The group's assignment: Faust's protocol and metadata, with sticky shares.

Stock Faust moves partitions that could stay (the odd one of 4 on 3 workers at every rebalance,
two instead of one when a worker joins), and with standbys leaves a joining worker without any
(docs/adr/0006-sticky-assignment-and-standbys.md).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from faust.assignor.client_assignment import ClientAssignment, ClientMetadata
from faust.assignor.partition_assignor import PartitionAssignor

from fleet.lane.sticky import Share, share_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from aiokafka.cluster import ClusterMetadata
    from faust.types.tuples import TP


class LaneClientMetadata(
    ClientMetadata, serializer="json", include_metadata=False, namespace="@LaneClientMetadata"
):
    """What a member tells the group, and is told: Faust's, and which assignment that was.

    Attributes:
        epoch: Counts the group's assignments; 0 for what does not say.
    """

    epoch: int = 0


class LaneAssignor(PartitionAssignor):
    """Gives out partitions so that no task moves without need, and standbys for those of the lane.

    A standby of a source partition stands for the state of the tasks that read it.
    """

    app: Any  # the LaneApp, which imports this module
    _epoch = 0

    @property
    def _metadata(self) -> LaneClientMetadata:
        return self._told(
            str(self._url),
            self._assignment,
            self.changelog_distribution,
            self.external_topic_distribution,
            self._topic_groups,
            self._epoch,
        )

    @staticmethod
    def _told(
        url: str, assignment: ClientAssignment, changelogs: Any, topics: Any, groups: Any, epoch: int
    ) -> LaneClientMetadata:
        return LaneClientMetadata(
            assignment=assignment,
            url=url,
            changelog_distribution=changelogs,
            external_topic_distribution=topics,
            topic_groups=groups,
            epoch=epoch,
        )

    @classmethod
    def _get_client_metadata(cls, metadata: Any) -> LaneClientMetadata:
        told: LaneClientMetadata = LaneClientMetadata.loads(metadata.user_data)
        return told

    def on_assignment(self, assignment: Any) -> None:
        """Take the group's answer."""
        super().on_assignment(assignment)
        self._epoch = LaneClientMetadata.loads(self._decompress(assignment.user_data)).epoch

    def _perform_assignment(self, cluster: ClusterMetadata, member_metadata: Mapping[str, Any]) -> Any:
        told = {member: self._get_client_metadata(data) for member, data in member_metadata.items()}
        self._update_member_urls(told)
        made: MutableMapping[str, ClientAssignment] = {
            member: ClientAssignment(actives={}, standbys={}) for member in told
        }
        counts: dict[str, int] = {}
        load: Counter[str] = Counter()
        for count, topics, members in _groups(cluster, member_metadata):
            counts.update(dict.fromkeys(topics, count))
            claims = {member: _claim(told[member], topics) for member in members}
            for member, share in share_out(count, claims, self.replicas, load).items():
                load[member] += len(share.actives)
                for topic in topics:
                    made[member].actives[topic] = sorted(share.actives)
                    made[member].standbys[topic] = sorted(share.standbys)
        made = self._global_table_standby_assignments(made, counts)
        return self._answers(made, counts, 1 + max(each.epoch for each in told.values()))

    def _answers(
        self, made: MutableMapping[str, ClientAssignment], counts: Mapping[str, int], epoch: int
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        changelogs = self._get_changelog_distribution(made)
        topics = self._get_external_topic_distribution(made)
        ids = {count: number for number, count in enumerate(sorted(set(counts.values())))}
        groups = {topic: ids[count] for topic, count in counts.items()}
        return {
            member: ConsumerProtocolMemberAssignment(
                self.version,
                sorted(assignment.kafka_protocol_assignment(self._table_manager)),
                self._compress(
                    self._told(
                        self._member_urls[member], assignment, changelogs, topics, groups, epoch
                    ).dumps()
                ),
            )
            for member, assignment in made.items()
        }

    def assigned_standbys(self) -> set[TP]:
        """Return the standbys that Faust itself keeps: none of the lane's."""
        return {tp for tp in super().assigned_standbys() if tp.topic not in self.app.lane_topics}

    def lane_standbys(self) -> set[TP]:
        """Return the source partitions that this worker keeps a copy of the state of."""
        return {tp for tp in super().assigned_standbys() if tp.topic in self.app.lane_topics}


def _groups(
    cluster: ClusterMetadata, member_metadata: Mapping[str, Any]
) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield (partition count, topics, members) of topics that are to be given out alike.

    Those are the topics of one count that the same members subscribe to.
    """
    subscribers: defaultdict[str, list[str]] = defaultdict(list)
    for member in sorted(member_metadata):
        for topic in member_metadata[member].subscription:
            subscribers[topic].append(member)
    groups: defaultdict[tuple[int, tuple[str, ...]], list[str]] = defaultdict(list)
    for topic in sorted(subscribers):
        count = len(cluster.partitions_for_topic(topic) or ())
        if count:
            groups[count, tuple(subscribers[topic])].append(topic)
    for (count, members), topics in sorted(groups.items(), reverse=True):
        yield count, topics, list(members)


def _claim(told: LaneClientMetadata, topics: list[str]) -> Share:
    """Return what a member had of `topics`: of the first one that it had any of."""

    def of(had: Mapping[str, list[int]]) -> set[int]:
        return next((set(had[topic]) for topic in topics if had.get(topic)), set())

    return Share(of(told.assignment.actives), of(told.assignment.standbys), told.epoch)
