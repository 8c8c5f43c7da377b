"""Many claims on a real broker: those of the benchmarks, which take seconds to publish."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.claims import Claim, claims, kinds
from benchmarks.publish import publish
from schemas.catalogue import load_catalogue
from schemas.registry import Registry

if TYPE_CHECKING:
    from fleet.settings import Settings

CANONICAL = "canonical.claim"
SUBJECT = "canonical.claim-value"
PARTITIONS = 6


@dataclass
class Published:
    """The claims that were published, in order."""

    claims: list[Claim] = field(default_factory=list)

    def add(self, claim: Claim) -> None:
        """Note the next one."""
        self.claims.append(claim)


async def publish_claims(settings: Settings, count: int, topic: str = CANONICAL) -> Published:
    """Publish `count` claims, with CloudEvents attributes source, type, region and priority."""
    schema: dict[str, Any] = load_catalogue().subjects()[SUBJECT]
    async with Registry(settings.registry) as registry:
        schema_id = await registry.register(SUBJECT, schema)
    published = Published()
    await publish(
        settings.kafka, topic, claims(count, kinds(schema, schema_id), partitions=PARTITIONS), published
    )
    return published
