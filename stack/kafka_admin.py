"""What the stack asks of a broker, through a real client."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from fleet.errors import FatalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeVar

    Answer = TypeVar("Answer")

_REQUEST_TIMEOUT_MS = 10_000


def broker_answers(bootstrap_servers: str) -> bool:
    """Tell whether the broker takes part in its cluster, as a client sees it."""

    async def describe(admin: AIOKafkaAdminClient) -> bool:
        return bool((await admin.describe_cluster())["brokers"])

    # A broker that is not there yet is what we wait for, no error to show.
    client_log = logging.getLogger("aiokafka")
    level = client_log.level
    client_log.setLevel(logging.CRITICAL)
    try:
        return _ask(bootstrap_servers, describe)
    except (KafkaError, OSError):
        return False
    finally:
        client_log.setLevel(level)


def create_journals(bootstrap_servers: str, names: list[str]) -> None:
    """Create the one-partition, never expiring topics of the registry where they do not exist.

    One partition keeps the journal in order beyond doubt; it is replayed whole at each start.

    Raises:
        FatalError: The broker refused.
    """
    keep = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    topics = [NewTopic(name, 1, 1, topic_configs=keep) for name in names]

    async def create(admin: AIOKafkaAdminClient) -> list[tuple[str, int, str]]:
        answer = await admin.create_topics(topics)
        return [(topic, code, text) for topic, code, text in answer.topic_errors]

    for name, code, text in _ask(bootstrap_servers, create):
        if code not in (0, TopicAlreadyExistsError.errno):
            raise FatalError(
                f"Kafka refused to create {name}: {text or for_code(code).__name__}",
                hint="see the log of the broker",
            )


def _ask(bootstrap_servers: str, question: Callable[[AIOKafkaAdminClient], Awaitable[Answer]]) -> Answer:
    async def ask() -> Answer:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=bootstrap_servers, request_timeout_ms=_REQUEST_TIMEOUT_MS
        )
        try:
            await admin.start()
            return await question(admin)
        finally:
            await admin.close()

    return asyncio.run(ask())
