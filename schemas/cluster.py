"""Topics of a Kafka cluster: read their state, carry out a plan. Safe to repeat."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from fleet.errors import FatalError, TransientError
from fleet.settings import Settings
from schemas.topics import Action, Plan, TopicPlan, TopicSpec, TopicState, plan

LEADERS_TIMEOUT_S = 30.0
_POLL_S = 0.05
_REQUEST_TIMEOUT_MS = 15_000
_SET_ON_TOPIC = 1  # DescribeConfigs: config_source DYNAMIC_TOPIC_CONFIG
_REFUSED_BY_KAFKA = (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    TopicAuthorizationFailedError,
)


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[Any]:
    """Open an admin client, and translate every Kafka error once, here."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, request_timeout_ms=_REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        yield admin
    except _REFUSED_BY_KAFKA as error:
        message = f"Kafka at {settings.kafka} refused the topic administration ({type(error).__name__})"
        raise FatalError(message, hint="grant this user CREATE, DESCRIBE and ALTER_CONFIGS") from error
    except (KafkaError, TimeoutError, OSError) as error:
        message = f"Kafka at {settings.kafka} did not answer ({type(error).__name__})"
        raise TransientError(message, hint="start it, or set EVENTFLEET_BOOTSTRAP_SERVERS") from error
    finally:
        await admin.close()


async def read_topics(names: Iterable[str], settings: Settings) -> dict[str, TopicState]:
    """Return the state of those of `names` that exist.

    Raises:
        TransientError: Kafka cannot be reached.
        FatalError: Kafka refuses the administration.
    """
    async with _admin(settings) as admin:
        return await _read(admin, names)


async def apply(wanted: Plan, settings: Settings) -> None:
    """Carry out a plan and wait until every new partition has a leader; nothing if it has refusals.

    Raises:
        TransientError: Kafka cannot be reached, or a topic gets no leader in time.
        FatalError: The plan has refusals (nothing is changed then), or Kafka refuses a change.
    """
    if wanted.refusals:
        raise FatalError(f"topics are not as the catalogue says: {wanted.refusals[0]}")
    async with _admin(settings) as admin:
        await _create(admin, wanted.having(Action.CREATE), wanted.replication_factor)
        for topic in wanted.having(Action.ALTER):
            await _alter(admin, topic)
        await _await_leaders(admin, {topic.spec.name: topic.spec.partitions for topic in wanted.topics})


async def ensure_topics(specs: Iterable[TopicSpec], settings: Settings) -> Plan:
    """Plan and apply in one step; return what was done.

    Safe when several workers do it at once: a topic that another one just made is compared, not made.

    Raises:
        TransientError: Kafka cannot be reached, or a topic gets no leader in time.
        FatalError: A topic differs in a way that is refused.
    """
    wanted = tuple(specs)
    names = [spec.name for spec in wanted]
    done = plan(wanted, await read_topics(names, settings), replication_factor=settings.replication_factor)
    await apply(done, settings)
    if not done.in_sync:
        after = await read_topics(names, settings)
        left = plan(wanted, after, replication_factor=settings.replication_factor)
        if left.refusals:
            raise FatalError(f"topics are not as they should be: {left.refusals[0]}")
    return done


async def _metadata(admin: Any) -> list[dict[str, Any]]:
    # All topics, not the named ones: asking for a missing topic by name creates it where
    # the broker auto-creates topics.
    topics: list[dict[str, Any]] = await admin.describe_topics()
    return topics


async def _read(admin: Any, names: Iterable[str]) -> dict[str, TopicState]:
    wanted = set(names)
    found = {topic["topic"]: topic["partitions"] for topic in await _metadata(admin)}
    existing = {name: partitions for name, partitions in found.items() if name in wanted and partitions}
    if not existing:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in existing]
    states = {}
    for response in await admin.describe_configs(resources):
        for code, message, _, name, entries in response.resources:
            if code:
                raise for_code(code)(message)
            states[name] = _state(existing[name], entries)
    return states


def _state(partitions: list[dict[str, Any]], entries: list[tuple[Any, ...]]) -> TopicState:
    return TopicState(
        partitions=len(partitions),
        replication_factor=min(len(partition["replicas"]) for partition in partitions),
        configs={entry[0]: entry[1] for entry in entries if entry[1] is not None},
        overrides={entry[0]: entry[1] for entry in entries if entry[3] == _SET_ON_TOPIC},
    )


async def _create(admin: Any, topics: tuple[TopicPlan, ...], replication_factor: int) -> None:
    if not topics:
        return
    response = await admin.create_topics(
        [
            NewTopic(
                topic.spec.name,
                topic.spec.partitions,
                replication_factor,
                topic_configs=topic.spec.configs(replication_factor),
            )
            for topic in topics
        ]
    )
    for name, code, *message in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            detail = message[0] if message else for_code(code).__name__
            raise FatalError(f"Kafka did not create topic {name} ({detail})")


async def _alter(admin: Any, topic: TopicPlan) -> None:
    name, state = topic.spec.name, topic.state
    configs = {c.setting: c.wanted for c in topic.changes if c.setting != "partitions"}
    if configs and state is not None:
        # AlterConfigs replaces all overrides of a topic, so those that nobody changes go along.
        merged = {**state.overrides, **configs}
        responses = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, merged)])
        for response in responses:
            for code, message, *_ in response.resources:
                if code:
                    raise FatalError(f"Kafka did not change topic {name} ({message})")
    if any(c.setting == "partitions" for c in topic.changes):
        await admin.create_partitions({name: NewPartitions(topic.spec.partitions)})


async def _await_leaders(admin: Any, partitions: dict[str, int]) -> None:
    deadline = time.monotonic() + LEADERS_TIMEOUT_S
    while missing := _leaderless(await _metadata(admin), partitions):
        if time.monotonic() > deadline:
            message = f"topic {missing[0]} has partitions without a leader"
            raise TransientError(message, hint="see the log of the brokers")
        await asyncio.sleep(_POLL_S)


def _leaderless(metadata: list[dict[str, Any]], partitions: dict[str, int]) -> list[str]:
    led = {
        topic["topic"]: sum(1 for p in topic["partitions"] if not p["error_code"] and p["leader"] >= 0)
        for topic in metadata
    }
    return [name for name, count in partitions.items() if led.get(name, 0) < count]
