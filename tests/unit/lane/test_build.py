"""From staged effects to record batches: everything fits its topic, or is a dead letter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import orjson
import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import FatalError
from fleet.lane.agent import LaneAgent
from fleet.lane.batches import Batches, record_bytes
from fleet.lane.building import RowRefusedError, build, row_check
from fleet.lane.dead_letters import reason_of
from fleet.lane.effects import DeadLetter, Delete, Effect, Emit, Forward, ForwardAll, Put
from fleet.lane.partitioner import partition_of
from fleet.lane.staging import Stage, isolate, run
from fleet.lane.state import State
from fleet.lane.store import OFFSETS_KEY
from fleet.lane.stores import MemoryStore
from fleet.lane.topics import TopicInfo
from tests.support.lane_fakes import KnownTopics, SourceRecord, chunk_of, topics

AGENT = LaneAgent(
    name="agent", sources=("source",), process=lambda _chunk, _state: (), tables=("t",), dead_letters="dead"
)
SOURCE = SourceRecord(b"original", offset=7, partition=1, headers=(("trace", b"1"),))
HEADERS = st.lists(
    st.tuples(st.text(max_size=40) | st.text("€", max_size=90), st.binary(max_size=40)), max_size=5
)

Written = dict[tuple[str, int], list[Any]]


async def written(effects: list[Effect], known: KnownTopics | None = None) -> Written:
    """Return the records that `effects` come to, by topic and partition, read as a consumer would."""
    known = known or topics()
    stage = Stage(State({"t": MemoryStore()}, partition=1))
    stage.take(effects)
    batches = await build(AGENT, stage, cast("Any", known), {"t": "changelog"}, {"source": 8})
    for (topic, _), builders in batches.by_partition.items():
        for builder in builders:
            assert builder.size() <= known.infos[topic].max_message_bytes
    return read(batches)


def read(batches: Batches) -> Written:
    """Return the records in `batches`."""
    return {
        place: [record for builder in builders for record in DefaultRecordBatch(bytes(builder._build()))]
        for place, builders in batches.by_partition.items()
    }


async def test_an_output_goes_to_the_partition_of_its_key() -> None:
    """The raw key bytes choose among the partitions of the target."""
    records = await written([Emit("out", b"member-1", b"v", (("h", b"1"),), cause=SOURCE)])
    (record,) = records["out", partition_of(b"member-1", 4)]
    assert (record.key, record.value, record.headers) == (b"member-1", b"v", [("h", b"1")])


async def test_an_output_without_key_follows_its_cause() -> None:
    """Done again, the chunk writes to the same partition."""
    assert ("out", 1) in await written([Emit("out", None, b"v", cause=SOURCE)])


async def test_the_changelog_holds_rows_tombstones_and_offsets() -> None:
    """One record for each row, then where in the sources these rows stand."""
    records = await written([Put("t", "a", {"n": 1}), Put("t", "b", 2), Delete("t", "a")])
    rows = [(record.key, record.value) for record in records["changelog", 1]]
    assert rows == [(b"a", None), (b"b", b"2"), (OFFSETS_KEY, orjson.dumps({"source": 8}))]


async def test_offsets_are_in_the_changelog_though_no_row_changes() -> None:
    """A chunk without writes moves the table's offset too: table and group agree after it."""
    records = await written([Emit("out", b"k", b"v", cause=SOURCE)])
    assert [record.key for record in records["changelog", 1]] == [OFFSETS_KEY]


async def test_many_outputs_are_cut_into_batches_that_fit() -> None:
    """No batch is over the limit of its topic; no record is lost and the order is kept."""
    values = [b"%04d" % number * 50 for number in range(100)]
    records = await written([Emit("out", b"k", value, cause=SOURCE) for value in values], topics(out=2000))
    assert [record.value for record in records["out", partition_of(b"k", 4)]] == values


def dead(records: Written) -> tuple[Any, dict[str, str]]:
    """Return the one dead letter in `records`, and its own headers."""
    (letter,) = records["dead", 1]
    return letter, reason_of(letter.headers)


@pytest.mark.parametrize(
    ("effect", "reason"),
    [
        (Emit("out", b"k", b"x" * 3000, cause=SOURCE), "record_too_large"),
        (Emit("out", b"k" * 3000, None, cause=SOURCE), "record_too_large"),
        (Emit("out", b"k", b"v", (("h", b"x" * 3000),), cause=SOURCE), "record_too_large"),
        (Emit("nowhere", b"k", b"v", cause=SOURCE), "unknown_topic"),
        (Emit("out", b"k", b"v", partition=4, cause=SOURCE), "unknown_partition"),
        (Emit("out", b"k", b"v", partition=-1, cause=SOURCE), "unknown_partition"),
    ],
)
async def test_an_output_that_its_target_cannot_take_is_a_dead_letter(effect: Emit, reason: str) -> None:
    """The record that caused it is set aside whole, and nothing goes to the target."""
    records = await written([effect], topics(out=2000))
    letter, why = dead(records)
    assert (letter.key, letter.value) == (SOURCE.key, SOURCE.value)
    assert (why["reason"], why["step"], why["offset"]) == (reason, "produce", "7")
    assert not [place for place in records if place[0] == "out"]


async def test_an_output_that_may_not_be_written_is_a_dead_letter() -> None:
    """The reason is Kafka's refusal, not a missing topic, and the detail names the topic."""
    known = topics()
    known.refused.add("secret")
    _, why = dead(await written([Emit("secret", b"k", b"v", cause=SOURCE)], known))
    assert (why["reason"], why["step"]) == ("not_authorized", "produce")
    assert why["detail"] == "Kafka does not let this worker write to secret"


ROUTED = SourceRecord(b"copy", partition=1, headers=(("fleet_rule", b"first@1"),))


@pytest.mark.parametrize(
    ("effect", "rule"),
    [
        pytest.param(Forward("nowhere", SOURCE, (("fleet_rule", b"big@7"),)), "big@7", id="forwarded"),
        pytest.param(
            Emit("nowhere", b"k", b"v", (("fleet_rule", b"big@7"),), cause=ROUTED), "big@7", id="projected"
        ),
        pytest.param(Forward("nowhere", ROUTED), None, id="a copy that no rule sends on"),
        pytest.param(Emit("nowhere", b"k", b"v", ROUTED.headers, cause=ROUTED), None, id="headers kept"),
    ],
)
async def test_a_refused_output_of_a_rule_names_it(effect: Effect, rule: str | None) -> None:
    """The rule that made the output, not one that had made the record which it came of."""
    _, why = dead(await written([effect]))
    assert why.get("rule") == rule


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": "text"},
        {"value": 7},
        {"key": "text"},
        {"headers": (("h", "text"),)},
        {"headers": (1,)},
        {"partition": "1"},
        {"topic": ["out"]},
    ],
)
async def test_an_output_of_wrong_types_is_a_dead_letter_of_its_cause(wrong: dict[str, Any]) -> None:
    """A programming error costs the records that show it; the outputs of the others are written."""
    bad = cast("Any", Emit)(**{"topic": "out", "key": b"k", "value": b"v", "cause": SOURCE, **wrong})
    good = Emit("out", b"k", b"good", cause=SOURCE)
    records = await written([good, bad, good])
    letter, why = dead(records)
    assert (letter.value, why["reason"], why["step"]) == (SOURCE.value, "output_malformed", "produce")
    assert [record.value for record in records["out", partition_of(b"k", 4)]] == [b"good", b"good"]


async def test_an_output_of_wrong_types_without_cause_is_fatal() -> None:
    """There is no record to set aside: the task halts and says so, and does not try for ever."""
    with pytest.raises(FatalError, match=r"no record of bytes \(TypeError\): give the effect its cause"):
        await written([cast("Any", Emit)("out", b"k", "text")])


async def test_a_dead_letter_without_a_record_is_fatal() -> None:
    """Nobody could find the original by it."""
    with pytest.raises(FatalError, match="a dead letter without its source record"):
        await written([DeadLetter("no record", "r", "s")])


async def test_a_detail_that_no_text_holds_is_no_trouble() -> None:
    """Whatever an agent found in a record may stand in the detail."""
    _, why = dead(await written([DeadLetter(SOURCE, "r", "s", "half \ud800 of a pair")]))
    assert why["detail"] == "half ? of a pair"


async def test_an_output_without_cause_that_does_not_fit_is_fatal() -> None:
    """There is no record to set aside: a person has to act."""
    with pytest.raises(FatalError, match="give the effect its cause"):
        await written([Emit("nowhere", b"k", b"v")])


async def test_a_missing_dead_letter_topic_is_fatal() -> None:
    """Nothing is dropped for want of a place."""
    known = KnownTopics({"changelog": TopicInfo(4, 1000)})
    with pytest.raises(FatalError, match="dead-letter topic dead does not exist"):
        await written([DeadLetter(SOURCE, "r", "s")], known)


async def test_an_oversize_dead_letter_is_a_claim_check() -> None:
    """The payload stays where it is; the letter says where, and says so."""
    source = SourceRecord(b"x" * 5000, offset=7, partition=1, headers=(("trace", b"1"),))
    letter, why = dead(await written([DeadLetter(source, "r", "s")], topics(dead=2000)))
    assert letter.value is None
    assert (why["claim_check"], why["topic"], why["partition"], why["offset"]) == (
        "source",
        "source",
        "1",
        "7",
    )
    assert ("trace", b"1") in letter.headers


@pytest.mark.parametrize(
    "source",
    [
        SourceRecord(b"v", partition=1, key=b"k" * 5000),
        SourceRecord(b"v", partition=1, headers=(("h", b"x" * 5000),)),
        SourceRecord(b"v" * 5000, partition=1, key=b"k" * 5000, headers=(("h", b"x" * 5000),)),
    ],
)
async def test_a_dead_letter_fits_whatever_is_large(source: SourceRecord) -> None:
    """Key and headers stay at the source too where they alone are over the limit."""
    letter, why = dead(await written([DeadLetter(source, "r", "s", "d" * 5000)], topics(dead=2000)))
    assert why["claim_check"] == "source"
    assert why["detail"].startswith("ddd")
    assert letter.value is None


@given(st.binary(max_size=300), st.binary(max_size=300) | st.none(), HEADERS)
def test_the_size_bound_holds(key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    """A record that is within a limit by the bound is within it in a batch of its own."""
    batches = Batches()
    batches.add("out", TopicInfo(1, 1_000_000), 0, key, value, tuple(headers))
    batches.close()
    (builder,) = batches.by_partition["out", 0]
    assert len(builder._build()) <= record_bytes(key, value, headers)


def append_all(chunk: Any, state: State) -> Iterator[Effect]:
    """Keep every value in one row of text, as an agent that never forgets would."""
    for record in chunk:
        yield Emit("out", record.key, record.value, cause=record)
        if record.value == b"set":
            yield Put("t", "all", {1, 2})
        elif record.value == b"key":
            yield Put("t", "\ud800", "no UTF-8 has this key")
        elif record.value == b"offsets":
            yield Put("t", OFFSETS_KEY.decode(), "the changelog's own key")
        else:
            yield Put("t", "all", state.get("t", "all", "") + record.value.decode())


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"x" * 3000, "row_too_large"),
        (b"set", "row_not_json"),
        (b"key", "row_not_json"),
        (b"offsets", "row_key_reserved"),
    ],
)
async def test_a_row_that_its_changelog_cannot_take_costs_its_record_alone(bad: bytes, reason: str) -> None:
    """The record that writes it is set aside; those before and after it in the chunk are not."""
    known, tables = topics(changelog=2000), {"t": MemoryStore({"all": "old-"})}
    chunk = chunk_of(b"a", bad, b"b")
    agent = LaneAgent(
        name="agent", sources=("source",), process=append_all, tables=("t",), dead_letters="dead"
    )

    def new_state() -> State:
        return State(tables, partition=1)

    async def built(stage: Stage) -> Written:
        return read(await build(agent, stage, cast("Any", known), {"t": "changelog"}, {"source": 3}))

    with pytest.raises(RowRefusedError):
        await built(run(agent, chunk, new_state))
    stage = isolate(agent, chunk, new_state, row_check(cast("Any", known), {"t": "changelog"}))
    records = await built(stage)
    rows = {record.key: record.value for record in records["changelog", 1]}
    assert rows == {b"all": b'"old-ab"', OFFSETS_KEY: b'{"source":3}'}
    (letter,) = records["dead", 0]
    assert (letter.value, reason_of(letter.headers)["reason"]) == (bad, reason)
    assert [record.value for record in records["out", partition_of(b"key", 4)]] == [b"a", b"b"]


@given(
    st.lists(
        st.tuples(st.none() | st.sampled_from([b"a", b"b", b"c"]), st.binary(max_size=900)), max_size=12
    ),
    st.sampled_from(["out", "no-such-topic"]),
)
async def test_records_that_are_forwarded_together_are_those_forwarded_one_by_one(
    contents: list[tuple[bytes | None, bytes]], topic: str
) -> None:
    """In order by partition, in batches within the limit; those that are too large are dead letters."""
    records = [
        SourceRecord(value, at, key, partition=1, headers=(("trace", b"1"),))
        for at, (key, value) in enumerate(contents)
    ]
    added = [(("number", b"%d" % at),) for at in range(len(records))]
    known = topics(out=700)
    together = await written([ForwardAll(topic, records, added)], known)
    singly: list[Effect] = [Forward(topic, *each) for each in zip(records, added, strict=True)]
    plainly: list[Effect] = [
        Emit(topic, record.key, record.value, (*record.headers, *more), cause=record)
        for record, more in zip(records, added, strict=True)
    ]
    assert plain(together) == plain(await written(singly, known)) == plain(await written(plainly, known))


def plain(found: Written) -> Any:
    """Return what is in records, to compare."""
    return {
        place: [(record.key, record.value, record.headers) for record in records]
        for place, records in found.items()
    }


async def test_a_wrong_header_is_found_among_those_forwarded_together() -> None:
    """Its record alone becomes a dead letter."""
    causes = [SourceRecord(b"%d" % at, at, b"k", partition=1) for at in range(3)]
    wrong: Any = (("h", "text"),)
    records = await written([ForwardAll("out", causes, [(), wrong, ()])])
    (forwarded,) = [each for place, each in records.items() if place[0] == "out"]
    assert [record.value for record in forwarded] == [b"0", b"2"]
    letter, why = dead(records)
    assert (letter.value, why["reason"]) == (b"1", "output_malformed")
