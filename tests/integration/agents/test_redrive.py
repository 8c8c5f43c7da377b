"""Dead letters of real agents, mended and sent again: once, and to the agent that refused them alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import pytest_asyncio
from aiokafka import ConsumerRecord

from agents.normalizer.domain.claim_837p import MAPPING, MAPPING_VERSION
from agents.normalizer.samples import generate
from fleet.cli.run.aggregates import BY_DAY
from fleet.lane.dead_letters import reason_of
from schemas.envelope import derived_id
from schemas.registry import Registry
from tables.access import Actor, Role
from tables.dead_letters import DeadLetters, Letter, LetterId
from tables.dead_letters.editing import Edit
from tables.dead_letters.payload import Payload
from tests.support.agents_claims import TIME, a_claim
from tests.support.agents_fleet import BY_HOUR, CANONICAL, PARTIALS, PARTITIONS, RAW, SUBJECT, Fleet, Sent
from tests.support.agents_mark import Mark
from tests.support.polling import until

STEWARD = Actor(id="key:steward", team="platform", roles=(Role.STEWARD,))
LIMIT_S = 60.0
LONG_AGO = datetime(2020, 1, 5, tzinfo=UTC)


@pytest_asyncio.fixture
async def letters(fleet: Fleet) -> AsyncIterator[DeadLetters]:
    """The service, beside the agents."""
    async with Registry(fleet.settings.registry) as registry:
        service = DeadLetters(fleet.lane, registry)
        yield service
        await service.stop()


@pytest.fixture
async def mark(fleet: Fleet) -> Mark:
    """How things stood before the test."""
    return await Mark.of(fleet)


async def letter_of(mark: Mark, agent: str, sent: Sent) -> LetterId:
    """Wait for the dead letter of a record."""
    await mark.only_letter(agent, sent)
    (record,) = await mark.dead_letters(agent)
    return LetterId(agent, record.partition, record.offset)


async def mended(letters: DeadLetters, where: LetterId, value: bytes) -> Letter:
    """Redrive a copy of a letter that has another value."""
    copy = await letters.edit(where, Edit(payload=Payload(format="hex", content=value.hex())), STEWARD)
    return await letters.redrive(copy.id, STEWARD)


async def encoded(fleet: Fleet, time: datetime = TIME) -> bytes:
    """Return a good event."""
    async with fleet.codec() as codec:
        return codec.encode(SUBJECT, a_claim(time=time))


async def test_a_mended_file_gives_the_events_that_it_would_have_given(
    fleet: Fleet, mark: Mark, letters: DeadLetters
) -> None:
    """Their ids come of the first position; the file is in its source topic once, as it was."""
    bad = await fleet.send(RAW, b"bad-system", b"no interchange at all")
    where = await letter_of(mark, "normalizer", bad)
    fleet.files += 1
    (file,) = generate(1, seed=1000 + fleet.files)
    await mended(letters, where, file.content)
    await mark.counted(events=1, aggregated=1)
    (event,) = await mark.since(CANONICAL)
    async with fleet.codec() as codec:
        position = codec.decode(event.value)["source"]["segment_position"]
    assert dict(event.headers)["ce_id"].decode() == derived_id(
        *bad.place, f"{MAPPING}@{MAPPING_VERSION}/{position}"
    )
    assert [record.value for record in await mark.since(RAW)] == [bad.value]


async def test_an_event_that_two_agents_refused_goes_to_one(
    fleet: Fleet, mark: Mark, letters: DeadLetters
) -> None:
    """Redriven to the aggregator it counts there, once; the router does not see it again."""
    bad = await fleet.send(CANONICAL, b"npi", b"not Avro", [("ce_type", b"canonical.claim")])
    where = await letter_of(mark, PARTIALS, bad)
    other = await letter_of(mark, "router", bad)
    await mended(letters, where, await encoded(fleet))
    await mark.counted(events=1, aggregated=1)
    assert await mark.since("fleet.redrive.router") == []
    assert len(await mark.since(f"fleet.redrive.{PARTIALS}")) == 1
    assert len(await mark.since(CANONICAL)) == 1
    assert (await letters.get(other, STEWARD)).state == "open"
    assert (await mark.delta())["(dead-letters)"] == 1


async def test_a_redriven_event_may_be_late(fleet: Fleet, mark: Mark, letters: DeadLetters) -> None:
    """Its windows are closed by now: that is told for each aggregation with windows, and the other has it."""
    for partition in range(PARTITIONS):
        await fleet.send(CANONICAL, b"late", await encoded(fleet, time=TIME), partition=partition)
    for name in (BY_HOUR, BY_DAY):
        await until(partial(is_past, fleet, name, LONG_AGO), LIMIT_S, f"{name} past {LONG_AGO}")
    bad = await fleet.send(CANONICAL, b"late", b"not Avro")
    await mended(letters, await letter_of(mark, PARTIALS, bad), await encoded(fleet, time=LONG_AGO))
    await mark.counted(aggregated=PARTITIONS + 1)

    async def both() -> list[ConsumerRecord]:
        found = await mark.since("fleet.aggregator.late")
        return found if len(found) == 2 else []

    late = [dict(record.headers) for record in await until(both, LIMIT_S, "two late records")]
    assert {each["fleet_aggregation"] for each in late} == {
        f"{name}~1".encode() for name in (BY_HOUR, BY_DAY)
    }
    assert {(each["fleet_late_reason"], each["fleet_late_count"]) for each in late} == {(b"sent_again", b"1")}
    assert len(await mark.dead_letters(PARTIALS)) == 2  # The letter, and its edited copy.


async def is_past(fleet: Fleet, name: str, time: datetime) -> bool:
    """Return whether the windows of an aggregation that hold a time have closed."""
    watermark = (await fleet.aggregates(name))["watermark"]
    return watermark is not None and datetime.fromisoformat(watermark) - time > timedelta(days=8)


async def test_one_that_is_no_better_comes_back(fleet: Fleet, mark: Mark, letters: DeadLetters) -> None:
    """A new letter with the first position, that says which attempt has failed."""
    bad = await fleet.send(RAW, b"bad-system", b"no interchange at all")
    where = await letter_of(mark, "normalizer", bad)
    await letters.redrive(where, STEWARD)

    async def both() -> list[ConsumerRecord]:
        found = await mark.dead_letters("normalizer")
        return found if len(found) == 2 else []

    first, second = await until(both, LIMIT_S, "the second letter")
    why = reason_of(second.headers)
    assert (why["topic"], int(why["partition"]), int(why["offset"])) == bad.place
    assert (why["attempt"], why["reason"]) == ("2", "not_x12")
    assert (second.key, second.value) == (first.key, first.value)
