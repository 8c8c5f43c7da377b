"""Dead letters in a test's hand: written as an agent's lane does, and the inbox that they come back by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleet.lane.dead_letters import claim_checks, dead_letter_headers
from fleet.lane.effects import DeadLetter
from schemas.catalogue import load_catalogue
from schemas.cluster import ensure_topics
from tables.dead_letters import LetterId
from tests.support.lane_fakes import SourceRecord

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from fleet.settings import Settings
    from tests.support.lane_kafka import Cluster

PREFIXES = ("fleet.dead-letter", "fleet.audit.dead-letters", "fleet.redrive.")
PUBLISHED_MS = 1_767_614_400_000  # 2026-01-05 12:00 UTC
AGENT = "normalizer"


async def create_topics(settings: Settings) -> None:
    """Create the topics of dead letters."""
    specs = [spec for spec in load_catalogue().specs() if spec.name.startswith(PREFIXES)]
    await ensure_topics(specs, settings)


@dataclass(frozen=True)
class Desk:
    """Where a test writes dead letters of its own, told apart by their reason, and looks for them.

    Attributes:
        cluster: The broker.
        reason: Reason of all of them.
        agent: Agent that refused them.
    """

    cluster: Cluster
    reason: str
    agent: str = AGENT

    async def write(
        self,
        value: bytes | None = b"content",
        *,
        key: bytes | None = b"key",
        offset: int = 0,
        partition: int = 2,
        source: str = "raw.x12",
        headers: tuple[tuple[str, bytes], ...] = (("ce_id", b"1"),),
        claim_checked: bool = False,
        **more: Any,
    ) -> LetterId:
        """Write one dead letter, as the lane does."""
        record = SourceRecord(
            value, offset, key, topic=source, partition=partition, timestamp=PUBLISHED_MS, headers=headers
        )
        letter = DeadLetter(record, self.reason, "parse", f"detail of {offset}", **more)
        own = dead_letter_headers(self.agent, letter)
        if claim_checked:
            (key, own), *_ = claim_checks(key, own)
            value = None
        async with self.cluster.producer() as producer:
            topic = f"fleet.dead-letters.{self.agent}"
            at = partition % len(await producer.partitions_for(topic))
            sent = await producer.send_and_wait(topic, value, key=key, partition=at, headers=own)
        return LetterId(self.agent, sent.partition, sent.offset)

    async def redriven(self) -> list[ConsumerRecord]:
        """Return what came to the inbox of the letters of this test."""
        inbox = f"fleet.redrive.{self.agent}"
        await self.cluster.settled(inbox)
        reason = ("fleet_dl_reason", self.reason.encode())
        return [each for each in await self.cluster.read(inbox) if reason in each.headers]
