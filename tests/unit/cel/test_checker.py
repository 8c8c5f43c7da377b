"""What the type check refuses when an expression is saved, and what it lets pass."""

from __future__ import annotations

import pytest

from fleet.cel.checker import check, check_condition
from fleet.cel.checker_functions import SIGNATURES
from fleet.cel.errors import ExpressionError
from fleet.cel.functions import FUNCTIONS
from fleet.cel.syntax import parse
from fleet.cel.types import DYN, from_avro
from tests.unit.cel.events import SCHEMA

ORDER = from_avro(SCHEMA, "shop.order")

REFUSED = [
    ("event.cuont > 1", 1, "no field 'cuont' in shop.order; did you mean 'count'?"),
    ("event.Count > 1", 1, "no field 'Count' in shop.order; did you mean 'count'?"),
    (
        "event.zzz > 1",
        1,
        "no field 'zzz' in shop.order; known: count, small, score, ratio, name, raw, flag, amount, ...",
    ),
    ("event.customer.nam == 'x'", 1, "no field 'nam' in Customer; did you mean 'name'?"),
    ("has(event.customer.nam)", 5, "no field 'nam' in Customer; did you mean 'name'?"),
    ("event.lines.exists(line, line.cod == 'x')", 26, "no field 'cod' in Line; did you mean 'code'?"),
    (
        "event.lines.code == 'x'",
        1,
        "no field 'code': list<record Line> is a list; write exists(x, x.code ...) or [0].code",
    ),
    ("event.name.first == 'x'", 1, "no field 'first': string has no fields"),
    ("null.first == 1", 1, "no field 'first': null has no fields"),
    ('event.amount > "high"', 1, "decimal > string: compare with a number"),
    ('event.amount > "10"', 1, "decimal > string: write 10 without quotes"),
    ("event.amount > event.score", 1, "decimal > double: convert one side with double()"),
    ("event.amount + event.name", 1, "decimal + string: calculate with a number"),
    ("event.amount % 2", 1, "decimal % int: % is for int and uint"),
    ("event.score > 1000", 1, "double > int: write 1000.0"),
    ("1000 < event.score", 1, "int < double: write 1000.0"),
    ("event.score == event.count", 1, "double == int: convert one side with double()"),
    ("event.count > 2.0", 1, "int > double: write 2"),
    ("event.count > 2.5", 1, "int > double: write a whole number, or convert the other side with double()"),
    ("event.count == 2u", 1, "int == uint: write 2"),
    ("uint(event.count) == 2", 1, "uint == int: write 2u"),
    ('event.count == "x"', 1, "int == string: compare with a number"),
    ("event.name == 11", 1, 'string == int: write "11"'),
    ("event.name == -1.50", 1, 'string == double: write "-1.50"'),
    ('event.flag == "true"', 1, "bool == string: write true without quotes"),
    ('event.raw == "a"', 1, "bytes == string: write b before the quotes"),
    ('event.at > "2026-01-31"', 1, 'timestamp > string: write timestamp("2026-01-31T00:00:00Z")'),
    ('event.day > "soon"', 1, 'timestamp > string: write timestamp("2026-01-31T00:00:00Z")'),
    ('event.clock > "8h"', 1, 'duration > string: write duration("8h")'),
    (
        "event.at > event.name",
        1,
        'timestamp > string: compare with a timestamp, e.g. timestamp("2026-01-31T00:00:00Z")',
    ),
    ("event.at + event.at", 1, "timestamp + timestamp: + is not for these types"),
    ('event.status == "OPNE"', 17, "'OPNE' is no value of this field; did you mean 'OPEN'?"),
    ('"gone" != event.customer.status', 1, "'gone' is no value of this field; known: OPEN, CLOSED"),
    ('event.status in ["OPEN", "SHUT"]', 26, "'SHUT' is no value of this field; known: OPEN, CLOSED"),
    ('event.codes == "a"', 1, "list<string> == string: write value in list, or list.exists(x, x == value)"),
    ("event.customer == 1", 1, "record Customer == int: compare with a field of the record"),
    (
        "event.codes < event.codes",
        1,
        "list<string> < list<string>: write value in list, or list.exists(x, x == value)",
    ),
    ("event.note < null", 1, "string < null: null is only equal or not; guard with x != null &&"),
    ("null + 1", 1, "null + int: null is only equal or not; guard with x != null &&"),
    ('"a" in event.name', 8, "string in string: write text.contains(part)"),
    ("1 in event.count", 6, "int in int: look in a list or a map"),
    ("1 in event.codes", 1, 'int in list<string>: write "1"'),
    ("1 in event.tags", 1, 'int in map<string, string>: write "1"'),
    ('event.count in ["x", "y"]', 17, "int == string: compare with a number"),
    ("event.codes['a']", 1, "no field 'a': list<string> is a list; write exists(x, x.a ...) or [0].a"),
    ("event.codes[1.0]", 13, "list<string>[double]: give int"),
    ("event.tags[1]", 12, "map<string, string>[int]: give string"),
    ("event.name[0]", 1, "string[...]: only lists, maps and records have elements"),
    ("event.count.exists(x, x > 1)", 1, "exists() goes over a list or a map, got int"),
    ("event.name.map(x, x)", 1, "map() goes over a list or a map, got string"),
    ("event.codes.filter(c, size(c))", 23, "filter() takes true or false, got int; compare it, e.g. with =="),
    ("event.codes.all(c, c.size())", 22, "all() takes true or false, got int; compare it, e.g. with =="),
    ("event.count && event.flag", 1, "&& takes true or false, got int; compare it, e.g. with =="),
    ("event.flag || event.name", 15, "|| takes true or false, got string; compare it, e.g. with =="),
    ("!event.count", 2, "! takes true or false, got int; compare it, e.g. with =="),
    ("event.count ? 1 : 2", 1, "?: takes true or false, got int; compare it, e.g. with =="),
    ("-event.name", 2, "-string: only int, double and decimal have a sign"),
    ("size(event.count)", 6, "size() takes string, bytes, list, map or record, got int"),
    ("event.count.startsWith('a')", 1, "startsWith() takes string, got int"),
    ("event.name.startsWith(1)", 23, "startsWith() takes string, got int"),
    ("[1].join()", 1, "join() takes list<string>, got list<int>; write list.map(x, string(x)).join(...)"),
    ("event.clock.getHours('UTC')", 22, "getHours() of a duration takes no more arguments"),
    ("{1.5: 2}", 2, "a map has no keys of type double; use string, int, uint or bool"),
]


@pytest.mark.parametrize(("text", "column", "reason"), REFUSED)
def test_what_cannot_be_right_is_refused_with_what_would_be(text: str, column: int, reason: str) -> None:
    """Line, column, the types that meet, and what to write instead."""
    with pytest.raises(ExpressionError) as refused:
        check(parse(text), ORDER)

    assert str(refused.value) == f"line 1 column {column}: {reason}"


TYPES = [
    ("event.count + event.small * 2", "int"),
    ("event.score / event.ratio", "double"),
    ("event.name + 'x'", "string"),
    ("event.codes + ['x']", "list<string>"),
    ("event.at - event.day", "duration"),
    ("event.at + duration('1h')", "timestamp"),
    ("event.at - event.clock", "timestamp"),
    ("event.local > event.at && event.day <= event.at", "bool"),
    ("event.id == 'x' || event.id.startsWith('0')", "bool"),
    ("event.note == null", "bool"),
    ("event.note.size() > 3 && event.note == 'x'", "bool"),
    ("event.customer.parent.parent.name == 'x'", "bool"),
    ("has(event.customer.parent) && event.customer.parent != null", "bool"),
    ("event.either == 3 || event.either == 'x'", "bool"),
    ("event.either.size() + 1", "int"),
    ("event.either + 1", "dyn"),
    ("event.either[0].anything", "dyn"),
    ("dyn(event.name) == 3", "bool"),
    ("event.flag ? event.count : event.score", "dyn"),
    ("event.flag ? event.note : null", "string"),
    ("event.flag ? [1] : []", "list<dyn>"),
    (
        "event.amount > 1000 && event.amount > 10.5 && event.amount > event.count && event.amount == 3u",
        "bool",
    ),
    ("event.amount in [1, 2.5]", "bool"),
    ("event.count in [1, 'x']", "bool"),
    ("event.note in ['x', null]", "bool"),
    ("event.count in event.numbers || event.name in event.tags || 'name' in event.customer", "bool"),
    ("event.tags.exists(key, event.tags[key] == 'x')", "bool"),
    ("event.customer.all(key, key != 'x')", "bool"),
    ("event.tags.size() + event.customer.size()", "int"),
    ("event.lines.filter(line, line.price > 1.0).map(line, line.code)", "list<string>"),
    ("event.lines.map(line, line.price > 1.0, {line.code: line.price})", "list<map<string, double>>"),
    ("event.lines.exists_one(line, line.code == 'x') || event.lines[0].price == 1.5", "bool"),
    ("event.customer", "record Customer"),
    ("event.customer == event.customer.parent || event.tags == event.customer", "bool"),
    ("attributes.tenant == 'x' && attributes['id'].size() > 1", "bool"),
    ("event.status == event.name && event.status != event.customer.status", "bool"),
    ("event.status > 'M'", "bool"),
    ("event['count'] - event.numbers[0]", "int"),
    ("event.codes.join('-').split('-')", "list<string>"),
    ("event.at.getFullYear('UTC') + event.clock.getHours()", "int"),
    ("[[1], []]", "list<list<dyn>>"),
    ("[]", "list<dyn>"),
    ("event.codes == []", "bool"),
]


@pytest.mark.parametrize(("text", "expected"), TYPES)
def test_what_may_be_right_passes_with_its_type(text: str, expected: str) -> None:
    """Nullable fields, unions and mixed lists may be right at run time."""
    assert str(check(parse(text), ORDER)) == expected


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("event.amount", 2),
        ("-event.amount", 2),
        ("event.amount + event.rate", 4),
        ("event.amount - 0.125", 3),
        ("1.5 - event.amount", 2),
        ("event.amount + event.count", 2),
        ("event.amount * event.rate", 6),
        ("event.amount * 3", 2),
        ("event.amount / 2", None),
        ("round(event.amount / 2, 3)", 3),
        ("round(event.amount, event.count)", None),
        ('decimal("1.500")', 3),
        ("decimal(event.name)", None),
        ("decimal(event.count)", 0),
        ("decimal(event.rate)", 4),
        ("event.flag ? event.amount : event.rate", 4),
    ],
)
def test_a_decimal_has_as_many_digits_as_what_it_is_made_of(text: str, scale: int | None) -> None:
    """Sums keep the longer, products have both; what depends on values is not known."""
    found = check(parse(text), ORDER)

    assert (str(found), found.scale) == ("decimal", scale)


def test_a_condition_must_be_true_or_false() -> None:
    """A value that is neither is refused, one that may be passes."""
    with pytest.raises(ExpressionError) as refused:
        check_condition(parse("event.amount * 2"), ORDER)

    expected = "line 1 column 1: the condition must be true or false, got decimal; compare it, e.g. with =="
    assert str(refused.value) == expected
    check_condition(parse("event.flag"), ORDER)
    check_condition(parse("event.either"), ORDER)


def test_of_an_event_that_nobody_knows_everything_may_be_right() -> None:
    """Without a schema only what is wrong in itself is refused."""
    assert str(check(parse("event.a.b[0].c + event.d > 3 && event.e.exists(x, x.f)"), DYN)) == "bool"
    with pytest.raises(ExpressionError, match="bool \\+ int"):
        check(parse("event.a == (true + 1)"), DYN)


@pytest.mark.parametrize(
    "text",
    [
        "has(event.priority) && event.priority > 3",
        "event.priority > 3 && has(event.priority)",
        "!has(event.priority) || event.priority > 3",
        "!(has(event.priority) && event.flag) || event.priority > 3",
        "has(event.priority) ? event.priority > 3 : event.flag",
        "event.flag && (has(event.priority) && event.priority > 3)",
    ],
)
def test_a_field_of_other_events_may_be_read_behind_has(text: str) -> None:
    """A rule for several event types says itself which of them have the field."""
    check_condition(parse(text), ORDER, elsewhere={"priority"})
    with pytest.raises(ExpressionError, match="no field 'priority'"):
        check_condition(parse(text), ORDER)


@pytest.mark.parametrize(
    "text", ["event.priority > 3", "event.flag || has(event.priority) || event.priority > 3"]
)
def test_a_field_of_other_events_that_is_not_guarded_is_refused(text: str) -> None:
    """For the events without it the condition would fail, every time."""
    with pytest.raises(ExpressionError, match=r"has\(event.priority\) && ... before it"):
        check_condition(parse(text), ORDER, elsewhere={"priority"})


def test_every_function_of_the_language_has_a_signature() -> None:
    """A new function is typed in the same change: neither table is longer than the other."""
    assert SIGNATURES.keys() == FUNCTIONS.keys()
    for name, function in FUNCTIONS.items():
        longest = max(len(signature.takes) for signature in SIGNATURES[name])
        assert longest == function.most, name
