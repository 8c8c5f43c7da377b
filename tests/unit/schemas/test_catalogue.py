"""Loading a catalogue: every mistake is one line that names file, field and reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.errors import FatalError
from schemas.catalogue import load_catalogue
from schemas.topics import TopicSpec

TOPIC: dict[str, Any] = {
    "name": "team.event",
    "description": "Events of a team.",
    "owner": "team",
    "key": "id of the event",
    "value": {"kind": "avro", "schema": "event"},
    "partitions": 3,
    "retention": {"ms": 1000},
    "classification": "internal",
    "producers": ["gateway"],
    "consumers": ["router"],
}
AVSC = '{"type": "record", "name": "Event", "fields": [{"name": "id", "type": "string"}]}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a catalogue of one schema and no topic yet."""
    (tmp_path / "topics").mkdir()
    (tmp_path / "avro").mkdir()
    (tmp_path / "avro" / "event.avsc").write_text(AVSC)
    return tmp_path


def write(folder: Path, topic: dict[str, Any], name: str = "team.event") -> None:
    """Write one topic file."""
    (folder / "topics" / f"{name}.yaml").write_text(yaml.safe_dump(topic))


def test_a_good_topic_becomes_a_spec_and_a_subject(folder: Path) -> None:
    """What the cluster and the registry should have follows from the file."""
    write(folder, TOPIC)
    catalogue = load_catalogue(folder)
    assert catalogue.specs() == (TopicSpec("team.event", 3, retention_ms=1000, min_insync_replicas=2),)
    assert list(catalogue.subjects()) == ["team.event-value"]


def test_a_topic_without_key_is_not_keyed(folder: Path) -> None:
    """Partitions can be added to it later."""
    write(folder, {**TOPIC, "key": None})
    assert not load_catalogue(folder).specs()[0].keyed


def test_a_topic_of_bytes_has_no_subject(folder: Path) -> None:
    """Only Avro values are registered."""
    write(folder, {**TOPIC, "value": {"kind": "bytes"}})
    assert load_catalogue(folder).subjects() == {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"retries": 3}, "retries: Extra inputs are not permitted"),
        ({"partitions": 0}, "partitions: Input should be greater than or equal to 1"),
        ({"partitions": "3"}, "partitions: Input should be a valid integer"),
        ({"classification": "secret"}, "classification: Input should be 'public', 'internal' or 'phi'"),
        ({"owner": ""}, "owner: String should have at least 1 character"),
        ({"value": {"kind": "avro"}}, "value: schema or derived must be given for kind avro, one of them"),
        (
            {"value": {"kind": "avro", "schema": "x", "derived": "aggregation"}},
            "value: schema or derived must be given for kind avro, one of them, and only for it",
        ),
        ({"value": {"kind": "avro", "schema": "none"}}, "value.schema: no file avro/none.avsc"),
        ({"retention": {"ms": -2}}, "retention.ms: Input should be greater than or equal to -1"),
        ({"retention": None}, "retention must be given for cleanup delete, and only for it"),
        ({"cleanup": "compact", "retention": None, "key": None}, "a compacted topic needs a key"),
        ({"name": "team_event"}, "name: String should match pattern"),
        ({"name": "fleet.config.x"}, "a fleet.config.* topic must be compacted and have 1 partition"),
        ({"name": "team.other"}, "name: team.other is not the name of the file"),
    ],
)
def test_a_wrong_topic_names_file_field_and_reason(folder: Path, wrong: dict[str, Any], message: str) -> None:
    """The first mistake of a file is one line."""
    write(folder, {**TOPIC, **wrong})
    with pytest.raises(FatalError) as error:
        load_catalogue(folder)
    assert str(error.value).startswith(f"{folder / 'topics' / 'team.event.yaml'}: {message}")
    assert "\n" not in str(error.value)


def test_a_missing_field_is_named(folder: Path) -> None:
    """Every topic says who owns it."""
    write(folder, {key: value for key, value in TOPIC.items() if key != "owner"})
    with pytest.raises(FatalError, match=r"team\.event\.yaml: owner: Field required"):
        load_catalogue(folder)


@pytest.mark.parametrize("text", ["a: [", "- a", "", "a: b: c"])
def test_a_file_that_is_no_topic_at_all_is_named(folder: Path, text: str) -> None:
    """Broken YAML and YAML that is no mapping are one line too."""
    (folder / "topics" / "broken.yaml").write_text(text)
    with pytest.raises(FatalError, match=r"broken\.yaml: [^\n]+$"):
        load_catalogue(folder)


@pytest.mark.parametrize(
    "text", ["{", '"string"', "[]", '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "Q"}]}']
)
def test_a_file_that_is_no_record_schema_is_named(folder: Path, text: str) -> None:
    """A schema that does not parse, or is no record, is refused by file."""
    (folder / "avro" / "bad.avsc").write_text(text)
    with pytest.raises(FatalError, match=r"bad\.avsc: [^\n]+$"):
        load_catalogue(folder)


def test_a_folder_without_topics_is_refused(tmp_path: Path) -> None:
    """A mistyped folder is not an empty catalogue."""
    with pytest.raises(FatalError, match="has no folder topics"):
        load_catalogue(tmp_path)
