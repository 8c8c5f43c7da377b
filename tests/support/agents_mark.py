"""What has happened on a fleet since a moment: counts, records, dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka import ConsumerRecord
from aiokafka.structs import TopicPartition

from fleet.lane.dead_letters import PREFIX, reason_of
from fleet.lane.reading import end_offsets, read_all
from schemas.catalogue import load_catalogue
from tests.support.polling import until

if TYPE_CHECKING:
    from tests.support.agents_fleet import Fleet, Sent

LIMIT_S = 60.0


@dataclass(frozen=True)
class Mark:
    """A moment, and what has happened since."""

    fleet: Fleet
    offsets: dict[TopicPartition, int]
    before: dict[str, int]

    @classmethod
    async def of(cls, fleet: Fleet) -> Mark:
        """Return how things stand now."""
        topics = [spec.name for spec in load_catalogue().specs()]
        return cls(fleet, await end_offsets(fleet.lane, topics), await fleet.counts())

    async def since(self, topic: str) -> list[ConsumerRecord]:
        """Return the committed records that came to a topic of the catalogue."""
        start = {tp: offset for tp, offset in self.offsets.items() if tp.topic == topic}
        return await read_all(self.fleet.lane, [topic], start)

    async def delta(self) -> dict[str, int]:
        """Return by how much the counts have grown; what has not is left out."""
        now = await self.fleet.counts()
        grown = {name: count - self.before.get(name, 0) for name, count in now.items()}
        return {name: count for name, count in grown.items() if count}

    async def counted(self, **expected: int) -> None:
        """Wait until these counts, named without brackets, have grown to exactly that much."""
        wanted = {f"({name})": count for name, count in expected.items()}

        async def reached() -> bool:
            found = await self.delta()
            return all(found.get(name, 0) >= count for name, count in wanted.items())

        await until(reached, LIMIT_S, f"counts {wanted}")
        found = await self.delta()
        assert {name: found.get(name, 0) for name in wanted} == wanted

    async def dead_letters(self, agent: str) -> list[ConsumerRecord]:
        """Return an agent's dead letters."""
        return await self.since(f"fleet.dead-letters.{agent}")

    async def only_letter(self, agent: str, sent: Sent) -> dict[str, str]:
        """Wait for the agent's dead letter, check that it is `sent` whole; return why."""

        async def some() -> list[ConsumerRecord]:
            return await self.dead_letters(agent)

        letters = await until(some, LIMIT_S, f"a dead letter of the {agent}")
        assert len(letters) == 1
        (letter,) = letters
        original = [header for header in letter.headers if not header[0].startswith(PREFIX)]
        assert (letter.key, letter.value, original) == (sent.key, sent.value, sent.headers)
        why = reason_of(letter.headers)
        assert (why["topic"], int(why["partition"]), int(why["offset"])) == sent.place
        assert why["agent"] == agent
        return why
