"""Configuration of the embedded registry."""

from __future__ import annotations

from fleet.settings import settings
from stack.registry import registry_properties


def test_the_registry_keeps_its_data_in_the_embedded_kafka() -> None:
    """Storage is the journal topic on the broker of the same settings."""
    properties = registry_properties(settings().model_copy(update={"kafka_port": 31092}))
    assert properties["apicurio.storage.kind"] == "kafkasql"
    assert properties["apicurio.kafkasql.bootstrap.servers"] == "127.0.0.1:31092"


def test_the_registry_has_no_consumer_group() -> None:
    """With a group id a restart would resume in the middle of the journal and miss schemas."""
    assert not [name for name in registry_properties(settings()) if "group" in name]


def test_incompatible_schemas_are_refused_from_the_start() -> None:
    """The factory default allows everything; ours is Confluent's BACKWARD."""
    assert registry_properties(settings())["apicurio.rules.global.compatibility"] == "BACKWARD"
