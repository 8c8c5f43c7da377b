"""Aggregations as a kind of definition: what is checked before one is written, and against what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from fleet.errors import PermanentError
from schemas.registry import INCOMPATIBLE_SCHEMA, Registry
from tables.aggregations.checks import check_definition
from tables.aggregations.definition import Definition, State, parse_definition
from tables.aggregations.errors import AggregationError
from tables.aggregations.function import FunctionSpec
from tables.aggregations.schemas import derive_output_schema
from tables.aggregations.window import WindowSpec
from tables.documents import Document, defaults_of
from tables.kinds import DELETED, RESERVED
from tables.routes.known_events import KnownEvents

TOPIC: Final = "fleet.config.aggregations"
AUDIT: Final = "fleet.audit.aggregations"

_LOOKED_AT: Final = frozenset({State.DRAFT, State.ACTIVE})
_OF_THE_PLATFORM: Final = ("version", "output_schema")
_ALWAYS: Final = ("name", "owner", "sources", "group_by", "functions", "windows", "state")


class Aggregations:
    """The kind of definition that aggregations are.

    Args:
        registry: Where the schemas of events are.
    """

    noun = "aggregation"

    def __init__(self, registry: Registry) -> None:
        self._events = KnownEvents(registry)

    def parse(self, document: Mapping[str, Any]) -> Document:
        """Return an aggregation with every field that it can have.

        Raises:
            AggregationError: It is refused; names the field, for an expression also line and column.
        """
        return parse(document)

    def content(self, document: Document) -> Document:
        """Return what of an aggregation a person writes."""
        return content(document)

    async def check(self, changed: Sequence[Document], table: Mapping[str, Document]) -> None:
        """Check aggregations against the schemas of their sources, and that each has a topic of its own.

        One that is stopped passes whatever has become of its sources: stopping one must always be possible.

        Raises:
            AggregationError: One is refused; says why.
            TransientError: The schema registry does not answer.
        """
        for definition in map(parse_definition, changed):
            if definition.name in RESERVED:
                raise AggregationError(
                    f"name: {definition.name!r} is taken", field="name", hint="choose another name"
                )
            if definition.state in _LOOKED_AT:
                _check_topic(definition, table)
                check_definition(definition, await self._events.schemas(definition.sources))

    async def complete(self, document: Document) -> Document:
        """Return an aggregation with the types of its arguments and the id of the schema of its results.

        Raises:
            AggregationError: It is refused, or readers of its results so far could not read the new ones.
            TransientError: The schema registry does not answer.
        """
        definition = parse_definition(document)
        if definition.state not in _LOOKED_AT:
            return document
        schemas = await self._events.schemas(definition.sources)
        typed = check_definition(definition, schemas).definition
        schema = derive_output_schema(typed, schemas)
        registered = await self._registered(typed, schema)
        return _document(msgspec.structs.replace(typed, output_schema=registered))

    async def _registered(self, definition: Definition, schema: dict[str, Any]) -> int:
        try:
            return await self._events.register_as(f"fleet.aggregations.{definition.name}", schema)
        except PermanentError as error:
            if error.reason != INCOMPATIBLE_SCHEMA:
                raise
            raise AggregationError(
                "functions: who reads the results made so far could not read the new ones",
                field="functions",
                hint="give a field that changes its type another name",
            ).of(definition.name) from error


def parse(data: bytes | Mapping[str, Any]) -> Document:
    """Return an aggregation as JSON values, with every field that it can have; see `parse_definition`."""
    return _document(parse_definition(data))


def content(document: Document) -> Document:
    """Return what of an aggregation a person writes: nothing that the platform sets, and no defaults."""
    kept = _without_defaults(document, _DEFAULTS)
    for name in _OF_THE_PLATFORM:
        kept.pop(name, None)
    kept |= {name: document[name] for name in _ALWAYS}
    kept["functions"] = [
        _without_defaults({**each, "type": ""}, _FUNCTION_DEFAULTS) for each in document["functions"]
    ]
    kept["windows"] = _without_defaults(document["windows"], _WINDOW_DEFAULTS)
    for name in _PARTS & kept.keys():
        kept[name] = _without_defaults(kept[name], _DEFAULTS[name])
    return kept


def _check_topic(definition: Definition, table: Mapping[str, Document]) -> None:
    topic = definition.output.topic
    for other in table.values():
        same = topic and other["output"]["topic"] == topic
        if same and other["name"] != definition.name and other["state"] != DELETED:
            raise AggregationError(
                f"output.topic: {other['name']!r} writes to {topic!r}",
                field="output.topic",
                hint="each aggregation has a topic of its own",
            ).of(definition.name)


def _document(definition: Definition) -> Document:
    document: Document = msgspec.json.decode(msgspec.json.encode(definition))
    return document


def _without_defaults(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Document:
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


_DEFAULTS: Final = defaults_of(Definition)
_FUNCTION_DEFAULTS: Final = defaults_of(FunctionSpec)
_WINDOW_DEFAULTS: Final = defaults_of(WindowSpec)
_PARTS: Final = frozenset({"output", "limits"})
