"""Routing rules as a kind of definition: what is checked before one is written, and against what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from schemas.registry import Registry
from tables.documents import Document, defaults_of
from tables.kinds import ACTIVE, RESERVED
from tables.routes.checks import check_rule, check_table, needs_schema
from tables.routes.errors import RuleError
from tables.routes.known_events import KnownEvents
from tables.routes.rule import Rule, State, parse_rule

TOPIC: Final = "fleet.config.routes"
AUDIT: Final = "fleet.audit.routes"

_OF_THE_PLATFORM: Final = ("version", "output_schema")
_ALWAYS: Final = ("name", "owner", "source", "targets", "condition", "state")
_DEFAULTS: Final = defaults_of(Rule)


class Routes:
    """The kind of definition that routing rules are.

    Args:
        registry: Where the schemas of events are.
    """

    noun = "rule"

    def __init__(self, registry: Registry) -> None:
        self._events = KnownEvents(registry)

    def parse(self, document: Mapping[str, Any]) -> Document:
        """Return a rule with every field that it can have.

        Raises:
            RuleError: It is refused; names the field, for an expression also line and column.
        """
        return parse(document)

    def content(self, document: Document) -> Document:
        """Return what of a rule a person writes."""
        return content(document)

    async def check(self, changed: Sequence[Document], table: Mapping[str, Document]) -> None:
        """Check rules against the schemas of their sources, and all rules together.

        Raises:
            RuleError: One is refused; says why.
            TransientError: The schema registry does not answer.
        """
        rules = [parse_rule(each) for each in changed]
        for rule in rules:
            if rule.name in RESERVED:
                raise RuleError(f"name: {rule.name!r} is taken", field="name", hint="choose another name")
            await self._output_of(rule)
        if any(rule.state is State.ACTIVE for rule in rules):
            active = (each for each in table.values() if each["state"] == ACTIVE)
            check_table(parse_rule(each) for each in active)

    async def complete(self, document: Document, before: Document | None) -> Document:
        """Return a rule with the id of the schema that its copies have, which is registered.

        Raises:
            RuleError: The registry refuses the schema.
            TransientError: The schema registry does not answer.
        """
        del before
        rule = parse_rule(document)
        schema = await self._output_of(rule)
        if schema is not None:
            return {**document, "output_schema": await self._events.register(rule, schema)}
        return {**document, "output_schema": rule.output_schema if rule.projection else None}

    async def _output_of(self, rule: Rule) -> dict[str, Any] | None:
        # One that is stopped is not looked at: it can be, also while the registry is down.
        looked_at = rule.state in (State.DRAFT, State.ACTIVE) and needs_schema(rule)
        return check_rule(rule, await self._events.covered(rule) if looked_at else {})


def parse(data: bytes | Mapping[str, Any]) -> Document:
    """Return a rule as JSON values, with every field that it can have; see `parse_rule`."""
    document: Document = msgspec.json.decode(msgspec.json.encode(parse_rule(data)))
    return document


def content(document: Document) -> Document:
    """Return what of a rule a person writes: no version, nothing that the platform sets, no defaults."""
    kept = {
        name: value
        for name, value in document.items()
        if name in _ALWAYS or (name not in _OF_THE_PLATFORM and value != _DEFAULTS.get(name))
    }
    if kept.get("projection"):
        kept["projection"] = {part: value for part, value in kept["projection"].items() if value}
    return kept
