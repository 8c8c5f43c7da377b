"""What a topic should be, what the cluster has, and the difference between them.

Pure: no I/O here (see `schemas.cluster`). Specs come from the catalogue or from a
worker's own code (changelogs); the same rules hold for both. A change that would lose
data or break readers is refused with one line that says what to do instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

Cleanup: TypeAlias = Literal["delete", "compact"]

UNLIMITED = -1
DEFAULT_MAX_MESSAGE_BYTES = 1_048_588  # the broker's own default for message.max.bytes


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be.

    Attributes:
        name: Topic name.
        partitions: Number of partitions.
        keyed: Whether records are partitioned by key, so that partitions can never be added.
        cleanup: Kafka's ``cleanup.policy``.
        retention_ms: Age limit of records, milliseconds, `UNLIMITED` for none; not used when compacted.
        retention_bytes: Size limit of a partition, bytes, `UNLIMITED` for none; not used when compacted.
        min_insync_replicas: Replicas that must have a write; capped by the replication factor.
        max_message_bytes: Largest record batch, bytes.
    """

    name: str
    partitions: int
    keyed: bool = True
    cleanup: Cleanup = "delete"
    retention_ms: int = UNLIMITED
    retention_bytes: int = UNLIMITED
    min_insync_replicas: int = 1
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES

    def configs(self, replication_factor: int) -> dict[str, str]:
        """Return the Kafka topic configuration for a topic of `replication_factor` replicas."""
        wanted = {
            "cleanup.policy": self.cleanup,
            "min.insync.replicas": str(min(self.min_insync_replicas, replication_factor)),
            "max.message.bytes": str(self.max_message_bytes),
        }
        if self.cleanup == "delete":
            wanted["retention.ms"] = str(self.retention_ms)
            wanted["retention.bytes"] = str(self.retention_bytes)
        return wanted


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the cluster has it.

    Attributes:
        partitions: Number of partitions.
        replication_factor: Smallest number of replicas of its partitions.
        configs: Effective configuration, defaults of the broker included.
        overrides: The part of `configs` that is set on the topic itself.
    """

    partitions: int
    replication_factor: int
    configs: Mapping[str, str]
    overrides: Mapping[str, str]


class Action(StrEnum):
    """What a plan does about one topic."""

    CREATE = "create"
    ALTER = "alter"
    IN_SYNC = "in sync"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that differs; `refusal` says what to do where applying it would lose data."""

    setting: str
    current: str
    wanted: str
    refusal: str = ""

    def __str__(self) -> str:
        line = f"{self.setting} {self.current} -> {self.wanted}"
        return f"{line}: {self.refusal}" if self.refusal else line


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """The difference for one topic; `state` is None where the topic does not exist."""

    spec: TopicSpec
    state: TopicState | None
    changes: tuple[Change, ...] = ()

    @property
    def action(self) -> Action:
        """What applying the plan does about this topic."""
        if self.state is None:
            return Action.CREATE
        if any(change.refusal for change in self.changes):
            return Action.REFUSED
        return Action.ALTER if self.changes else Action.IN_SYNC


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference for all topics, in the order of their specs."""

    topics: tuple[TopicPlan, ...]
    replication_factor: int

    def having(self, action: Action) -> tuple[TopicPlan, ...]:
        """Return the topics about which the plan does `action`."""
        return tuple(topic for topic in self.topics if topic.action is action)

    @property
    def refusals(self) -> tuple[str, ...]:
        """One line for each change that was refused: topic, what, from -> to, what to do."""
        return tuple(
            f"{topic.spec.name}: {change}"
            for topic in self.topics
            for change in topic.changes
            if change.refusal
        )

    @property
    def in_sync(self) -> bool:
        """Whether the cluster already is as the specs say."""
        return all(topic.action is Action.IN_SYNC for topic in self.topics)


def plan(specs: Iterable[TopicSpec], cluster: Mapping[str, TopicState], *, replication_factor: int) -> Plan:
    """Compare `specs` with the topics of a cluster.

    Args:
        specs: The topics that should exist.
        cluster: State by topic name; topics that no spec names are left alone.
        replication_factor: Replicas of topics that have to be created.
    """
    topics = []
    for spec in specs:
        state = cluster.get(spec.name)
        changes = () if state is None else tuple(_changes(spec, state, replication_factor))
        topics.append(TopicPlan(spec, state, changes))
    return Plan(tuple(topics), replication_factor)


_NEW_TOPIC = "create a new topic, copy the records and switch producers and consumers"
_NO_DEFAULT = "(unset)"


def _changes(spec: TopicSpec, state: TopicState, replication_factor: int) -> Iterator[Change]:
    if spec.partitions != state.partitions:
        yield Change(
            "partitions", str(state.partitions), str(spec.partitions), _partitions_refusal(spec, state)
        )
    if state.replication_factor < replication_factor:
        yield Change(
            "replication.factor",
            str(state.replication_factor),
            str(replication_factor),
            "move the replicas first with kafka-reassign-partitions",
        )
    for setting, wanted in spec.configs(state.replication_factor).items():
        current = state.configs.get(setting, _NO_DEFAULT)
        if current != wanted:
            yield Change(setting, current, wanted, _config_refusal(setting, current, wanted))


def _partitions_refusal(spec: TopicSpec, state: TopicState) -> str:
    if spec.partitions < state.partitions:
        return f"partitions cannot be removed without losing their records; {_NEW_TOPIC}"
    if spec.keyed:
        return f"keys would move to other partitions; {_NEW_TOPIC}"
    return ""


def _config_refusal(setting: str, current: str, wanted: str) -> str:
    if current == _NO_DEFAULT:
        return ""
    match setting:
        case "cleanup.policy":
            return f"records would be deleted by other rules than before; {_NEW_TOPIC}"
        case "retention.ms" | "retention.bytes" if _limit(wanted) < _limit(current):
            return f"records would be deleted; keep {current}, or shorten it with kafka-configs first"
        case "max.message.bytes" if int(wanted) < int(current):
            return f"larger messages would be refused; keep {current}, or lower it with kafka-configs first"
        case "min.insync.replicas" if int(wanted) < int(current):
            return f"acknowledged writes could be lost; keep {current}, or lower it with kafka-configs first"
        case _:
            return ""


def _limit(value: str) -> float:
    return float("inf") if int(value) == UNLIMITED else int(value)
