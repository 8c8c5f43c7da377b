"""The rules of the routing cases: one list that every engine is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from benchmarks.workers.aggregation import Comparison, Operator
from benchmarks.workers.job import ROUTE_ATTRIBUTES, ROUTE_MANY, Rule

REGIONS = ("TX", "OH", "FL", "CA", "NY", "WA", "IL", "GA")
SOURCES = tuple(f"/clearinghouse/{number}" for number in range(8))
PRIORITIES = ("normal",) * 15 + ("urgent",)
PAYERS = tuple(f"P{number:04d}" for number in range(8))
PLACES = ("11",) * 12 + ("21", "22", "22", "23")
FREQUENCIES = ("1",) * 15 + ("7",)
TRANSACTIONS = ("CH",) * 15 + ("RP",)
MANY = 1_000
BIG_DOLLARS = 885
"""An eighth of the claims, which are spread evenly from 10 to 1,010 dollars, charge this or more."""

REVIEW = "review"
NEVER = "never"
TARGETS = (*(f"t{number}" for number in range(8)), REVIEW, NEVER)
"""Suffixes of the target topics."""

Outputs = Callable[[Callable[[str], Any]], list[tuple[str, bytes]]]


def rules_of(case: str, topic: Callable[[str], str]) -> tuple[Rule, ...]:
    """Return the rules of a routing case: 20, or a thousand.

    Args:
        case: The case.
        topic: Gives the topic of a target suffix.
    """
    if case == ROUTE_MANY:
        return many_rules(MANY, topic)
    return _numbered(_attribute_tests() if case == ROUTE_ATTRIBUTES else _field_tests(), topic)


def many_rules(count: int, topic: Callable[[str], str]) -> tuple[Rule, ...]:
    """Return `count` rules on one region each: eight that match, and others for regions nobody is in.

    So the outputs do not depend on `count`.
    """
    matching = list(_by_region())
    others = (
        (NEVER, (Comparison("region", "==", f"X{number}"), Comparison("source", "!=", SOURCES[-1])))
        for number in range(count - len(matching))
    )
    return _numbered((*matching, *others), topic)


def _numbered(
    tests: Iterable[tuple[str, tuple[Comparison, ...]]], topic: Callable[[str], str]
) -> tuple[Rule, ...]:
    return tuple(Rule(f"r{number:04d}", topic(target), found) for number, (target, found) in enumerate(tests))


def _by_region() -> Iterator[tuple[str, tuple[Comparison, ...]]]:
    for number, region in enumerate(REGIONS):
        yield f"t{number}", (Comparison("region", "==", region), Comparison("source", "!=", SOURCES[-1]))


def _attribute_tests() -> Iterator[tuple[str, tuple[Comparison, ...]]]:
    yield from _by_region()
    for region in REGIONS[::2]:
        yield REVIEW, (Comparison("region", "==", region), Comparison("source", "==", SOURCES[-1]))
    yield REVIEW, (Comparison("priority", "==", "urgent"), Comparison("region", "==", "TX"))
    yield (
        REVIEW,
        (Comparison("priority", "==", "urgent"), Comparison("source", "startsWith", "/clearinghouse/3")),
    )
    yield REVIEW, (Comparison("source", "startsWith", "/clearinghouse/7"), Comparison("region", "==", "OH"))
    yield NEVER, (Comparison("region", "==", "ZZ"),)
    yield NEVER, (Comparison("source", "startsWith", "/laboratory/"),)
    yield NEVER, (Comparison("priority", "==", "void"), Comparison("region", "!=", "ZZ"))
    yield NEVER, (Comparison("region", "==", "TX"), Comparison("source", "==", "/laboratory/1"))
    yield NEVER, (Comparison("type", "==", "canonical.remittance"),)


def _field_tests() -> Iterator[tuple[str, tuple[Comparison, ...]]]:
    for number, payer in enumerate(PAYERS):
        yield (
            f"t{number}",
            (Comparison("payer.id", "==", payer), Comparison("total_charge", "<", BIG_DOLLARS)),
        )
    for payer in PAYERS[::2]:
        yield REVIEW, (Comparison("payer.id", "==", payer), Comparison("total_charge", ">=", BIG_DOLLARS))
    yield REVIEW, (Comparison("place_of_service", "==", "23"), Comparison("frequency_code", "==", "7"))
    yield REVIEW, (Comparison("transaction_type", "==", "RP"), Comparison("payer.id", "!=", "P0001"))
    yield (
        REVIEW,
        (
            Comparison("billing_provider.npi", "startsWith", "10000000"),
            Comparison("total_charge", ">=", 1000),
        ),
    )
    yield NEVER, (Comparison("payer.id", "==", "P9999"),)
    yield NEVER, (Comparison("total_charge", ">=", 100_000),)
    yield NEVER, (Comparison("frequency_code", "==", "9"), Comparison("place_of_service", "!=", "99"))
    yield NEVER, (Comparison("transaction_type", "==", "31"),)
    yield NEVER, (Comparison("place_of_service", "==", "99"), Comparison("payer.id", "==", "P0001"))


def outputs_by(rules: Sequence[Rule]) -> Outputs:
    """Return a function that gives (topic, rule header) for one event: each topic once.

    It is what one would write by hand, an ``if`` a rule: the peers in Python route by it.

    Args:
        rules: The rules; the first that asks for a topic is the one that is named.
    """
    names: dict[str, Any] = {}
    paths = {test.path: f"v{place}" for place, test in enumerate(_tests(rules))}
    lines = ["def outputs(read):", *(f"    {local} = read({path!r})" for path, local in paths.items())]
    lines.append("    found = {}")
    for place, rule in enumerate(rules):
        names[f"t{place}"], names[f"h{place}"] = rule.topic, rule.header
        tests = [_condition(paths[test.path], test.operator, test.value) for test in rule.tests]
        lines.append(f"    if {' and '.join(tests)}: found.setdefault(t{place}, h{place})")
    lines.append("    return list(found.items())")
    exec("\n".join(lines), names)  # noqa: S102 - generated from the rules above
    outputs: Outputs = names["outputs"]
    return outputs


def _tests(rules: Sequence[Rule]) -> list[Comparison]:
    return [test for rule in rules for test in rule.tests]


def _condition(local: str, operator: Operator, value: str | int) -> str:
    if operator == "startsWith":
        return f"{local}.startswith({value!r})"
    return f"{local} {operator} {value!r}"


def cel(rule: Rule, root: str) -> str:
    """Return the condition of `rule` as Eventfleet's rules are written.

    Args:
        rule: The rule.
        root: What the paths are of: ``attributes`` or ``event``.
    """
    return condition(rule.tests, root)


def condition(tests: Iterable[Comparison], root: str) -> str:
    """Return the condition that all `tests` hold, as Eventfleet's are written; see `cel`."""
    return " && ".join(_cel(f"{root}.{test.path}", test.operator, test.value) for test in tests)


def _cel(path: str, operator: Operator, value: str | int) -> str:
    written = f"'{value}'" if isinstance(value, str) else str(value)
    return f"{path}.startsWith({written})" if operator == "startsWith" else f"{path} {operator} {written}"
