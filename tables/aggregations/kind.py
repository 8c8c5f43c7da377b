"""Aggregations as a kind of definition: what is checked before one is written, and against what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from fleet.errors import PermanentError
from schemas.registry import INCOMPATIBLE_SCHEMA, Registry
from tables.aggregations.builds import rebuilt
from tables.aggregations.change_topics import ChangeTopics
from tables.aggregations.checks import AvroSchema, check_definition
from tables.aggregations.cycles import check_cycles
from tables.aggregations.definition import Definition, State, parse_definition
from tables.aggregations.errors import AggregationError
from tables.aggregations.function import FunctionSpec
from tables.aggregations.schemas import NAMESPACE, derive_output_schema
from tables.aggregations.window import WindowSpec
from tables.documents import Document, defaults_of
from tables.kinds import ACTIVE, DELETED, RESERVED
from tables.routes.known_events import KnownEvents

TOPIC: Final = "fleet.config.aggregations"
AUDIT: Final = "fleet.audit.aggregations"

_LOOKED_AT: Final = frozenset({State.DRAFT, State.ACTIVE})
_OF_THE_PLATFORM: Final = ("version", "builds", "serving", "paused_because")
_ALWAYS: Final = ("name", "owner", "sources", "group_by", "functions", "windows", "state")


class Aggregations:
    """The kind of definition that aggregations are.

    Args:
        registry: Where the schemas of events are.
        topics: Makes the topics that they write to.
    """

    noun = "aggregation"

    def __init__(self, registry: Registry, topics: ChangeTopics) -> None:
        self._events = KnownEvents(registry)
        self._topics = topics

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
        """Check aggregations against the schemas of their sources, and all together: topics and cycles.

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
        if any(each["state"] == ACTIVE for each in changed):
            check_cycles(table.values())

    async def complete(self, document: Document, before: Document | None) -> Document:
        """Return an aggregation with its builds and the types of its arguments.

        One that is active has a build of its calculation, with the id of the schema of its results, which is
        registered, and the topic that they are written to.

        Raises:
            AggregationError: It is refused, or readers of its results so far could not read the new ones.
            TransientError: The schema registry or Kafka does not answer.
        """
        definition = parse_definition(document)
        replaced = None if before is None else parse_definition(before)
        if definition.state not in _LOOKED_AT:
            return document_of(rebuilt(definition, replaced))
        schemas = await self._events.schemas(definition.sources)
        built = rebuilt(check_definition(definition, schemas).definition, replaced)
        if built.state is State.ACTIVE:
            built = await self._with_results(built, replaced, derive_output_schema(built, schemas))
        return document_of(built)

    async def _with_results(
        self, definition: Definition, before: Definition | None, schema: AvroSchema
    ) -> Definition:
        """Register the schema of a new build and make the topic; return it with the id of the schema."""
        topic, builds = definition.output.topic, definition.builds
        is_new = any(each.output_schema is None for each in builds)
        if is_new:
            registered = await self._registered(definition, f"{NAMESPACE}.{definition.name}", schema)
            builds = tuple(
                each if each.output_schema else msgspec.structs.replace(each, output_schema=registered)
                for each in builds
            )
        if topic and (is_new or not _wrote_to(before, topic)):
            await self._check_values(definition, schema)
            await self._registered(definition, f"{topic}-value", schema)
        if topic:
            await self._topics.ensure(definition)
        return msgspec.structs.replace(definition, builds=builds)

    async def _registered(self, definition: Definition, subject: str, schema: AvroSchema) -> int:
        try:
            return await self._events.register_as(subject, schema)
        except PermanentError as error:
            if error.reason != INCOMPATIBLE_SCHEMA:
                raise
            raise AggregationError(
                "functions: who reads the results made so far could not read the new ones",
                field="functions",
                hint="give a field that changes its type another name, or create another aggregation",
            ).of(definition.name) from error

    async def _check_values(self, definition: Definition, schema: AvroSchema) -> None:
        """Check that nothing else is written to the topic."""
        topic = definition.output.topic
        there = (await self._events.schemas([topic])).get(topic)
        if there is not None and _record(there) != _record(schema):
            raise AggregationError(
                f"output.topic: {topic!r} holds {_record(there)}",
                field="output.topic",
                hint="choose a topic that holds nothing else",
            ).of(definition.name)


def parse(data: bytes | Mapping[str, Any]) -> Document:
    """Return an aggregation as JSON values, with every field that it can have; see `parse_definition`."""
    return document_of(parse_definition(data))


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


def document_of(definition: Definition) -> Document:
    """Return an aggregation as JSON values."""
    document: Document = msgspec.json.decode(msgspec.json.encode(definition))
    return document


def _wrote_to(before: Definition | None, topic: str) -> bool:
    return before is not None and before.state is State.ACTIVE and before.output.topic == topic


def _record(schema: AvroSchema) -> str:
    namespace, name = schema.get("namespace", ""), schema.get("name", "")
    return f"{namespace}.{name}" if namespace else name


def _without_defaults(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Document:
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


_DEFAULTS: Final = defaults_of(Definition)
_FUNCTION_DEFAULTS: Final = defaults_of(FunctionSpec)
_WINDOW_DEFAULTS: Final = defaults_of(WindowSpec)
_PARTS: Final = frozenset({"output", "limits"})
