"""What is done about dead letters: once, whoever else asks, and with the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fleet.errors import PermanentError
from fleet.lane.config import LaneConfig
from fleet.lane.dead_letters import reason_of
from fleet.lane.partitioner import partition_of
from fleet.settings import Settings
from schemas.registry import Registry
from tables.access import Actor, Role
from tables.audit_pages import Wanted, page
from tables.dead_letters import AUDIT, DeadLetters, Letter, LetterId, Selection, State
from tables.dead_letters.editing import Edit
from tables.dead_letters.payload import Payload
from tables.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from tests.support.dead_letters import PUBLISHED_MS, Desk
from tests.support.lane_kafka import Cluster

STEWARD = Actor(id="key:steward", team="platform", roles=(Role.STEWARD,))
VIEWER = Actor(id="key:viewer", team="claims", roles=(Role.VIEWER,))


async def listed(letters: DeadLetters, desk: Desk, **wanted: Any) -> list[Letter]:
    """Return this test's letters, the newest first."""
    return (await letters.page(Selection(reason=desk.reason, **wanted), VIEWER, limit=500)).letters


async def audited(settings: Settings, where: LetterId) -> list[tuple[str, str, str]]:
    """Return action, actor and reason of all that was done with a letter, the last first."""
    found = await page(LaneConfig.of(settings), AUDIT, Wanted(name=where.name))
    assert found.chain.intact
    return [(each["action"], each["actor"]["id"], each["reason"]) for each in found.records]


async def test_a_letter_is_redriven_to_its_agents_inbox_as_it_was(
    letters: DeadLetters, desk: Desk, stack_settings: Settings
) -> None:
    """Key, value and headers, on the partition that it was read from, with its first position."""
    where = await desk.write(b"\x00\xff", key=b"k", offset=41, partition=3)
    redriven = await letters.redrive(where, STEWARD, "mended")
    assert (redriven.state, redriven.acted_by) == (State.REDRIVEN, "key:steward")
    (record,) = await desk.redriven()
    assert (record.partition, record.key, record.value) == (3, b"k", b"\x00\xff")
    assert record.headers[0] == ("ce_id", b"1")
    why = reason_of(record.headers)
    position = {name: why[name] for name in ("topic", "partition", "offset", "timestamp", "attempt")}
    assert position == {
        "topic": "raw.x12",
        "partition": "3",
        "offset": "41",
        "timestamp": str(PUBLISHED_MS),
        "attempt": "2",
    }
    assert await audited(stack_settings, where) == [("redrive", "key:steward", "mended")]


async def test_a_letter_of_a_wider_topic_is_redriven_to_the_task_that_follows_its_partition(
    letters: DeadLetters, desk: Desk
) -> None:
    """An inbox has the partitions of the agent's sources, and what it follows may have more."""
    where = await desk.write(offset=5, partition=2 * 6 + 4)
    await letters.redrive(where, STEWARD)
    (record,) = await desk.redriven()
    assert record.partition == 4
    assert reason_of(record.headers)["partition"] == "16"


async def test_a_double_click_redrives_once(
    letters: DeadLetters, desk: Desk, stack_settings: Settings
) -> None:
    """Two services at the same time, each asked twice: one record, and the others are told since when."""
    where = await desk.write()
    async with Registry(stack_settings.registry) as registry:
        other = DeadLetters(LaneConfig.of(stack_settings), registry)
        both = (letters, other, letters, other)
        outcomes = await asyncio.gather(
            *(service.redrive(where, STEWARD) for service in both), return_exceptions=True
        )
        await other.stop()
    done = [each for each in outcomes if isinstance(each, Letter)]
    refused = [each for each in outcomes if isinstance(each, ConflictError)]
    assert (len(done), len(refused)) == (1, 3)
    for error in refused:
        assert f"{where.name} was already redriven at {done[0].acted_at} by key:steward" in str(error)
    assert len(await desk.redriven()) == 1
    assert len(await audited(stack_settings, where)) == 1


async def test_an_edited_copy_is_a_letter_of_its_own(letters: DeadLetters, desk: Desk) -> None:
    """The original stays, and is not to be redriven any more; its copy is, with the new content."""
    where = await desk.write(b"ISA*bad~", offset=7)
    edit = Edit(
        payload=Payload(format="text", content="ISA*good~"), headers=[("ce_id", "1"), ("mended", "yes")]
    )
    copy = await letters.edit(where, edit, STEWARD, "the terminator was wrong")
    assert (copy.copy_of, copy.state, copy.reason) == (where.name, State.OPEN, desk.reason)
    assert (await letters.get(where, VIEWER)).state is State.EDITED
    for again in (letters.redrive(where, STEWARD), letters.edit(where, edit, STEWARD)):
        with pytest.raises(ConflictError, match=r"was already edited .*redrive its copy"):
            await again
    await letters.redrive(copy.id, STEWARD)
    (record,) = await desk.redriven()
    assert record.value == b"ISA*good~"
    assert record.headers[:2] == (("ce_id", b"1"), ("mended", b"yes"))
    assert reason_of(record.headers)["offset"] == "7"
    _, content, _ = await letters.look(where, STEWARD)
    assert content.value == b"ISA*bad~"


async def test_a_copy_with_another_key_goes_where_that_key_is(letters: DeadLetters, desk: Desk) -> None:
    """State is kept by key: the task that has it gets the record."""
    new = next(b"npi-%d" % n for n in range(99) if partition_of(b"npi-%d" % n, 6) == 5)
    where = await desk.write(key=b"npi", partition=2)
    key = Payload(format="text", content=new.decode())
    copy = await letters.edit(where, Edit(key=key), STEWARD)
    assert copy.partition == 2
    await letters.redrive(copy.id, STEWARD)
    (record,) = await desk.redriven()
    assert (record.partition, record.key) == (5, new)
    assert ("fleet_dl_rekeyed", b"true") in record.headers


async def test_avro_is_shown_and_edited_as_json(
    letters: DeadLetters, desk: Desk, stack_settings: Settings, unique: Callable[[str], str]
) -> None:
    """Decimals and times as text, under the schema that the value was written by."""
    async with Registry(stack_settings.registry) as registry:
        schema_id = await registry.register(unique("subject"), CLAIM)
    claim = {"id": "c-1", "charge": "12.50", "at": "2026-01-05T12:00:00+00:00", "note": None, "codes": ["A"]}
    made = Payload(format="avro", content=claim, schema_id=schema_id)
    where = await desk.write()
    copy = await letters.edit(where, Edit(payload=made), STEWARD)
    _, content, payload = await letters.look(copy.id, STEWARD)
    assert content.value is not None
    assert content.value[:5] == b"\x00" + schema_id.to_bytes(4, "big")
    assert payload == made
    wrong = Payload(format="avro", content={**claim, "charge": "twelve"}, schema_id=schema_id)
    with pytest.raises(InvalidInputError, match=r"payload.content.charge: 'twelve' is no decimal"):
        await letters.edit(copy.id, Edit(payload=wrong), STEWARD)
    missing = Payload(format="avro", content={"id": "c-1"}, schema_id=schema_id)
    with pytest.raises(InvalidInputError, match=f"payload.content is not of schema id {schema_id}"):
        await letters.edit(copy.id, Edit(payload=missing), STEWARD)


CLAIM = {
    "type": "record",
    "name": "Claim",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "charge", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "note", "type": ["null", "string"]},
        {"name": "codes", "type": {"type": "array", "items": "string"}},
    ],
}


async def test_looking_into_a_letter_is_audited(
    letters: DeadLetters, desk: Desk, stack_settings: Settings
) -> None:
    """Who looked, and why; seeing it in a list is not."""
    where = await desk.write(b'{"a": 1}')
    await listed(letters, desk)
    await letters.get(where, VIEWER)
    assert await audited(stack_settings, where) == []
    _, _, payload = await letters.look(where, STEWARD, "ticket 1")
    assert payload == Payload(format="json", content={"a": 1})
    assert await audited(stack_settings, where) == [("look", "key:steward", "ticket 1")]
    assert (await letters.redrive(where, STEWARD)).state is State.REDRIVEN


async def test_a_payload_that_stayed_at_its_source_is_fetched_there(
    letters: DeadLetters, desk: Desk, cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """The record comes to the inbox whole, as the source still has it."""
    source = unique("source")
    await cluster.create({source: 1})
    async with cluster.producer() as producer:
        sent = await producer.send_and_wait(source, b"large", key=b"k", headers=[("ce_id", b"9")])
    where = await desk.write(
        None, key=b"k", source=source, partition=0, offset=sent.offset, claim_checked=True
    )
    await letters.redrive(where, STEWARD)
    (record,) = await desk.redriven()
    assert (record.key, record.value, record.headers[0]) == (b"k", b"large", ("ce_id", b"9"))
    assert "claim_check" not in reason_of(record.headers)


async def test_a_payload_that_is_gone_is_said(
    letters: DeadLetters, desk: Desk, cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """The letter stays open; the line names where the payload was. The rest of it can still be looked at."""
    source = unique("source")
    await cluster.create({source: 1})
    where = await desk.write(source=source, partition=0, offset=4, claim_checked=True)
    with pytest.raises(PermanentError, match=f"stayed at {source}/0/4, which Kafka has deleted") as caught:
        await letters.redrive(where, STEWARD)
    assert caught.value.reason == "payload_gone"
    letter, content, payload = await letters.look(where, STEWARD)
    assert (letter.state, content.key, payload.format) == (State.OPEN, b"key", "gone")
    assert f"{source}/0/4" in payload.content


async def test_what_the_inbox_cannot_take_is_refused_with_its_limit(
    letters: DeadLetters, desk: Desk, cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Nothing is written, and the letter stays open."""
    source = unique("source")
    await cluster.create({source: 1}, max_message_bytes=str(10 << 20))
    async with cluster.producer(max_request_size=10 << 20) as producer:
        sent = await producer.send_and_wait(source, bytes(9_437_000))
    where = await desk.write(source=source, partition=0, offset=sent.offset, claim_checked=True)
    with pytest.raises(PermanentError, match=r"fleet\.redrive\.normalizer takes 9,437,184 bytes"):
        await letters.redrive(where, STEWARD)
    assert (await letters.get(where, VIEWER)).state is State.OPEN
    assert await desk.redriven() == []


async def test_purged_letters_are_hidden_and_stay(
    letters: DeadLetters, desk: Desk, stack_settings: Settings
) -> None:
    """They are in no list, except where purged ones are asked for, and cannot be redriven."""
    first, second = await desk.write(offset=1), await desk.write(offset=2)
    with pytest.raises(InvalidInputError, match="a purge needs a reason"):
        await letters.purge([first], STEWARD, " ")
    assert (await letters.purge([first], STEWARD, "test data")).done == 1
    assert [each.id for each in await listed(letters, desk)] == [second]
    assert [each.id for each in await listed(letters, desk, state="purged")] == [first]
    with pytest.raises(ConflictError, match="was already purged"):
        await letters.redrive(first, STEWARD)
    outcome = await letters.purge(Selection(reason=desk.reason), STEWARD, "all of it")
    assert (outcome.done, outcome.skipped) == (1, 0)
    assert await letters.count(Selection(reason=desk.reason), VIEWER) == {}
    assert await audited(stack_settings, first) == [("purge", "key:steward", "test data")]


async def test_letters_are_found_by_what_is_known_of_them(letters: DeadLetters, desk: Desk) -> None:
    """Agent, source, rule, state and time, each alone; the newest first; none where none fits."""
    plain = await desk.write(offset=1, source="raw.one")
    ruled = await desk.write(offset=2, added=(("fleet_dl_rule", b"big@7"),))
    redriven = await desk.write(offset=3)
    await letters.redrive(redriven, STEWARD)
    at = {each.id: each.failed_at_ms for each in await listed(letters, desk)}
    for wanted, expected in (
        ({}, [redriven, ruled, plain]),
        ({"source": "raw.one"}, [plain]),
        ({"rule": "big"}, [ruled]),
        ({"rule": "big@7"}, [ruled]),
        ({"rule": "big@8"}, []),
        ({"state": "open"}, [ruled, plain]),
        ({"state": "redriven"}, [redriven]),
        ({"since_ms": at[redriven] + 1}, []),
        ({"until_ms": at[plain]}, []),
        ({"agent": "router"}, []),
    ):
        found = await listed(letters, desk, **wanted)
        assert [each.id for each in found] == expected, wanted


async def test_pages_hold_each_letter_once(letters: DeadLetters, desk: Desk) -> None:
    """From the newest backwards over several partitions, also while more letters come."""
    written = [await desk.write(offset=number, partition=number % 3) for number in range(12)]
    found: list[LetterId] = []
    after, pages = "", 0
    while True:
        got = await letters.page(Selection(reason=desk.reason), VIEWER, after=after, limit=5)
        found += [each.id for each in got.letters]
        pages += 1
        await desk.write(offset=100 + pages)
        if not (after := got.after):
            break
    assert sorted(found) == sorted(written)
    assert found[:5] == written[:-6:-1]
    with pytest.raises(InvalidInputError, match="after is not what a page gave"):
        await letters.page(Selection(), VIEWER, after="bm9uZQ")


async def test_who_may_see_need_not_be_who_may_act(letters: DeadLetters, desk: Desk) -> None:
    """A viewer lists; contents and actions are for owners and stewards."""
    where = await desk.write()
    nobody = Actor(id="key:none", team="claims")
    with pytest.raises(ForbiddenError):
        await letters.page(Selection(), nobody)
    for forbidden in (
        letters.look(where, VIEWER),
        letters.edit(where, Edit(), VIEWER),
        letters.redrive(where, VIEWER),
        letters.purge([where], VIEWER, "why"),
    ):
        with pytest.raises(ForbiddenError, match="key:viewer of team claims may not"):
            await forbidden


async def test_headers_of_the_platform_cannot_be_forged(letters: DeadLetters, desk: Desk) -> None:
    """A position of somebody's choice would give derived ids of other records."""
    where = await desk.write()
    with pytest.raises(InvalidInputError, match="header fleet_dl_offset is the platform's own"):
        await letters.edit(where, Edit(headers=[("fleet_dl_offset", "1")]), STEWARD)


async def test_what_is_not_there_is_named(letters: DeadLetters, desk: Desk) -> None:
    """An agent that nobody knows, and a letter that is not there."""
    with pytest.raises(NotFoundError, match="no agent 'nobody' has dead letters: use one of"):
        await letters.get(LetterId("nobody", 0, 0), VIEWER)
    with pytest.raises(NotFoundError, match=f"no dead letter {desk.agent}/0/999999"):
        await letters.redrive(LetterId(desk.agent, 0, 999_999), STEWARD)
