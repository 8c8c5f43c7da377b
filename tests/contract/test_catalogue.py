"""The catalogue itself: every file is valid, every Avro topic has its schema, every example fits."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema
from fastavro.validation import validate

from schemas.catalogue import CATALOGUE, load_avsc, load_catalogue

AVSCS = sorted((CATALOGUE / "avro").glob("*.avsc"))
EXAMPLES = sorted((CATALOGUE / "examples").glob("*.json"))
KAFKA_MAX_MESSAGE_BYTES = 10 * 1024 * 1024  # message.max.bytes of the embedded broker

FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "timestamp-millis": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
}


def stems(paths: list[Path]) -> list[str]:
    """Return file names without suffix."""
    return [path.stem for path in paths]


def from_json(value: Any, schema: Any) -> Any:
    """Return a JSON value as what Avro wants: times, dates and decimals out of their strings."""
    if isinstance(schema, list):
        schema = next(branch for branch in schema if branch != "null")
    if value is None or not isinstance(schema, dict):
        return value
    if schema["type"] == "array":
        return [from_json(item, schema["items"]) for item in value]
    if schema["type"] == "record":
        types = {field["name"]: field["type"] for field in schema["fields"]}
        return {name: from_json(item, types.get(name)) for name, item in value.items()}
    return FROM_TEXT[schema["logicalType"]](value)


def undocumented(schema: Any, path: str = "") -> list[str]:
    """Return the fields without a doc."""
    if isinstance(schema, list):
        return [name for branch in schema for name in undocumented(branch, path)]
    if not isinstance(schema, dict):
        return []
    if schema["type"] == "array":
        return undocumented(schema["items"], path)
    found = []
    for field in schema.get("fields", ()):
        name = f"{path}{field['name']}"
        found += [] if field.get("doc") else [name]
        found += undocumented(field["type"], f"{name}.")
    return found


def test_every_topic_file_is_valid() -> None:
    """All files load: known fields, good values, the schema of every Avro topic exists."""
    catalogue = load_catalogue()
    assert sorted(stems(list((CATALOGUE / "topics").glob("*.yaml")))) == sorted(catalogue.topics)
    assert {"raw.x12", "canonical.claim", "fleet.config.routes"} <= catalogue.topics.keys()


def test_every_schema_is_used_and_has_an_example() -> None:
    """A schema that no topic names, or that nobody shows, is a mistake."""
    used = {topic.value.avsc for topic in load_catalogue().topics.values()} - {None}
    assert used == set(stems(AVSCS)) == set(stems(EXAMPLES))


@pytest.mark.parametrize("path", AVSCS, ids=stems(AVSCS))
def test_every_field_of_a_schema_says_what_it_is(path: Path) -> None:
    """Docs on every field, nested ones too."""
    assert undocumented(load_avsc(path)) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=stems(EXAMPLES))
def test_every_example_fits_its_schema(path: Path) -> None:
    """Every field is there, of the right type, and no other."""
    schema = load_avsc(CATALOGUE / "avro" / f"{path.stem}.avsc")
    value = from_json(json.loads(path.read_text(encoding="utf-8")), schema)
    assert validate(value, parse_schema(schema), strict=True, raise_errors=True)


def test_health_information_stays_classified() -> None:
    """Whatever carries claims or raw files is classed PHI."""
    topics = load_catalogue().topics.values()
    claims = [
        topic for topic in topics if topic.value.avsc == "canonical.claim" or topic.value.kind == "bytes"
    ]
    assert {topic.classification for topic in claims} == {"phi"}


def test_a_dead_letter_has_room_for_the_record_and_its_headers() -> None:
    """A record that fills its topic's limit still fits the dead-letter topic, and the broker's limit."""
    topics = load_catalogue().topics
    largest = max(t.max_message_bytes for t in topics.values() if not t.name.startswith("fleet."))
    for name, topic in topics.items():
        assert topic.max_message_bytes <= KAFKA_MAX_MESSAGE_BYTES
        if name.startswith("fleet.dead-letters."):
            assert topic.max_message_bytes > largest


def test_sources_and_outputs_of_one_agent_have_equal_partitions() -> None:
    """Co-partitioned topics have the same number of partitions."""
    topics = load_catalogue().topics.values()
    tables = ("fleet.config.", "fleet.audit.", "fleet.router.", "fleet.dead-letter-status")
    events = [topic for topic in topics if not topic.name.startswith(tables)]
    assert {topic.partitions for topic in events} == {6}
