"""The router over records in memory: copies, counts and dead letters by a snapshot of rules."""

from __future__ import annotations

from typing import Any

import pytest

from agents.router import counting as route_counts
from agents.router.domain.timeline import Timeline
from agents.router.route import COUNTS, Router, active_rules, parse_row
from fleet.errors import TransientError
from fleet.lane import Emit, Forward
from fleet.lane.effects import Headers
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
