"""The difference between specs and a cluster: what is done and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.topics import UNLIMITED, Action, TopicSpec, TopicState, plan

DAY_MS = 86_400_000
SPEC = TopicSpec(
    "canonical.claim",
    partitions=6,
    retention_ms=30 * DAY_MS,
    retention_bytes=10_000,
    min_insync_replicas=2,
    max_message_bytes=2_000_000,
)
COMPACTED = TopicSpec("fleet.config.routes", partitions=1, cleanup="compact")


def state_of(spec: TopicSpec, *, replicas: int = 3) -> TopicState:
    """Return the state of a topic that is exactly as its spec says."""
    configs = spec.configs(replicas)
    return TopicState(spec.partitions, replicas, configs, configs)


def change(
    wanted: TopicSpec, current: TopicSpec = SPEC, *, replicas: int = 3
) -> tuple[Action, tuple[str, ...]]:
    """Return what a plan does when a topic should go from `current` to `wanted`, and what it refuses."""
    found = plan([wanted], {current.name: state_of(current, replicas=replicas)}, replication_factor=replicas)
    return found.topics[0].action, found.refusals


def test_a_missing_topic_is_created() -> None:
    """A topic that the cluster does not have is created; others of the cluster are left alone."""
    found = plan([SPEC], {"other": state_of(COMPACTED)}, replication_factor=3)
    assert [topic.action for topic in found.topics] == [Action.CREATE]
    assert not found.in_sync


@pytest.mark.parametrize("spec", [SPEC, COMPACTED])
def test_a_topic_as_it_should_be_is_in_sync(spec: TopicSpec) -> None:
    """Nothing differs, nothing is done."""
    found = plan([spec], {spec.name: state_of(spec)}, replication_factor=3)
    assert found.in_sync
    assert found.topics[0].changes == ()


@pytest.mark.parametrize(
    "wanted",
    [
        replace(SPEC, retention_ms=31 * DAY_MS),
        replace(SPEC, retention_ms=UNLIMITED),
        replace(SPEC, retention_bytes=UNLIMITED),
        replace(SPEC, max_message_bytes=3_000_000),
        replace(SPEC, min_insync_replicas=3),
    ],
)
def test_a_change_that_keeps_all_data_is_applied(wanted: TopicSpec) -> None:
    """Longer retention, larger messages and more in-sync replicas lose nothing."""
    assert change(wanted) == (Action.ALTER, ())


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (replace(SPEC, partitions=5), "canonical.claim: partitions 6 -> 5: partitions cannot be removed"),
        (replace(SPEC, partitions=12), "canonical.claim: partitions 6 -> 12: keys would move"),
        (
            replace(SPEC, retention_ms=29 * DAY_MS),
            "canonical.claim: retention.ms 2592000000 -> 2505600000: records would be deleted; keep 2592",
        ),
        (
            replace(SPEC, retention_bytes=9_999),
            "canonical.claim: retention.bytes 10000 -> 9999: records would be deleted; keep 10000",
        ),
        (
            replace(SPEC, max_message_bytes=1_000_000),
            "canonical.claim: max.message.bytes 2000000 -> 1000000: larger messages would be refused",
        ),
        (
            replace(SPEC, min_insync_replicas=1),
            "canonical.claim: min.insync.replicas 2 -> 1: acknowledged writes could be lost",
        ),
        (
            replace(SPEC, cleanup="compact"),
            "canonical.claim: cleanup.policy delete -> compact: records would be deleted by other rules",
        ),
    ],
)
def test_a_change_that_loses_data_is_refused(wanted: TopicSpec, line: str) -> None:
    """A refusal is one line: topic, what, from -> to, what to do."""
    action, refusals = change(wanted)
    assert action is Action.REFUSED
    assert len(refusals) == 1
    assert refusals[0].startswith(line)
    assert "\n" not in refusals[0]


def test_an_unlimited_retention_is_not_shortened() -> None:
    """-1 is the longest retention, not the shortest."""
    action, refusals = change(SPEC, replace(SPEC, retention_ms=UNLIMITED))
    assert action is Action.REFUSED
    assert "retention.ms -1 -> 2592000000" in refusals[0]


def test_a_compacted_topic_does_not_become_a_deleted_one() -> None:
    """From compact to delete, the last value of a key would expire."""
    deleted = replace(COMPACTED, cleanup="delete", retention_ms=DAY_MS)
    action, refusals = change(deleted, COMPACTED)
    assert action is Action.REFUSED
    assert "cleanup.policy compact -> delete" in refusals[0]


def test_partitions_are_added_where_no_key_can_move() -> None:
    """A topic without keys takes more partitions."""
    assert change(replace(SPEC, partitions=12, keyed=False)) == (Action.ALTER, ())


def test_fewer_replicas_than_wanted_are_reported() -> None:
    """Replicas cannot be added by the platform: the line names the tool that does."""
    found = plan([SPEC], {SPEC.name: state_of(SPEC, replicas=2)}, replication_factor=3)
    assert found.refusals == (
        "canonical.claim: replication.factor 2 -> 3: move the replicas first with kafka-reassign-partitions",
    )


def test_in_sync_replicas_are_capped_by_the_replicas_there_are() -> None:
    """On a cluster of one broker, two in-sync replicas would make every write fail."""
    assert SPEC.configs(1)["min.insync.replicas"] == "1"
    assert change(SPEC, SPEC, replicas=1) == (Action.IN_SYNC, ())


def test_one_refused_setting_refuses_the_topic() -> None:
    """A topic with a safe and an unsafe change is not changed by half."""
    wanted = replace(SPEC, retention_ms=31 * DAY_MS, max_message_bytes=1)
    action, refusals = change(wanted)
    assert action is Action.REFUSED
    assert len(refusals) == 1
