"""Rules whose copies would come round again, and how many topics an event can reach."""

from __future__ import annotations

import itertools
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tables.routes.checks import check_table
from tables.routes.cycles import find_cycle, overlap
from tables.routes.errors import RuleError
from tables.routes.reach import MAX_REACH, reach
from tables.routes.rule import Rule, matches, parse_rule


def _rule(name: str, source: str, *targets: str, **more: Any) -> Rule:
    document = {"name": name, "version": 1, "owner": "team", "source": source, "targets": list(targets)}
    return parse_rule({**document, "state": "active", **more})


CYCLES = [
    (
        [("to-b", "canonical.claim", "b"), ("back", "b", "canonical.claim")],
        "cycle: b -(back)-> canonical.claim -(to-b)-> b",
    ),
    (
        [("one", "a", "b"), ("three", "c", "a", "x"), ("two", "b", "y", "c")],
        "cycle: a -(one)-> b -(two)-> c -(three)-> a",
    ),
    ([("all", "*", "audit.copies")], "cycle: audit.copies -(all)-> audit.copies"),
    ([("own", "claims.*", "claims.large")], "cycle: claims.large -(own)-> claims.large"),
    (
        [("by-region", "claims", "claims.{region}"), ("north", "claims.north", "claims")],
        "cycle: claims -(by-region)-> claims.{region} -(north)-> claims",
    ),
    (
        [("by-region", "claims", "claims.{region}"), ("regions", "*.north", "claims")],
        "cycle: claims -(by-region)-> claims.{region} -(regions)-> claims",
    ),
]


@pytest.mark.parametrize(("rules", "path"), CYCLES)
def test_a_cycle_is_refused_with_the_way_round(rules: list[tuple[str, ...]], path: str) -> None:
    """The message names each rule and topic on the way, whatever the order of the rules."""
    for order in (rules, rules[::-1]):
        with pytest.raises(RuleError) as refused:
            check_table(_rule(*rule) for rule in order)

        assert set(_steps(refused.value.message)) == set(_steps(path))
        assert refused.value.message == path
        assert refused.value.field == "targets"
        assert ("a template counts as every topic" in refused.value.hint) is ("{" in path)


def _steps(path: str) -> list[str]:
    return re.findall(r"-\(([a-z-]+)\)->", path)


@pytest.mark.parametrize(
    "rules",
    [
        [("one", "a", "b"), ("two", "b", "c"), ("short", "a", "c")],
        [("by-region", "claims", "claims.{region}"), ("north", "claims.north", "north.claims")],
        [("patterns", "a.*", "b.a"), ("others", "*.b", "c")],
        [],
    ],
)
def test_what_never_comes_round_is_accepted(rules: list[tuple[str, ...]]) -> None:
    """Several ways to one topic are no cycle."""
    check_table(_rule(*rule) for rule in rules)


@pytest.mark.parametrize("state", ["draft", "paused", "deleted"])
def test_rules_that_do_not_route_make_no_cycle(state: str) -> None:
    """What is only drafted, paused or deleted moves nothing."""
    check_table([_rule("to-b", "a", "b"), _rule("back", "b", "a", state=state)])


NAMES = ["".join(name) for length in range(1, 9) for name in itertools.product("ab", repeat=length)]
patterns = st.lists(st.sampled_from("ab*"), min_size=1, max_size=4).map("".join)


@given(patterns, patterns)
def test_patterns_overlap_where_a_name_is_of_both(one: str, other: str) -> None:
    """Of all names that are long enough for the pieces of both, one is of both or none is."""
    assert overlap(one, other) is any(matches(one, name) and matches(other, name) for name in NAMES)


sources = st.sampled_from(["a", "b", "c", "d", "a.*", "*.x", "*"])
targets = st.sampled_from(["a", "b", "c", "d", "a.x", "a.y", "b.x", "a.{r}", "e", "{r}.x"])


@settings(max_examples=300)
@given(st.lists(st.tuples(sources, st.sets(targets, min_size=1, max_size=3)), max_size=6))
def test_a_cycle_is_found_where_rules_lead_to_themselves(network: list[tuple[str, set[str]]]) -> None:
    """The same answer as following every rule to every rule that it leads to, until nothing is new."""
    apart = [(source, sorted(to - {source})) for source, to in network if to - {source}]
    rules = [_rule(f"r{number}", source, *to) for number, (source, to) in enumerate(apart)]
    leads = {one.name: {other.name for other in rules if _leads(one, other)} for one in rules}
    reached = {name: set(direct) for name, direct in leads.items()}
    for _ in rules:
        for found in reached.values():
            found.update(*(leads[name] for name in found))

    cycle = find_cycle(rules)

    assert bool(cycle) is any(name in found for name, found in reached.items())
    by_name = {rule.name: rule for rule in rules}
    for step, following in zip(cycle, cycle[1:] + cycle[:1], strict=True):
        target = next(each for each in by_name[step.name].templates if each.text == step.target)
        assert overlap(target.pattern, by_name[following.name].source)


def _leads(one: Rule, other: Rule) -> bool:
    return any(overlap(target.pattern, other.source) for target in one.templates)


def test_a_thousand_rules_are_checked_at_once() -> None:
    """A long chain with patterns and templates is gone through once, not once for each pair."""
    rules = [
        _rule(
            f"r{number}",
            f"t{number}.*" if number % 7 == 0 else f"t{number}.x",
            f"t{number + 1}.x",
            f"t{number + 2}.{{r}}",
        )
        for number in range(1000)
    ]
    began = time.process_time()
    check_table(rules)

    assert time.process_time() - began < 10
    with pytest.raises(RuleError) as refused:
        check_table([*rules, _rule("back", "t1000.x", "t0.x")])
    assert refused.value.message.startswith("cycle: t1000.x -(back)-> t0.x -(r0)-> t1.x")
    assert refused.value.message.endswith(" (993 more) -(r999)-> t1000.x")


def _wide(name: str, count: int, **more: Any) -> Rule:
    return _rule(name, "a", *(f"{name}.{number}" for number in range(count)), **more)


def test_rules_of_one_event_type_share_a_limit_of_targets() -> None:
    """Each rule is within its own limit, and together they would make a flood of one event."""
    rules = [_wide("one", 100), _wide("two", 100)]
    check_table(rules)

    with pytest.raises(RuleError) as refused:
        check_table([*rules, _rule("all", "*", "copies", "more")])

    assert refused.value.message == f"targets: an event of a could reach 202 topics, allowed are {MAX_REACH}"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([_wide("one", 3), _wide("two", 4)], 7),
        ([_rule("one", "a", "x", "y"), _rule("two", "a", "y", "z")], 3),
        ([_wide("one", 3, group="g"), _wide("two", 4, group="g"), _wide("three", 2, group="h")], 6),
        ([_wide("one", 3), _wide("rest", 5, default=True)], 5),
        ([_wide("one", 6), _wide("rest", 5, default=True)], 6),
        ([_wide("one", 3, group="g"), _wide("rest", 5, group="g", default=True)], 5),
        ([_rule("one", "a", "x"), _rule("two", "a", "x", "y", group="g")], 2),
        ([], 0),
    ],
)
def test_of_a_group_the_largest_rule_counts_and_each_topic_once(rules: list[Rule], expected: int) -> None:
    """What one event can reach is what is limited, not how many rules say so."""
    assert reach(rules) == expected
