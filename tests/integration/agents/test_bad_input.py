"""Bad input on real parts: a dead letter each, workers that go on, and nothing lost."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from agents.normalizer.samples import Sample, generate, malformed, sample_837p
from fleet.cli.run.publish import RawFile, publish
from fleet.errors import FatalError
from tests.support.agents_claims import a_claim
from tests.support.agents_fleet import CANONICAL, PARTIALS, RAW, SUBJECT, Fleet, Sent
from tests.support.agents_mark import Mark

HEADERS = [("ce_id", b"bad-1"), ("ce_type", b"canonical.claim"), ("x-binary", b"\x00\xff")]
REASONS = {
    "bad_file.edi": "not_x12",
    "error_validation.edi": "control_number_mismatch",
    "segment_terminator.edi": "missing_segment",
    "unknown_segment_error.edi": "unknown_segment",
}
UNKNOWN_ID = b"\x00" + (2_000_000_000).to_bytes(4, "big")


@pytest.fixture(autouse=True)
def same_processes(fleet: Fleet) -> Iterable[None]:
    """Every worker is, after each test, the process it was before."""
    before = fleet.pids()
    assert len(before) == 3
    yield
    assert fleet.pids() == before


@pytest.fixture
async def mark(fleet: Fleet) -> Mark:
    """How things stood before the test."""
    return await Mark.of(fleet)


def bad_files() -> list[Any]:
    """Return (content, reason) of files that cannot load."""
    samples = [pytest.param(each.content, REASONS[each.name], id=each.name) for each in malformed()]
    noise = random.Random(11).randbytes(4096)
    return [
        *samples,
        pytest.param(noise, "not_x12", id="random bytes"),
        pytest.param(None, "not_x12", id="tombstone"),
    ]


def one_file(fleet: Fleet) -> bytes:
    """Return a good file with one claim, another one each time."""
    fleet.files += 1
    (file,) = generate(1, seed=1000 + fleet.files)
    return file.content


@pytest.mark.parametrize(("content", "reason"), bad_files())
async def test_a_bad_file(content: bytes | None, reason: str, fleet: Fleet, mark: Mark) -> None:
    """It is a dead letter, and the good file right behind it goes through to the aggregate."""
    bad = await fleet.send(RAW, b"bad-system", content, HEADERS)
    good = await fleet.send(RAW, b"bad-system", one_file(fleet))
    assert good.place[1] == bad.place[1]
    await mark.counted(events=1, aggregated=1)
    why = await mark.only_letter("normalizer", bad)
    assert (why["reason"], why["step"]) == (reason, "parse")
    assert why["detail"]
    assert len(await mark.since(CANONICAL)) == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(UNKNOWN_ID + b"\x02", "unknown_schema_id", id="unknown schema id"),
        pytest.param(b"not Avro at all", "not_avro_wire_format", id="not wire format"),
        pytest.param(b"\xff\xff", "not_avro", id="not Avro of its schema"),
        pytest.param(None, "not_avro_wire_format", id="tombstone"),
    ],
)
async def test_a_bad_event(value: bytes | None, reason: str, fleet: Fleet, mark: Mark) -> None:
    """Router and aggregator each set it aside, and take the good event right behind it."""
    async with fleet.codec() as codec:
        if reason == "not_avro":
            value = b"\x00" + codec.schema_id(SUBJECT).to_bytes(4, "big") + (value or b"")
        good = codec.encode(SUBJECT, a_claim())
    bad = await fleet.send(CANONICAL, b"npi", value, HEADERS)
    await fleet.send(CANONICAL, b"npi", good, HEADERS, partition=bad.place[1])
    await mark.counted(events=2, aggregated=1)
    for agent in ("router", PARTIALS):
        why = await mark.only_letter(agent, bad)
        assert (why["reason"], why["step"]) == (reason, "decode")
    assert (await mark.delta())["(dead-letters)"] == 1


async def published(fleet: Fleet, *files: RawFile) -> list[RawFile]:
    """Publish files as ``eventfleet run`` does."""
    found: AsyncIterator[RawFile] = publish(fleet.settings, files)
    return [file async for file in found]


async def test_a_file_over_the_size_limit(fleet: Fleet, mark: Mark) -> None:
    """The publisher refuses it in one line that names file, size and limit; the others go through."""
    small, big = RawFile("s", "small.edi", one_file(fleet), good=True), b"~" * (8 << 20)
    with pytest.raises(FatalError) as caught:
        await published(fleet, small, RawFile("s", "big.edi", big, good=False))
    line = str(caught.value)
    assert "\n" not in line
    for part in ("big.edi", "8388608 bytes", RAW, "split it"):
        assert part in line
    await mark.counted(events=1, aggregated=1)
    assert len(await mark.since(RAW)) == 1


async def tripped(fleet: Fleet, value: bytes) -> Sent:
    """Send a claim that the rules of these tests look at, by its id."""
    return await fleet.send(CANONICAL, b"npi", value, [("ce_id", b"trip"), ("ce_type", b"canonical.claim")])


@pytest.mark.parametrize("reason", ["record_too_large", "unknown_topic"])
async def test_an_output_that_its_target_cannot_take(
    reason: str, fleet: Fleet, unique: Callable[[str], str]
) -> None:
    """It is a dead letter with the source's coordinates; the rule's other target gets its copy."""
    bad_target, good_target = unique("team.bad"), unique("team.good")
    await fleet.cluster.create({good_target: 1})
    if reason == "record_too_large":
        await fleet.cluster.create({bad_target: 1}, max_message_bytes="300")
    name = unique("trip")
    targets = [bad_target, good_target]
    async with fleet.rule(name, condition='attributes.id == "trip"', targets=targets):
        await fleet.rule_is_active(name)
        mark = await Mark.of(fleet)
        async with fleet.codec() as codec:
            sent = await tripped(fleet, codec.encode(SUBJECT, a_claim()))
        await mark.counted(events=1, matched=1, aggregated=1)
        why = await mark.only_letter("router", sent)
    assert (why["reason"], why["step"]) == (reason, "produce")
    assert bad_target in why["detail"]
    (copy,) = await fleet.cluster.read(good_target)
    assert (copy.key, copy.value) == (sent.key, sent.value)


async def test_a_sample_file_still_loads(fleet: Fleet, mark: Mark) -> None:
    """After all of this a real sample file is one event and one aggregated or late claim."""
    sample: Sample = sample_837p()[-1]
    await fleet.send(RAW, b"samples", sample.content)
    await mark.counted(events=1)
    (event,) = await mark.since(CANONICAL)
    async with fleet.codec() as codec:
        assert codec.decode(event.value)["source"]["system"] == "samples"
