"""A dry-run over records in memory: what it says is what the live router does with the same records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pytest

from agents.router.domain.timeline import Timeline
from agents.router.dry_run.comparison import Comparison
from agents.router.dry_run.decoding import WithDrafts
from agents.router.dry_run.findings import MAX_EXAMPLES
from agents.router.dry_run.reading import sampled
from agents.router.route import COUNTS, Router
from schemas.codec import Codec
from tables.routes.rule import Rule, parse_rule
from tests.support.agents_claims import a_claim
from tests.support.agents_memory import Partition
from tests.support.agents_schemas import CatalogueSchemas, warmed_codec
from tests.support.lane_fakes import SourceRecord

SUMMARY_ID = 900
SUMMARY: dict[str, Any] = {
    "type": "record",
    "name": "summary",
    "fields": [{"name": "charge", "type": ["null", "string"]}],
}


@pytest.fixture
async def codec() -> Codec:
    """A codec over the catalogue's schemas."""
    return await warmed_codec()


def rule(name: str, condition: str = "true", **fields: Any) -> Rule:
    """Return an active rule with a target of its own."""
    plain = {"name": name, "version": 1, "owner": "team", "source": "canonical.claim", "state": "active"}
    return parse_rule({**plain, "targets": [f"team.{name}"], "condition": condition, **fields})


def claims(codec: Codec, count: int = 40) -> list[SourceRecord]:
    """Return claims of many charges, two of them undecodable, some copies already."""
    value = [
        codec.encode("canonical.claim-value", a_claim(charge=f"{number * 50}.00")) for number in range(count)
    ]
    value[3], value[7] = b"junk", value[7][:-3]
    records = []
    for number in range(count):
        region = b"TX" if number % 3 else b"OH"
        headers = [("ce_id", b"%d" % number), ("ce_type", b"canonical.claim"), ("ce_region", region)]
        if number % 10 == 1:
            headers += [("fleet_rule", b"old@1"), ("fleet_hops", b"%d" % (number % 12))]
        records.append(
            SourceRecord(
                value[number],
                number,
                b"key",
                "canonical.claim",
                2,
                1_700_000_000_000 + number * 1000,
                headers=tuple(headers),
            )
        )
    return records


async def report(
    baseline: Sequence[Rule], draft: Sequence[Rule], records: list[SourceRecord]
) -> dict[str, Any]:
    """Return the report of a dry-run, taken in three pieces."""
    registry = WithDrafts(CatalogueSchemas(), {SUMMARY_ID: SUMMARY})
    comparison = Comparison(Timeline.of(baseline), Timeline.of(draft), registry)
    for piece in (records[:1], records[1:17], records[17:]):
        await comparison.prepare(piece)
        comparison.add(piece)
    return comparison.report()


async def live(
    rules: Sequence[Rule], records: list[SourceRecord]
) -> tuple[dict[int, set[str]], Counter[str]]:
    """Return the targets of each event, by its offset, and dead letters by step, of the live router."""
    live_codec = Codec(WithDrafts(CatalogueSchemas(), {SUMMARY_ID: SUMMARY}))
    timeline = Timeline.of(rules)
    router = Router(live_codec, lambda: timeline)
    await router.prepare(records)
    partition = Partition(router.process, [COUNTS], number=2).chunk(records, timeline)
    found: dict[int, set[str]] = defaultdict(set)
    for emit in partition.emits:
        assert emit.cause is not None
        found[emit.cause.offset].add(emit.topic)
    return found, Counter(letter.step for letter in partition.dead_letters)


AMOUNTS = rule("amounts", "event.total_charge > 700")
SHAPED = rule(
    "shaped",
    "event.total_charge > 300",
    projection={"compute": {"charge": "event.total_charge > 900 ? 'much' : 1"}},
    output_schema=SUMMARY_ID,
)
BASELINE = (
    AMOUNTS,
    SHAPED,
    rule("texas", "attributes.region == 'TX'", targets=["team.{region}", "team.texas"]),
    rule("first", "event.total_charge > 1000", group="g", priority=1),
    rule("second", "event.total_charge > 500", group="g", priority=2),
    rule("rest", default=True),
    rule("failing", "event.service_lines[0].line_number / (attributes.region == 'OH' ? 0 : 1) == 1"),
)
DRAFTS = {
    "another threshold": [rule("amounts", "event.total_charge > 1200", version=2)],
    "another field": [rule("amounts", "event.place_of_service == '11'", version=2)],
    "attributes alone": [rule("amounts", "attributes.region == 'OH'", version=2)],
    "a new rule": [rule("new", "event.total_charge < 400", targets=["team.new", "team.texas"])],
    "another key": [rule("texas", "attributes.region == 'TX'", key="event.member_id", version=2)],
    "valid for a while": [
        rule("amounts", valid_from="2023-11-14T22:13:30Z", valid_until="2023-11-14T22:13:50Z", version=2)
    ],
}


@pytest.mark.parametrize("name", [*DRAFTS, "without a rule"])
async def test_it_says_what_the_live_router_does(name: str, codec: Codec) -> None:
    """By event and target, before and after, and the dead letters by step: all equal."""
    records = claims(codec)
    changed = {each.name: each for each in DRAFTS.get(name, ())}
    kept = [each for each in BASELINE if each.name not in changed and (changed or each is not AMOUNTS)]
    draft = [*kept, *changed.values()]
    found = await report(BASELINE, draft, records)
    (before, letters_before), (after, letters_after) = (
        await live(BASELINE, records),
        await live(draft, records),
    )
    expected: dict[str, Counter[str]] = defaultdict(Counter)
    kinds: Counter[str] = Counter()
    for record in records:
        old, new = before[record.offset], after[record.offset]
        kinds[kind(old, new)] += 1
        for topic in old | new:
            expected[topic]["before"] += topic in old
            expected[topic]["after"] += topic in new
            expected[topic]["gained"] += topic in new - old
            expected[topic]["lost"] += topic in old - new
            expected[topic]["unchanged"] += topic in old & new
    assert found["targets"] == {topic: dict(counts) for topic, counts in expected.items()}
    assert {name: count for name, count in found["diff"].items() if count and name != "reshaped"} == kinds
    for place, letters in (("before", letters_before), ("after", letters_after)):
        counted: Counter[str] = Counter()
        for each in found["errors"][place]["by_reason"]:
            counted[each["step"]] += each["events"]
        assert counted == letters
    for each in (each for listed in found["examples"].values() for each in listed):
        assert (each["before"], each["after"]) == (
            sorted(before[each["offset"]]),
            sorted(after[each["offset"]]),
        )


def kind(old: set[str], new: set[str]) -> str:
    """Return what a difference is called."""
    if old == new:
        return "unchanged"
    if old - new and new - old:
        return "moved"
    return "lost" if old - new else "gained"


async def test_equal_rules_differ_in_nothing(codec: Codec) -> None:
    """The same rules twice: every event unchanged, no example, the same errors."""
    found = await report(BASELINE, BASELINE, claims(codec))
    assert found["diff"] == {"gained": 0, "lost": 0, "moved": 0, "unchanged": 40, "reshaped": 0}
    assert found["examples"] == {"gained": [], "lost": [], "moved": []}
    assert found["errors"]["before"] == found["errors"]["after"]


async def test_other_contents_of_a_copy_are_told(codec: Codec) -> None:
    """A rule that gets a key of its own moves no event, and its copies count as reshaped."""
    texas = rule("texas", "attributes.region == 'TX'")
    keyed = rule("texas", "attributes.region == 'TX'", key="attributes.region", version=2)
    found = await report([texas], [keyed], claims(codec))
    assert (found["diff"]["unchanged"], found["diff"]["reshaped"]) == (40, 26 - hops_refused())
    assert found["rules"]["after"] == {"texas@2": {"matched": 26, "copies": 26 - hops_refused()}}


def hops_refused() -> int:
    """Return how many of the claims have been routed on too often."""
    return sum(number % 10 == 1 and number % 12 >= 8 and number % 3 > 0 for number in range(40))


async def test_examples_are_few_and_hold_no_payload(codec: Codec) -> None:
    """At most 20 of a kind, each with coordinates, identity and targets, and nothing else."""
    found = await report([], [rule("all")], claims(codec))
    examples = found["examples"]["gained"]
    assert len(examples) == MAX_EXAMPLES < found["diff"]["gained"]
    assert examples[0] == {
        "topic": "canonical.claim",
        "partition": 2,
        "offset": 0,
        "published_ms": 1_700_000_000_000,
        "id": "0",
        "source": None,
        "type": "canonical.claim",
        "before": [],
        "after": ["team.all"],
    }


async def test_errors_name_rule_step_and_reason(codec: Codec) -> None:
    """A condition and a projection that fail, values that are no claims, too many hops; with examples."""
    found = await report(BASELINE, [SHAPED, BASELINE[-1]], claims(codec))
    listed = found["errors"]["after"]["by_reason"]
    assert {(each["rule"], each["step"]) for each in listed} == {
        ("", "decode"),
        ("", "route"),
        ("failing@1", "condition"),
        ("shaped@1", "projection"),
    }
    failing = next(each for each in listed if each["rule"] == "failing@1")
    assert "zero" in failing["reason"]
    assert [each["id"] for each in failing["examples"]] == ["0", "6", "9"]
    assert found["errors"]["after"]["total"] == sum(each["events"] for each in listed)


async def test_what_only_the_draft_reads_fails_the_draft_alone() -> None:
    """Junk goes on to a rule that reads attributes, and is lost to a draft that reads fields."""
    junk = SourceRecord(b"junk", 0, b"key", "canonical.claim", headers=(("ce_type", b"canonical.claim"),))
    found = await report([rule("r")], [rule("r", "event.total_charge > 1", version=2)], [junk])
    assert found["diff"]["lost"] == 1
    assert (found["errors"]["before"]["total"], found["errors"]["after"]["total"]) == (0, 1)


def test_a_sample_is_always_the_same_and_about_as_large_as_asked() -> None:
    """By coordinates: twice the same, a larger one holds the smaller, another partition has another."""
    records = [SourceRecord(b"", offset) for offset in range(20_000)]
    tenth, fifth = sampled(records, 0.1), sampled(records, 0.2)
    assert sampled(records, 0.1) == tenth
    assert {each.offset for each in tenth} < {each.offset for each in fifth}
    assert 0.08 < len(tenth) / len(records) < 0.12
    other = [SourceRecord(b"", offset, partition=1) for offset in range(20_000)]
    assert [each.offset for each in sampled(other, 0.1)] != [each.offset for each in tenth]
    assert sampled(records, 1.0) == records


async def test_a_set_that_reads_events_alone_meets_what_cannot_be_read(codec: Codec) -> None:
    """Junk with the headers of an event before it is a dead letter of the rules that read it, as live."""
    headers = (("ce_type", b"canonical.claim"), ("ce_kind", b"c"), ("ce_region", b"zz"))
    sound, junk = (
        SourceRecord(value, offset, b"key", "canonical.claim", headers=headers)
        for offset, value in enumerate([codec.encode("canonical.claim-value", a_claim()), b"junk"])
    )
    # The draft's rules are told apart by another attribute, so that it need not read the event at all.
    reading = rule("reads", "event.total_charge > 1 && attributes.kind == 'a'")
    baseline = [reading, *(rule(f"b{name}", f"attributes.region == '{name}'") for name in ("tx", "oh"))]
    draft = [*baseline, *(rule(f"k{name}", f"attributes.kind == '{name}'") for name in ("x", "y", "z"))]
    found = await report(baseline, draft, [sound, junk])
    for place, rules in (("before", baseline), ("after", draft)):
        _, letters = await live(rules, [sound, junk])
        assert found["errors"][place]["total"] == letters["decode"]
    assert (found["errors"]["before"]["total"], found["errors"]["after"]["total"]) == (1, 0)
