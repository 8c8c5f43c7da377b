"""The catalogue against a real Kafka and a real schema registry."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
import yaml
from aiohttp.test_utils import unused_port
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from typer.testing import CliRunner, Result

from fleet.errors import FatalError, PermanentError, TransientError
from fleet.settings import Settings
from fleet.settings import settings as process_settings
from schemas.catalogue import load_catalogue
from schemas.cli import app, apply_catalogue, compare
from schemas.cluster import apply, ensure_topics, read_topics
from schemas.codec import Codec, schema_ids
from schemas.registry import Registry
from schemas.topics import UNLIMITED, Action, Plan, TopicSpec, plan

pytestmark = pytest.mark.stack

Command: TypeAlias = Callable[[str], Result]

DAY_MS = 86_400_000
AMOUNT = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}


def unique(prefix: str) -> str:
    """Return a name that no other test has used."""
    return f"{prefix}-{uuid4().hex[:8]}"


async def planned(spec: TopicSpec, settings: Settings) -> Plan:
    """Return what would be done about one topic now."""
    return plan(
        [spec], await read_topics([spec.name], settings), replication_factor=settings.replication_factor
    )


class Folder:
    """A catalogue of one Avro topic, that a test changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.topic = unique("test.event")
        self.record = unique("Event").replace("-", "")
        for name in ("topics", "avro"):
            (path / name).mkdir()
        self.write_topic()
        self.write_schema({"name": "amount", "type": AMOUNT})

    @property
    def subject(self) -> str:
        """Registry subject of the topic."""
        return f"{self.topic}-value"

    def write_topic(self, **changes: Any) -> None:
        """Write the topic file."""
        topic: dict[str, Any] = {
            "name": self.topic,
            "description": "Events of a test.",
            "owner": "test",
            "key": "id",
            "value": {"kind": "avro", "schema": "event"},
            "partitions": 2,
            "retention": {"ms": DAY_MS},
            "classification": "internal",
            "producers": ["test"],
            "consumers": ["test"],
        }
        (self.path / "topics" / f"{self.topic}.yaml").write_text(yaml.safe_dump(topic | changes))

    def write_schema(self, *fields: dict[str, Any]) -> None:
        """Write the schema file."""
        schema = {"type": "record", "name": self.record, "fields": list(fields)}
        (self.path / "avro" / "event.avsc").write_text(json.dumps(schema))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a catalogue of its own."""
    return Folder(tmp_path)


@pytest.fixture
def command(stack_settings: Settings, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Return a function that runs ``topics plan`` or ``topics apply`` on the catalogue."""
    monkeypatch.setenv("EVENTFLEET_BOOTSTRAP_SERVERS", stack_settings.kafka)
    monkeypatch.setenv("EVENTFLEET_REGISTRY_URL", stack_settings.registry)
    monkeypatch.setenv("COLUMNS", "200")

    def run(name: str) -> Result:
        process_settings.cache_clear()
        return CliRunner().invoke(app, [name, "--catalogue", str(folder.path)])

    yield run
    process_settings.cache_clear()


async def test_topics_are_made_as_specified_and_only_once(stack_settings: Settings) -> None:
    """A new topic has its partitions, configuration and leaders; a second run finds it in sync."""
    spec = TopicSpec(
        unique("made"), 3, retention_ms=DAY_MS, min_insync_replicas=2, max_message_bytes=9 * 1024 * 1024
    )
    first = await ensure_topics([spec], stack_settings)
    assert [topic.action for topic in first.topics] == [Action.CREATE]
    state = (await read_topics([spec.name], stack_settings))[spec.name]
    assert state.partitions == 3
    assert state.overrides == spec.configs(state.replication_factor)
    assert (await ensure_topics([spec], stack_settings)).in_sync


async def test_a_changelog_is_compacted(stack_settings: Settings) -> None:
    """A spec from a worker's code is treated as one of the catalogue."""
    spec = TopicSpec(unique("app-table-changelog"), 2, cleanup="compact")
    await ensure_topics([spec], stack_settings)
    state = (await read_topics([spec.name], stack_settings))[spec.name]
    assert state.configs["cleanup.policy"] == "compact"
    assert (await planned(spec, stack_settings)).in_sync


async def test_workers_that_start_together_make_a_topic_once(stack_settings: Settings) -> None:
    """Several at once: one creates, the others find it, none fails."""
    spec = TopicSpec(unique("race"), 2)
    await asyncio.gather(*(ensure_topics([spec], stack_settings) for _ in range(4)))
    assert (await planned(spec, stack_settings)).in_sync


async def test_a_safe_change_keeps_what_others_set(stack_settings: Settings) -> None:
    """Longer retention is applied; a setting that the catalogue does not know stays as it was."""
    spec = TopicSpec(unique("altered"), 1, retention_ms=DAY_MS)
    admin = AIOKafkaAdminClient(bootstrap_servers=stack_settings.kafka)
    await admin.start()
    try:
        configs = spec.configs(1) | {"segment.ms": "600000"}
        await admin.create_topics([NewTopic(spec.name, 1, 1, topic_configs=configs)])
    finally:
        await admin.close()
    longer = replace(spec, retention_ms=UNLIMITED, max_message_bytes=2_000_000)
    done = await ensure_topics([longer], stack_settings)
    assert [topic.action for topic in done.topics] == [Action.ALTER]
    assert (await planned(longer, stack_settings)).in_sync
    state = (await read_topics([spec.name], stack_settings))[spec.name]
    assert state.configs["segment.ms"] == "600000"


async def test_partitions_are_added_to_a_topic_without_keys(stack_settings: Settings) -> None:
    """More partitions, all of them led when the call returns."""
    spec = TopicSpec(unique("grown"), 1, keyed=False)
    await ensure_topics([spec], stack_settings)
    await ensure_topics([replace(spec, partitions=4)], stack_settings)
    assert (await read_topics([spec.name], stack_settings))[spec.name].partitions == 4


async def test_a_refused_plan_changes_nothing(stack_settings: Settings) -> None:
    """With one refusal among them, not even the new topics of a plan are made."""
    old, new = TopicSpec(unique("old"), 2), TopicSpec(unique("new"), 1)
    await ensure_topics([old], stack_settings)
    wanted = plan(
        [new, replace(old, partitions=1)],
        await read_topics([old.name, new.name], stack_settings),
        replication_factor=1,
    )
    with pytest.raises(FatalError, match=f"{old.name}: partitions 2 -> 1"):
        await apply(wanted, stack_settings)
    assert list(await read_topics([old.name, new.name], stack_settings)) == [old.name]


async def test_an_unreachable_kafka_is_one_line(stack_settings: Settings) -> None:
    """The error names the address and the setting, and can be tried again."""
    nowhere = stack_settings.model_copy(update={"bootstrap_servers": f"127.0.0.1:{unused_port()}"})
    with pytest.raises(TransientError, match=r"Kafka at 127\.0\.0\.1:\d+ did not answer"):
        await read_topics(["any"], nowhere)


async def test_an_applied_catalogue_encodes_and_decodes(stack_settings: Settings, folder: Folder) -> None:
    """After apply, the codec finds the subject in the registry, and another codec the id in a value."""
    await apply_catalogue(load_catalogue(folder.path), stack_settings)
    async with Registry(stack_settings.registry) as registry:
        writer, reader = Codec(registry), Codec(registry)
        await writer.warm([folder.subject])
        value = writer.encode(folder.subject, {"amount": Decimal("12.34")})
        await reader.ensure(schema_ids([value]))
        assert reader.decode(value) == {"amount": Decimal("12.34")}


async def test_the_registry_denies_an_id_it_does_not_have(stack_settings: Settings) -> None:
    """A made-up id is a permanent refusal once it is confirmed."""
    async with Registry(stack_settings.registry) as registry:
        codec = Codec(registry, confirm_s=0)
        await codec.ensure({2**31})
        with pytest.raises(PermanentError) as error:
            codec.decode((2**31).to_bytes(5, "big") + b"abc")
    assert error.value.reason == "unknown_schema_id"


async def test_the_client_registers_and_judges(stack_settings: Settings) -> None:
    """Registering twice gives one id; an incompatible schema is refused with the registry's reason."""
    subject = unique("direct-value")
    name = subject.replace("-", "")
    good = {"type": "record", "name": name, "fields": [{"name": "a", "type": "int"}]}
    bad = {"type": "record", "name": name, "fields": [{"name": "a", "type": "string"}]}
    async with Registry(stack_settings.registry) as registry:
        first = await registry.register(subject, good)
        assert await registry.register(subject, good) == first
        assert (await registry.latest(subject)).schema == good
        assert await registry.is_compatible(subject, good)
        assert not await registry.is_compatible(subject, bad)
        with pytest.raises(PermanentError, match="/fields/0/type") as error:
            await registry.register(subject, bad)
    assert error.value.reason == "incompatible_schema"


def test_plan_changes_nothing_and_apply_is_idempotent(command: Command, folder: Folder) -> None:
    """Plan says create twice over; apply creates; after it all is in sync."""
    for _ in range(2):
        shown = command("plan")
        assert shown.exit_code == 0
        assert re.search(rf"{folder.topic} +create +2 partitions, delete", shown.output)
        assert re.search(rf"{folder.subject} +create", shown.output)
    assert command("apply").exit_code == 0
    after = command("plan")
    assert after.exit_code == 0
    assert re.search(rf"{folder.topic} +in sync", after.output)
    assert re.search(rf"{folder.subject} +in sync", after.output)
    assert command("apply").exit_code == 0


def test_a_compatible_schema_becomes_a_new_version(command: Command, folder: Folder) -> None:
    """A new field with a default is taken."""
    assert command("apply").exit_code == 0
    folder.write_schema({"name": "amount", "type": AMOUNT}, {"name": "note", "type": "string", "default": ""})
    assert re.search(rf"{folder.subject} +alter +new version", command("plan").output)
    assert command("apply").exit_code == 0
    assert re.search(rf"{folder.subject} +in sync", command("plan").output)


def test_an_incompatible_schema_is_refused_by_field(command: Command, folder: Folder) -> None:
    """Each field that breaks readers is one line with its name, and nothing is applied."""
    assert command("apply").exit_code == 0
    folder.write_schema({"name": "amount", "type": "int"}, {"name": "note", "type": "string"})
    folder.write_topic(retention={"ms": 2 * DAY_MS})
    refused = command("apply")
    assert refused.exit_code == 1
    assert f"refused: {folder.subject}: field note (/fields/1): a new field needs a default" in refused.stderr
    assert f"refused: {folder.subject}: field amount (/fields/0/type)" in refused.stderr
    assert f"retention.ms {DAY_MS} -> {2 * DAY_MS}" in command("plan").output


@pytest.mark.parametrize("name", ["plan", "apply"])
def test_a_change_that_loses_data_exits_1(command: Command, folder: Folder, name: str) -> None:
    """Both commands say what is refused, and why, on one line."""
    assert command("apply").exit_code == 0
    folder.write_topic(retention={"ms": 1000})
    refused = command(name)
    assert refused.exit_code == 1
    assert (
        f"refused: {folder.topic}: retention.ms {DAY_MS} -> 1000: records would be deleted" in refused.stderr
    )


def test_a_missing_registry_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback: the address and the setting."""
    monkeypatch.setenv("EVENTFLEET_REGISTRY_URL", f"http://127.0.0.1:{unused_port()}/apis/ccompat/v7")
    failed = command("apply")
    assert failed.exit_code == 1
    assert re.fullmatch(
        r"error: no answer from the schema registry at \S+ .*EVENTFLEET_REGISTRY_URL\n", failed.stderr
    )


def test_a_broken_catalogue_is_one_line(command: Command, folder: Folder) -> None:
    """The file, the field and the reason."""
    folder.write_topic(partitions="two")
    failed = command("plan")
    assert failed.exit_code == 1
    assert re.fullmatch(r"error: \S+\.yaml: partitions: [^\n]+\n", failed.stderr)


async def test_the_real_catalogue_registers(stack_settings: Settings) -> None:
    """The schemas of the platform are taken by the registry, under whatever subjects it has."""
    real = load_catalogue()
    found = await compare(real, stack_settings)
    assert {subject.subject for subject in found.subjects} == set(real.subjects())
    async with Registry(stack_settings.registry) as registry:
        for name, avsc in real.avro.items():
            subject = unique(f"{name}-value")
            schema_id = await registry.register(subject, avsc)
            assert await registry.schema(schema_id) == avsc
