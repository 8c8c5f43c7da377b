"""Deciding by classes of field values: the same as decoding every event and looking at every rule."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.router.classing import ClassedRules
from agents.router.deciding import Decider
from agents.router.domain.classes import Classed
from agents.router.domain.decision import Failure, Target
from agents.router.domain.routing import RuleSet, TypeRules
from agents.router.domain.timeline import Timeline
from fleet import native
from fleet.errors import PermanentError
from schemas.codec import Codec
from tables.routes.rule import Rule, State
from tests.support.lane_fakes import SourceRecord

TYPE = "canonical.claim"
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Claim",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "maybe", "type": ["null", "string"]},
        {"name": "whole", "type": ["null", "long"]},
        {
            "name": "amount",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2},
        },
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B", "C"]}},
        {"name": "flag", "type": "boolean"},
        {"name": "either", "type": ["string", "long"]},
        {"name": "codes", "type": {"type": "array", "items": "string"}},
        {"name": "on", "type": {"type": "int", "logicalType": "date"}},
        {"name": "rate", "type": "double"},
        {
            "name": "payer",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Payer",
                    "fields": [{"name": "id", "type": "string"}, {"name": "rank", "type": "int"}],
                },
            ],
        },
    ],
}
EVENT: dict[str, Any] = {
    "text": "a",
    "maybe": None,
    "whole": None,
    "amount": Decimal(0),
    "kind": "A",
    "flag": True,
    "either": "",
    "codes": [],
    "on": dt.date(2026, 3, 2),
    "rate": 0.0,
    "payer": None,
}
PARSED: Any = parse_schema(SCHEMA)
TEXTS = st.sampled_from(["", "a", "ab", "abc", "b", "é"])
AMOUNTS = st.sampled_from(["-1.01", "0.00", "9.99", "10.00", "10.01", "885.00", "9999999999.99"]).map(Decimal)
EVENTS = st.fixed_dictionaries(
    {
        "text": TEXTS,
        "maybe": st.none() | TEXTS,
        "whole": st.none() | st.sampled_from([-(2**63), -1, 0, 9, 10, 11, 2**63 - 1]),
        "amount": AMOUNTS,
        "kind": st.sampled_from("ABC"),
        "flag": st.booleans(),
        "either": TEXTS | st.sampled_from([0, 10]),
        "codes": st.lists(TEXTS, max_size=2),
        "on": st.just(dt.date(2026, 3, 2)),
        "rate": st.sampled_from([0.0, 10.0]),
        "payer": st.none() | st.fixed_dictionaries({"id": TEXTS, "rank": st.integers(8, 12)}),
    }
)
OPERATORS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
NUMBERS = st.sampled_from(["10", "0", "9", "-1", "9.995", "10.0", "10.005", "1e3", "885"])
TEXT_FIELDS = st.sampled_from(["event.text", "event.maybe", "event.kind", "event.payer.id", "event.either"])
NUMBER_FIELDS = st.sampled_from(["event.whole", "event.amount", "event.payer.rank", "event.either"])
TESTS = st.one_of(
    st.builds(
        "event.{} {} '{}'".format, st.sampled_from(["text", "maybe", "kind", "payer.id"]), OPERATORS, TEXTS
    ),
    st.builds(
        "event.{} {} {}".format,
        st.sampled_from(["whole", "amount", "payer.rank", "either"]),
        OPERATORS,
        NUMBERS,
    ),
    st.builds("{} {} event.amount".format, NUMBERS, OPERATORS),
    st.builds("event.{} in [{}, {}]".format, st.sampled_from(["whole", "amount", "text"]), NUMBERS, NUMBERS),
    st.builds("event.{}.startsWith('{}')".format, st.sampled_from(["text", "maybe", "payer.id"]), TEXTS),
    st.sampled_from(
        [
            "event.flag",
            "!event.flag",
            "has(event.payer.id)",
            "has(event.missing)",
            "event.missing == 1",
            "event.maybe == null",
            "event.whole != null",
            "event.payer == null",
            "event.payer.id.size() > 1",
            "event.text.size() > event.maybe.size()",
            "event.whole % 2 == 1",
            "event.codes.exists(code, code == 'a')",
            "event.codes.size() == 1",
            "attributes.region == 'TX'",
            "attributes.region == event.text",
            "event.rate > 5.0",
            "event.kind == 'B' ? event.flag : event.whole > 9",
            "event.amount > event.amount - 1",
            "true",
        ]
    ),
)
CONDITIONS = st.one_of(
    TESTS,
    st.lists(TESTS, min_size=2, max_size=3).map(" && ".join),
    st.lists(TESTS, min_size=2, max_size=3).map(" || ".join),
    st.builds("!({}) && ({} || {})".format, TESTS, TESTS, TESTS),
)
REGIONS = st.sampled_from([None, "TX", "a"])


class _Registry:
    async def latest(self, subject: str) -> Any:
        raise NotImplementedError(subject)

    async def schema(self, schema_id: int) -> dict[str, Any]:
        assert schema_id == 1
        return SCHEMA


@pytest.fixture(scope="module")
def codec() -> Codec:
    """A codec that knows the schema as id 1."""
    made = Codec(_Registry())
    asyncio.run(made.ensure([1]))
    return made


def rule(number: int, condition: str) -> Rule:
    """Return an active rule with a target of its own."""
    return Rule(
        name=f"r{number}",
        version=1,
        owner="team",
        source=TYPE,
        targets=(f"t{number}",),
        condition=condition,
        state=State.ACTIVE,
    )


def record(event: dict[str, Any], region: str | None, cut: int = 0) -> SourceRecord:
    """Return the record of an event, cut short by so many bytes."""
    stream = BytesIO()
    stream.write(b"\x00\x00\x00\x00\x01")
    schemaless_writer(stream, PARSED, event)
    value = stream.getvalue()
    headers = () if region is None else (("ce_region", region.encode()),)
    return SourceRecord(value[: len(value) - cut], 0, b"k", TYPE, 0, headers=headers)


def by_decoding(rules: RuleSet, codec: Codec, of: SourceRecord) -> Any:
    """Return what looking at the whole of an event gives, or the reason why it cannot be decoded."""
    attributes = {name.removeprefix("ce_"): value.decode() for name, value in of.headers}
    try:
        decision = rules.decide(TYPE, attributes, lambda: codec.decode(of.value or b""))
    except PermanentError as error:
        return error.reason
    return decision.targets, decision.errors


def by_class(decider: Decider, of: SourceRecord) -> Any:
    """Return what the router decides."""
    try:
        decision = decider.decide(of).decision
    except PermanentError as error:
        return error.reason
    return decision.targets, decision.errors


@settings(deadline=None, max_examples=300)
@given(
    st.lists(CONDITIONS, min_size=1, max_size=6),
    st.lists(st.tuples(EVENTS, REGIONS, st.sampled_from([0, 0, 0, 0, 1, 9])), min_size=1, max_size=12),
)
def test_classes_decide_as_the_whole_event_does(
    codec: Codec, conditions: list[str], events: list[tuple[dict[str, Any], str | None, int]]
) -> None:
    """Whatever the tests and the values, nulls, damaged events and errors too, and however often."""
    rules = RuleSet.of(rule(number, condition) for number, condition in enumerate(conditions))
    decider = Decider(Timeline(rules).at(0), codec)
    for _ in range(2):
        for event in events:
            of = record(*event)
            assert by_class(decider, of) == by_decoding(rules, codec, of)


def classed(*conditions: str) -> Classed:
    """Return the rules with these conditions, sorted by whether classes decide them."""
    return Classed(TypeRules(rule(number, each) for number, each in enumerate(conditions)).routes)


def test_rules_of_tests_of_single_fields_are_decided_by_class() -> None:
    """The others, with a macro or a test of two fields, are left to be looked at one by one."""
    found = classed(
        "event.text == 'a' && event.amount > 10",
        "event.codes.exists(code, code == 'a') && event.text == 'a'",
        "event.text == event.maybe",
        "attributes.region == 'TX' && event.payer.rank in [1, 2]",
        "attributes.region == event.text",
    )
    assert [route.rule.name for route in found.routes] == ["r0", "r1", "r3"]
    assert list(found.tests) == ["amount", "codes", "payer.rank", "text"]


def test_numbers_fall_into_the_places_between_constants(codec: Codec) -> None:
    """However many values there are, there are as many classes as places: each is decided once."""
    if native.load("schemas.projection._run") is None:
        pytest.skip("needs the compiled module")
    found = classed("event.amount < 885", "event.amount >= 885 && event.whole > 10")
    classify = codec.classifier(b"\x00\x00\x00\x00\x01", found.tests)
    assert classify is not None
    seen = {
        classify(record({**EVENT, "amount": Decimal(cents).scaleb(-2), "whole": whole}, None).value or b"", 5)
        for cents in range(88_000, 89_000)
        for whole in (None, 9, 10, 11)
    }
    assert len(seen) == 3 * 4


@pytest.mark.parametrize(
    ("tests", "classed"),
    [
        (["event.text == 'n{}'"] * 253, True),
        (["event.text == 'n{}'"] * 254, False),
        (["event.text.startsWith('n{}')"] * 16, True),
        (["event.text.startsWith('n{}')"] * 17, False),
        (["event.amount > {}"] * 126, True),
        (["event.amount > {}"] * 127, False),
    ],
    ids=["texts", "too many texts", "tests", "too many tests", "numbers", "too many numbers"],
)
def test_a_field_with_too_many_tests_is_left_to_the_index(
    codec: Codec, tests: list[str], *, classed: bool
) -> None:
    """More than there are classes, or than are worth running on a text: the other rules are classed."""
    if native.load("schemas.projection._run") is None:
        pytest.skip("needs the compiled module")
    rules = [rule(number, test.format(number)) for number, test in enumerate(tests)]
    found = ClassedRules.of(TypeRules([*rules, rule(999, "event.flag")]), b"\x00\x00\x00\x00\x01", codec)
    assert found is not None
    assert (found.rest is None) is classed


def test_a_target_and_a_failure_tell_their_rule(codec: Codec) -> None:
    """What classes decided carries the names of the rules, as the rules themselves do."""
    rules = RuleSet.of([rule(0, "event.text == 'a'"), rule(1, "event.whole > 1")])
    decider = Decider(Timeline(rules).at(0), codec)
    decision = decider.decide(record(EVENT, None)).decision
    assert decision.targets == (Target("t0", "r0", 1),)
    assert decision.errors == (Failure("r1", 1, "no such overload: null > int"),)


def test_the_empty_text_is_told_from_texts_that_no_rule_asks_for(codec: Codec) -> None:
    """Asked for, it is a class of its own, whichever text came first."""
    event: dict[str, Any] = {"maybe": None, "whole": None, "amount": Decimal(1), "kind": "A", "flag": False}
    event |= {"either": "", "codes": [], "on": dt.date(2026, 3, 2), "rate": 0.0, "payer": None}
    decider = Decider(Timeline(RuleSet.of([rule(0, "event.text == ''")])).at(0), codec)
    decided = [by_class(decider, record({**event, "text": text}, None)) for text in ("", "a", "", "a")]
    assert [len(targets) for targets, _ in decided] == [1, 0, 1, 0]
