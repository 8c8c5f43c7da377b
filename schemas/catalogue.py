"""The catalogue: one file for each topic (`topics/*.yaml`) and each schema (`avro/*.avsc`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from fastavro.schema import SchemaParseException, UnknownType, parse_schema
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fleet.errors import FatalError
from schemas.topics import DEFAULT_MAX_MESSAGE_BYTES, UNLIMITED, Cleanup, TopicSpec

CATALOGUE = Path(__file__).parent
CONFIG_PREFIX = "fleet.config."
AUDIT_PREFIX = "fleet.audit."
MAX_TOPIC_NAME = 249  # Kafka's limit

AvroSchema = dict[str, Any]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=MAX_TOPIC_NAME)]
Limit = Annotated[int, Field(ge=UNLIMITED)]
Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Value(_Strict):
    """What the value of a record is: Avro, JSON, or bytes that nobody interprets.

    Attributes:
        kind: Which of them.
        avsc: Name of the Avro schema, a file of the catalogue.
        derived: What the Avro schema is derived from where it is no file: it is registered with that.
    """

    kind: Literal["avro", "bytes", "json"]
    avsc: Annotated[Text | None, Field(alias="schema")] = None
    derived: Literal["aggregation"] | None = None

    @model_validator(mode="after")
    def _schema_goes_with_avro(self) -> Self:
        given = [each for each in (self.avsc, self.derived) if each is not None]
        if len(given) != (self.kind == "avro"):
            message = "schema or derived must be given for kind avro, one of them, and only for it"
            raise ValueError(message)
        return self


class Retention(_Strict):
    """Limits after which Kafka deletes records; -1 is no limit."""

    ms: Limit
    bytes: Limit = UNLIMITED


class Topic(_Strict):
    """One topic of the catalogue.

    Attributes:
        name: Topic name, also the name of its file; no underscores, they collide with dots in metrics.
        description: What its records are, for people.
        owner: Team that answers for it.
        key: What the partition key is, or None where records have no key.
        value: What the value is.
        partitions: Number of partitions.
        retention: Limits of a topic with cleanup ``delete``; a compacted topic has none.
        cleanup: Kafka's ``cleanup.policy``.
        min_insync_replicas: Replicas that must have a write; capped by the replication factor.
        max_message_bytes: Largest record batch, bytes.
        classification: Highest class of data in it.
        producers: Who writes it.
        consumers: Who reads it.
    """

    name: Name
    description: Text
    owner: Text
    key: Text | None
    value: Value
    partitions: Positive
    retention: Retention | None = None
    cleanup: Cleanup = "delete"
    min_insync_replicas: Positive = 2
    max_message_bytes: Positive = DEFAULT_MAX_MESSAGE_BYTES
    classification: Literal["public", "internal", "phi"]
    producers: tuple[Text, ...] = Field(strict=False)
    consumers: tuple[Text, ...] = Field(strict=False)

    @model_validator(mode="after")
    def _retention_goes_with_delete(self) -> Self:
        if (self.cleanup == "delete") != (self.retention is not None):
            message = "retention must be given for cleanup delete, and only for it"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _compacted_has_key(self) -> Self:
        if self.cleanup == "compact" and self.key is None:
            message = "a compacted topic needs a key"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _config_is_one_log(self) -> Self:
        if self.name.startswith(CONFIG_PREFIX) and (self.cleanup, self.partitions) != ("compact", 1):
            message = f"a {CONFIG_PREFIX}* topic must be compacted and have 1 partition"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _audit_is_one_chain(self) -> Self:
        kept = (self.cleanup, self.partitions, self.retention) == ("delete", 1, Retention(ms=UNLIMITED))
        if self.name.startswith(AUDIT_PREFIX) and not kept:
            message = f"a {AUDIT_PREFIX}* topic must have 1 partition and retention: {{ms: -1}}"
            raise ValueError(message)
        return self

    @property
    def subject(self) -> str | None:
        """Registry subject that the catalogue registers; None where the value is not Avro of a file."""
        return f"{self.name}-value" if self.value.avsc is not None else None

    def spec(self) -> TopicSpec:
        """Return what the cluster should have for this topic."""
        limits = self.retention or Retention(ms=UNLIMITED)
        return TopicSpec(
            name=self.name,
            partitions=self.partitions,
            keyed=self.key is not None,
            cleanup=self.cleanup,
            retention_ms=limits.ms,
            retention_bytes=limits.bytes,
            min_insync_replicas=self.min_insync_replicas,
            max_message_bytes=self.max_message_bytes,
        )


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All topics and schemas.

    Attributes:
        topics: Topics by name, in the order of their names.
        avro: Avro schemas as written, by file name without suffix.
    """

    topics: Mapping[str, Topic]
    avro: Mapping[str, AvroSchema]

    def specs(self) -> tuple[TopicSpec, ...]:
        """Return what the cluster should have."""
        return tuple(topic.spec() for topic in self.topics.values())

    def subjects(self) -> dict[str, AvroSchema]:
        """Return the schema of each registry subject."""
        return {
            topic.subject: self.avro[topic.value.avsc]
            for topic in self.topics.values()
            if topic.subject is not None and topic.value.avsc is not None
        }


def load_catalogue(folder: Path = CATALOGUE) -> Catalogue:
    """Read and check the catalogue.

    Args:
        folder: Holds ``topics/*.yaml`` and ``avro/*.avsc``.

    Raises:
        FatalError: A file is wrong; the message names the file, the field and the reason.
    """
    if not (folder / "topics").is_dir():
        raise FatalError(f"{folder} has no folder topics", hint="name the folder of a catalogue")
    avro = {path.stem: load_avsc(path) for path in sorted((folder / "avro").glob("*.avsc"))}
    topics = {}
    for path in sorted((folder / "topics").glob("*.yaml")):
        topic = _load_topic(path)
        if topic.value.avsc is not None and topic.value.avsc not in avro:
            raise FatalError(f"{path}: value.schema: no file avro/{topic.value.avsc}.avsc")
        topics[topic.name] = topic
    return Catalogue(topics, avro)


def load_avsc(path: Path) -> AvroSchema:
    """Read an Avro schema as written, after checking that it parses.

    Raises:
        FatalError: The file is no JSON or no Avro record schema.
    """
    try:
        schema: AvroSchema = json.loads(path.read_text(encoding="utf-8"))
        parse_schema(schema)
    except (OSError, ValueError, KeyError, TypeError, SchemaParseException, UnknownType) as error:
        raise FatalError(f"{path}: not an Avro schema: {_one_line(error)}") from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise FatalError(f"{path}: the schema of a topic must be an Avro record")
    return schema


def _load_topic(path: Path) -> Topic:
    try:
        topic = Topic.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise FatalError(f"{path}: not YAML: {_one_line(error)}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise FatalError(f"{path}: {field}: {reason}" if field else f"{path}: {reason}") from error
    if topic.name != path.stem:
        raise FatalError(f"{path}: name: {topic.name} is not the name of the file")
    return topic


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
