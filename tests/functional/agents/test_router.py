"""The router over records in memory: copies, counts and dead letters by a snapshot of rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.router import counting as route_counts
from agents.router.deciding import MAX_HOPS
from agents.router.domain.timeline import Timeline
from agents.router.route import COUNTS, Router, active_rules, parse_row
from fleet.errors import TransientError
from fleet.lane import Emit, Forward
from fleet.lane.effects import Headers
from fleet.lane.inbox import redriven
from schemas.codec import Codec
from tables.routes.errors import RuleError
from tables.routes.rule import parse_rule
from tests.support.agents_claims import a_claim
from tests.support.agents_memory import Partition
from tests.support.agents_schemas import new_codec, warmed_codec
from tests.support.lane_fakes import SourceRecord

OFFSET = 70
HEADERS: Headers = (("ce_id", b"1"), ("ce_type", b"canonical.claim"), ("x-other", b"\x00\xff"))
LABEL: Headers = (("fleet_rule", b"r0@3"), ("fleet_config", b"70"))
UNKNOWN_ID = b"\x00" + (987).to_bytes(4, "big") + b"rest"


@pytest.fixture
async def codec() -> Codec:
    """A codec over the catalogue's schemas."""
    return await warmed_codec()


def rules(*conditions: str, **fields: Any) -> Timeline:
    """Return active rules r0, r1, ... with these conditions, each with a target of its own."""
    return Timeline.of(
        [
            parse_rule(
                {
                    "name": f"r{number}",
                    "version": 3,
                    "owner": "team",
                    "source": "canonical.claim",
                    "condition": condition,
                    "targets": [f"team.t{number}"],
                    "state": "active",
                    **fields,
                }
            )
            for number, condition in enumerate(conditions)
        ],
        OFFSET,
    )


def event(value: bytes | None, offset: int = 0, headers: Headers = HEADERS) -> SourceRecord:
    """Return a record of the canonical topic."""
    return SourceRecord(value, offset, b"1679576722", "canonical.claim", 2, headers=headers)


def new_partition(codec: Codec) -> Partition:
    """Return partition 2 of a router that has processed nothing."""
    return Partition(Router(codec).process, [COUNTS], number=2)


def encoded(codec: Codec, **fields: Any) -> bytes:
    """Return an encoded claim."""
    return codec.encode("canonical.claim-value", a_claim(**fields))


def totals(partition: Partition) -> dict[str, int]:
    """Return the counts of events."""
    return route_counts.totals(partition.rows(COUNTS))


def by_rule(partition: Partition) -> dict[str, tuple[int, int, int, int]]:
    """Return matched, delivered, unmatched and failed by rule."""
    found = route_counts.by_rule(partition.rows(COUNTS))
    return {
        label: (each["matched"], each["delivered"], each["unmatched"], each["failed"])
        for label, each in found.items()
    }


def test_a_copy_is_the_event_verbatim(codec: Codec) -> None:
    """A match is forwarded as it is, with the rule that asked for it."""
    record = event(encoded(codec, charge="1500.00"))
    partition = new_partition(codec).chunk([record], rules("event.total_charge > 1000"))
    assert partition.emits == [Forward("team.t0", record, LABEL)]
    assert partition.dead_letters == []


def test_an_earlier_rule_is_not_passed_on(codec: Codec) -> None:
    """An event that was routed before carries only the rule that routed it last."""
    record = event(encoded(codec), headers=(*HEADERS, ("fleet_rule", b"old@1")))
    (emit,) = new_partition(codec).chunk([record], rules("true")).emits
    assert emit == Emit(
        "team.t0", record.key, record.value, (*HEADERS, ("fleet_hops", b"2"), *LABEL), None, record
    )


def test_a_topic_gets_an_event_once(codec: Codec) -> None:
    """Two rules with one target make one copy; it names the first rule by name."""
    both = rules("true", "true", targets=["team.shared"])
    (emit,) = new_partition(codec).chunk([event(encoded(codec))], both).emits
    assert (emit.topic, dict(emit.headers)["fleet_rule"]) == ("team.shared", b"r0@3")


def test_counts_are_kept_by_rule_and_add_up(codec: Codec) -> None:
    """Over two chunks: events = matched + unmatched + dead letters, and copies are counted by rule."""
    active = rules("event.total_charge > 1000", "event.total_charge > 10")
    partition = new_partition(codec)
    partition.chunk([event(encoded(codec, charge=charge)) for charge in ("5", "50", "5000")], active)
    partition.chunk([event(b"junk"), event(encoded(codec, charge="7000"))], active)
    assert totals(partition) == {
        "(events)": 5,
        "(matched)": 3,
        "(unmatched)": 1,
        "(dead-letters)": 1,
    }
    assert by_rule(partition) == {"r0@3": (2, 2, 2, 0), "r1@3": (3, 3, 1, 0)}
    assert len(partition.emits) == 5


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not_avro_wire_format"),
        (b"", "not_avro_wire_format"),
        (b'{"claim_id": 1}', "not_avro_wire_format"),
        (UNKNOWN_ID, "unknown_schema_id"),
        (b"\x00\x00\x00\x00\x02\xff", "not_avro"),
    ],
    ids=["tombstone", "empty", "json", "unknown id", "not Avro"],
)
async def test_an_event_that_cannot_be_read_is_one_dead_letter(value: bytes | None, reason: str) -> None:
    """It names reason and step, carries the record itself, and nothing is copied."""
    codec = await warmed_codec()
    await Router(codec).prepare([event(value)])
    record = event(value, 11)
    partition = new_partition(codec).chunk([record], rules("event.total_charge > 1000", "true"))
    (letter,) = partition.dead_letters
    assert (letter.record, letter.reason, letter.step) == (record, reason, "decode")
    assert partition.emits == []


def test_a_rule_on_attributes_routes_what_nobody_can_read(codec: Codec) -> None:
    """Where no rule reads fields nothing is decoded, so even an opaque value is copied."""
    record = event(b"opaque")
    partition = new_partition(codec).chunk([record], rules('attributes.id == "1"'))
    assert [emit.cause for emit in partition.emits] == [record]
    assert partition.dead_letters == []


def test_a_condition_that_fails_leaves_the_other_rules_alone(codec: Codec) -> None:
    """The copies of the other rules are delivered, and beside them a dead letter names rule and step."""
    active = rules("event.no_such_field == 1", "event.total_charge > 10")
    record = event(encoded(codec))
    partition = new_partition(codec).chunk([record], active)
    (letter,) = partition.dead_letters
    assert (letter.record, letter.reason, letter.step) == (record, "condition_error", "condition")
    assert letter.detail.startswith("rule r0@3: ")
    assert [emit.topic for emit in partition.emits] == ["team.t1"]
    assert totals(partition) == {"(events)": 1, "(matched)": 1}
    assert by_rule(partition) == {"r0@3": (0, 0, 0, 1), "r1@3": (1, 1, 0, 0)}


def test_a_condition_that_fails_alone_counts_as_a_dead_letter(codec: Codec) -> None:
    """An event that no rule could decide is neither matched nor unmatched."""
    partition = new_partition(codec).chunk([event(encoded(codec))], rules("event.no_such_field == 1"))
    assert totals(partition) == {"(events)": 1, "(dead-letters)": 1}


def test_counts_do_not_depend_on_chunks(codec: Codec) -> None:
    """One record at a time or all at once: equal copies, dead letters and counts."""
    records = [event(b"junk" if n % 7 == 0 else encoded(codec, charge=str(n * 100)), n) for n in range(1, 40)]
    active = rules("event.total_charge > 1000", "event.no_such_field == 1")
    whole = new_partition(codec).chunk(records, active)
    single = new_partition(codec)
    for record in records:
        single.chunk([record], active)
    assert single.emits == whole.emits
    assert single.dead_letters == whole.dead_letters
    assert single.rows(COUNTS) == whole.rows(COUNTS)


async def test_an_id_that_is_not_known_yet_pauses_the_chunk() -> None:
    """Before the registry has denied an id for long enough the chunk is tried again, not set aside."""
    router = Router(Codec(new_codec()._registry, confirm_s=60.0))
    with pytest.raises(TransientError):
        await router.prepare([event(UNKNOWN_ID)])


def test_a_row_of_the_rules_topic_holds_the_rule_of_its_key() -> None:
    """A rule in another rule's row is refused, and so is one that no parser can read."""
    text = b'{"name":"a","version":1,"owner":"o","source":"canonical.claim","targets":["x"],"state":"active"}'
    assert active_rules({"a": parse_row("a", text)}).everything.sources == {"canonical.claim"}
    with pytest.raises(RuleError, match="is in the row of 'b'"):
        parse_row("b", text)
    with pytest.raises(RuleError, match="nested too deeply"):
        parse_row("a", b"[" * 100_000)


def test_events_of_one_type_are_decided_anew_by_other_headers(codec: Codec) -> None:
    """What is remembered goes by all headers that a rule reads, and by the topic where there is no type."""
    active = rules('attributes.region == "TX"', 'attributes.region == "OH"')
    with_region = [
        event(b"opaque", headers=(*HEADERS[:2], ("ce_region", region)))
        for region in (b"TX", b"OH", b"XX", b"TX", b"\xff")
    ]
    untyped = event(b"opaque", headers=(("ce_region", b"TX"),))
    elsewhere = SourceRecord(b"opaque", 9, b"k", "canonical.other", 2, headers=untyped.headers)
    partition = new_partition(codec).chunk([*with_region, untyped, elsewhere], active)
    first = [emit.cause for emit in partition.to("team.t0")]
    assert first == [with_region[0], with_region[3], untyped]
    assert [emit.cause for emit in partition.to("team.t1")] == [with_region[1]]


def test_new_rules_are_decided_by_at_once(codec: Codec) -> None:
    """Nothing that an earlier snapshot decided is remembered for the next."""
    partition = new_partition(codec)
    for condition, copies in (('attributes.id == "1"', 1), ('attributes.id == "2"', 1), ("true", 2)):
        partition.chunk([event(b"opaque")], rules(condition))
        assert len(partition.emits) == copies


def test_what_is_remembered_is_bounded(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules on the identity of events decide each anew, right all the same."""
    monkeypatch.setattr("agents.router.deciding.MAX_REMEMBERED", 3)
    events = [event(b"opaque", headers=(("ce_id", b"%d" % (at % 5)), HEADERS[1])) for at in range(20)]
    partition = new_partition(codec).chunk(events, rules('attributes.id == "4"'))
    assert [emit.cause for emit in partition.emits] == events[4::5]


def test_copies_of_copies_keep_their_place(codec: Codec) -> None:
    """A target has events in the order of their source, however each comes to it."""
    headers = [HEADERS, (*HEADERS, ("fleet_rule", b"old@1")), HEADERS, HEADERS]
    events = [event(b"opaque", at, each) for at, each in enumerate(headers)]
    partition = new_partition(codec).chunk(events, rules("true", "true", targets=["team.shared"]))
    assert [emit.cause for emit in partition.emits] == events
    assert [dict(emit.headers)["fleet_rule"] for emit in partition.emits] == [b"r0@3"] * len(events)


def test_a_rule_gives_its_copies_a_key(codec: Codec) -> None:
    """The key is worked out for each event; the value is the event's own."""
    record = event(encoded(codec))
    (emit,) = new_partition(codec).chunk([record], rules("true", key="event.payer.id + '/TX'")).emits
    assert (emit.key, emit.value, emit.headers) == (b"PLANID12345/TX", record.value, (*HEADERS, *LABEL))


def test_a_key_that_cannot_be_told_is_a_dead_letter_of_its_rule(codec: Codec) -> None:
    """It names rule and target, the counts say so, and the event matched all the same."""
    record = event(encoded(codec))
    partition = new_partition(codec).chunk([record], rules("true", key="event.missing"))
    (letter,) = partition.dead_letters
    assert (letter.record, letter.reason, letter.step) == (record, "key_error", "key")
    assert letter.added == (("fleet_dl_rule", b"r0@3"), ("fleet_dl_target", b"team.t0"))
    assert partition.emits == []
    assert by_rule(partition) == {"r0@3": (1, 0, 0, 1)}


def test_a_target_that_cannot_be_told_is_a_dead_letter_of_its_rule(codec: Codec) -> None:
    """An attribute that makes no topic of a template: the other targets of the rule get their copies."""
    active = rules("true", targets=["team.{region}", "team.all"])
    partition = new_partition(codec).chunk([event(b"opaque", headers=(("ce_region", b"a b"),))], active)
    (letter,) = partition.dead_letters
    assert (letter.reason, letter.step) == ("target_error", "target")
    assert [emit.topic for emit in partition.emits] == ["team.all"]
    assert by_rule(partition) == {"r0@3": (1, 1, 0, 1)}


SUMMARY: dict[str, Any] = {
    "type": "record",
    "name": "Summary",
    "fields": [
        {"name": "claim_id", "type": ["null", "string"], "default": None},
        {"name": "insurer", "type": ["null", "string"], "default": None},
        {"name": "lines", "type": ["null", "long"], "default": None},
        {"name": "other", "type": ["null", "string"], "default": None},
    ],
}


async def test_a_projection_is_what_the_copies_hold(codec: Codec) -> None:
    """Fields kept, renamed and computed, in the schema of the rule; what the event has not is null."""
    fields = {
        "keep": ["claim_id", "other"],
        "compute": {"insurer": "event.payer.id", "lines": "event.service_lines.size()"},
    }
    codec._learn(77, SUMMARY)
    record = event(encoded(codec, claim_id="c-1"))
    active = rules("true", projection=fields, output_schema=77)
    (emit,) = new_partition(codec).chunk([record], active).emits
    assert codec.decode(emit.value or b"") == {
        "claim_id": "c-1",
        "insurer": "PLANID12345",
        "lines": 6,
        "other": None,
    }
    assert (emit.value or b"")[:5] == b"\x00" + (77).to_bytes(4, "big")
    assert (emit.key, emit.headers) == (record.key, (*HEADERS, *LABEL))


def test_a_projection_that_its_schema_does_not_take_is_a_dead_letter(codec: Codec) -> None:
    """The computed value has another type than the schema says: the event is set aside, with the rule."""
    codec._learn(77, SUMMARY)
    active = rules("true", projection={"compute": {"lines": "'three'"}}, output_schema=77)
    partition = new_partition(codec).chunk([event(encoded(codec))], active)
    (letter,) = partition.dead_letters
    assert (letter.reason, letter.step) == ("projection_error", "projection")
    assert partition.emits == []


def test_an_event_is_not_routed_on_for_ever(codec: Codec) -> None:
    """A copy of a copy counts its hops; at the limit it is a dead letter, and no copy."""
    hops = [MAX_HOPS - 1, MAX_HOPS]
    events = [
        event(b"opaque", headers=(*HEADERS, ("fleet_rule", b"old@1"), ("fleet_hops", b"%d" % each)))
        for each in hops
    ]
    partition = new_partition(codec).chunk(events, rules("true"))
    (emit,) = partition.emits
    assert dict(emit.headers)["fleet_hops"] == b"%d" % MAX_HOPS
    (letter,) = partition.dead_letters
    assert (letter.record, letter.reason) == (events[1], "too_many_hops")
    assert by_rule(partition) == {"r0@3": (2, 1, 0, 1)}


def test_a_rule_is_valid_by_the_publishing_time_of_the_event(codec: Codec) -> None:
    """Within one chunk some events are before its beginning and some after it."""
    start = datetime(2026, 1, 31, tzinfo=UTC)
    start_ms = int(start.timestamp() * 1000)
    events = [
        replace(event(b"opaque", at), timestamp=start_ms + after) for at, after in enumerate((-1, 0, 5, -9))
    ]
    partition = new_partition(codec).chunk(events, rules("true", valid_from=start.isoformat()))
    assert [emit.cause for emit in partition.emits] == events[1:3]


def test_a_redriven_record_gets_what_its_dead_letter_left_undone(codec: Codec) -> None:
    """Copies that were delivered are not made again, none has headers of dead letters, and it counts once."""
    active = rules("true", "true")
    letter = (("fleet_dl_topic", b"canonical.claim"), ("fleet_dl_partition", b"2"), ("fleet_dl_offset", b"7"))
    why = (("fleet_dl_timestamp", b"0"), ("fleet_dl_rule", b"r1@2"), ("fleet_dl_target", b"team.t1"))
    record = redriven(event(encoded(codec), headers=(*HEADERS, *letter, *why)))
    partition = new_partition(codec).chunk([event(encoded(codec))], active).chunk([record], active)
    *_, emit = partition.emits
    assert (emit.topic, emit.headers) == ("team.t1", (*HEADERS, ("fleet_rule", b"r1@3"), LABEL[1]))
    assert totals(partition) == {"(events)": 1, "(matched)": 1, "(redriven)": 1}
    assert by_rule(partition) == {"r0@3": (1, 1, 0, 0), "r1@3": (1, 2, 0, 0)}


def test_a_redriven_record_that_could_not_be_decoded_is_routed_whole(codec: Codec) -> None:
    """Its dead letter names no rule: nothing of it was delivered."""
    record = redriven(event(encoded(codec)))
    partition = new_partition(codec).chunk([record], rules("event.total_charge > 0", "true"))
    assert [emit.topic for emit in partition.emits] == ["team.t0", "team.t1"]


def test_unmatched_counts_go_by_the_time_a_rule_was_active(codec: Codec) -> None:
    """Events before it was created, and while it was paused, are not its business."""
    opaque = [event(b"opaque", at) for at in range(10)]
    paused, active = rules("true", state="paused"), rules("attributes.id == '2'")
    partition = new_partition(codec)
    for number, (config, chunk) in enumerate([(paused, 10), (active, 3), (paused, 4), (active, 2)]):
        partition.chunk(opaque[:chunk], Timeline(config.everything, number + 1))
    assert by_rule(partition) == {"r0@3": (0, 0, 5, 0)}
    starts = partition.rows(COUNTS)["2/(snapshot)"]["starts"]
    assert starts == [["canonical.claim", 0, number] for number in (1, 2, 3, 4)]
