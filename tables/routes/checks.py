"""Checks of a rule that need schemas, and of all rules together, before a rule is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fleet.cel.checker import check, check_condition
from fleet.cel.errors import ExpressionError, refused
from fleet.cel.types import DYN, Kind, from_avro
from tables.routes.cycles import check_cycles
from tables.routes.errors import RuleError
from tables.routes.projections import compile_projection
from tables.routes.reach import check_reach
from tables.routes.rule import EVERY, State
from tables.routes.schemas import output_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from fleet.cel.expression import Expression
    from fleet.cel.types import Type
    from tables.routes.rule import Rule

AvroSchema = dict[str, Any]

_STOPPED: Final = frozenset({State.PAUSED, State.DELETED})


def check_rule(rule: Rule, schemas: Mapping[str, AvroSchema]) -> AvroSchema | None:
    """Check the expressions of a rule against the schemas of its source.

    A rule that is paused or deleted passes whatever has become of its source: stopping one must always be
    possible.

    Args:
        rule: The rule, as `parse_rule` gives it.
        schemas: Avro schemas by event type: of the source, or where that is a pattern of each known event
            type that it covers. Those that the rule does not look at are passed over.

    Returns:
        The schema of what its projection gives; None where it has none, or is stopped.

    Raises:
        RuleError: Names the rule, the field and what would be right; for an expression also line and column.
    """
    if rule.state in _STOPPED:
        return None
    covered = {name: schema for name, schema in sorted(schemas.items()) if rule.looks_at(name)}
    try:
        if not covered and needs_schema(rule):
            raise _unknown_source(rule)
        events = [from_avro(schema, name) for name, schema in covered.items()]
        known = frozenset(field["name"] for schema in covered.values() for field in schema["fields"])
        for event in events or [DYN]:
            _check_expressions(rule, event, known)
        return output_schema(rule, covered)
    except RuleError as error:
        raise error.of(rule.name) from None


def check_table(rules: Iterable[Rule]) -> None:
    """Check what only all rules together show: how many topics an event can reach, and cycles.

    Args:
        rules: The whole table as it would be; only active rules count.

    Raises:
        RuleError: With the count, or with the way round.
    """
    every = list(rules)
    check_reach(every)
    check_cycles(every)


def needs_schema(rule: Rule) -> bool:
    """Return whether a rule reads fields of events, to decide or to make copies, or writes others."""
    key = rule.compiled_key
    reads = rule.compiled.fields or (key is not None and key.fields)
    return bool(reads) or compile_projection(rule) is not None


def _unknown_source(rule: Rule) -> RuleError:
    what = "no event type that it covers has a schema" if EVERY in rule.source else "it has no schema"
    return RuleError(
        f"source: the rule reads fields of {rule.source}, and {what}",
        field="source",
        hint=f"register a schema as {rule.source}-value, or use attributes alone",
    )


def _check_expressions(rule: Rule, event: Type, known: Collection[str]) -> None:
    field = "condition"
    try:
        check_condition(rule.compiled.tree, event, known)
        field = "key"
        if rule.compiled_key is not None:
            _check_key(rule.compiled_key, event, known)
    except ExpressionError as error:
        raise RuleError.in_field(field, error) from None


def _check_key(expression: Expression, event: Type, known: Collection[str]) -> None:
    found = check(expression.tree, event, known)
    if found.kind not in {Kind.STRING, Kind.DYN}:
        at = expression.tree.at
        raise refused(f"the key must be a string, got {found}; write string(...)", at.line, at.column)
