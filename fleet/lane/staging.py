"""From a chunk to the content of one transaction, nothing of it visible yet."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiokafka.producer.message_accumulator import BatchBuilder

from fleet.errors import FatalError, PermanentError, TransientError
from fleet.lane.clients import MAX_BATCH_BYTES
from fleet.lane.dead_letters import dead_letter_headers
from fleet.lane.effects import DeadLetter, Delete, Effect, Emit, Put
from fleet.lane.partitioner import partition_of
from fleet.lane.state import DELETED, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.lane.agent import LaneAgent
    from fleet.lane.record import Chunk, Record
    from fleet.lane.topics import TopicInfo, Topics

_UNTOUCHED: Final = object()

RECORD_OVERHEAD_BYTES = 128
"""Room for a record's own framing and its batch header, generously."""

OFFSETS_KEY = b"\x00next-offsets"
"""Changelog key of the source offsets that the table's content stands at (engine trap 9)."""


@dataclass(slots=True)
class Stage:
    """The outcome of an agent's function over one chunk."""

    state: State
    emits: list[Emit] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def take(self, effects: Iterable[Effect]) -> None:
        """Stage each effect as it is yielded, so that the function reads its own writes."""
        emits, staged = self.emits, self.state.staged
        for effect in effects:
            if isinstance(effect, Emit):
                emits.append(effect)
            elif isinstance(effect, Put):
                staged[effect.table][effect.key] = effect.value
            elif isinstance(effect, Delete):
                staged[effect.table][effect.key] = DELETED
            else:
                self.dead_letters.append(effect)


def run(agent: LaneAgent, chunk: Chunk, new_state: Any) -> Stage:
    """Run the agent's function over `chunk`; a record it raises on becomes a dead letter.

    Args:
        agent: The agent.
        chunk: Records of one partition, in order.
        new_state: Called for a fresh `State` without staged changes.

    Raises:
        TransientError: The agent asks for the chunk to be tried again later.
        FatalError: The agent cannot go on.
    """
    stage = Stage(new_state())
    try:
        stage.take(agent.process(chunk, stage.state))
    except (TransientError, FatalError):
        raise
    except Exception:  # noqa: BLE001 - any bug of an agent on any record
        return _record_by_record(agent, chunk, Stage(new_state()))
    return stage


def _record_by_record(agent: LaneAgent, chunk: Chunk, stage: Stage) -> Stage:
    for record in chunk:
        try:
            effects = _checked(agent.process([record], stage.state), stage.state)
        except (TransientError, FatalError):
            raise
        except PermanentError as error:
            effects = [DeadLetter(record, error.reason, "process", error.message)]
        except Exception as error:  # noqa: BLE001
            effects = [DeadLetter(record, "process_error", "process", type(error).__name__)]
        stage.take(effects)
    return stage


def _checked(effects: Iterable[Effect], state: State) -> list[Effect]:
    """Collect a record's effects whole, letting the function read its own writes meanwhile."""
    trial, collected = Stage(state), []
    undo: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for effect in effects:
            if isinstance(effect, Put | Delete):
                rows = state.staged[effect.table]
                undo.append((rows, effect.key, rows.get(effect.key, _UNTOUCHED)))
            collected.append(effect)
            trial.take([effect])
    except BaseException:
        for rows, key, value in reversed(undo):
            if value is _UNTOUCHED:
                rows.pop(key, None)
            else:
                rows[key] = value
        raise
    return collected


class Batches:
    """Record batches per target partition, each within its topic's size limit."""

    def __init__(self) -> None:
        self.by_partition: dict[tuple[str, int], list[BatchBuilder]] = {}
        self._now_ms = int(time.time() * 1000)

    def add(
        self,
        topic: str,
        info: TopicInfo,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Any = (),
    ) -> None:
        """Append one record, opening another batch where the last one is full."""
        builders = self.by_partition.get((topic, partition))
        if builders is None:
            builders = self.by_partition[topic, partition] = [_builder(info)]
        listed = list(headers)
        if builders[-1].append(timestamp=self._now_ms, key=key, value=value, headers=listed) is None:
            builders.append(_builder(info))
            builders[-1].append(timestamp=self._now_ms, key=key, value=value, headers=listed)

    def close(self) -> None:
        """Close every batch to further records."""
        for builders in self.by_partition.values():
            for builder in builders:
                builder.close()


def _builder(info: TopicInfo) -> BatchBuilder:
    size = min(MAX_BATCH_BYTES, info.max_message_bytes)
    return BatchBuilder(size, 0, is_transactional=1)


def record_bytes(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]] = ()) -> int:
    """Return an upper bound of a record's size in a batch of its own."""
    size = RECORD_OVERHEAD_BYTES + len(key or b"") + len(value or b"")
    for name, content in headers:
        size += len(name) + len(content or b"") + 10
    return size


async def build(
    agent: LaneAgent, stage: Stage, topics: Topics, changelogs: Mapping[str, str], offsets: Mapping[str, int]
) -> Batches:
    """Turn a stage into record batches.

    An output that its target cannot take becomes a dead letter of the record that caused it.

    Args:
        agent: The agent.
        stage: What its function asked for.
        topics: Look-ups of partitions and limits.
        changelogs: Changelog topic by table name.
        offsets: Next source offset by topic, after this chunk.

    Raises:
        FatalError: An output without a cause, or a dead letter, cannot be written.
    """
    await topics.ensure({emit.topic for emit in stage.emits} | {agent.dead_letters})
    batches = Batches()
    for emit in stage.emits:
        info = topics.get(emit.topic)
        refused = _refusal(emit, info)
        if refused is not None:
            stage.dead_letters.append(refused)
        elif info is not None:
            partition = emit.partition
            if partition is None:
                partition = _partition(emit, info)
            batches.add(emit.topic, info, partition, emit.key, emit.value, emit.headers)
    _add_dead_letters(agent, stage, topics, batches)
    _add_changelogs(stage, changelogs, offsets, batches, topics)
    batches.close()
    return batches


def _partition(emit: Emit, info: TopicInfo) -> int:
    if emit.key is not None:
        return partition_of(emit.key, info.partitions)
    # Deterministic, so that a chunk done again writes to the same place.
    return getattr(emit.cause, "partition", 0) % info.partitions


def _refusal(emit: Emit, info: TopicInfo | None) -> DeadLetter | None:
    if info is None:
        reason, detail = "unknown_topic", f"target topic {emit.topic} does not exist"
    elif record_bytes(emit.key, emit.value, emit.headers) > info.max_message_bytes:
        reason = "record_too_large"
        detail = f"output for {emit.topic} is over its {info.max_message_bytes} bytes"
    else:
        return None
    if emit.cause is None:
        raise FatalError(f"agent output refused: {detail}", hint="give the effect its cause")
    return DeadLetter(emit.cause, reason, "produce", detail)


def _add_dead_letters(agent: LaneAgent, stage: Stage, topics: Topics, batches: Batches) -> None:
    if not stage.dead_letters:
        return
    info = topics.get(agent.dead_letters)
    if info is None:
        message = f"{agent.name}: dead-letter topic {agent.dead_letters} does not exist"
        raise FatalError(message, hint="create it with `eventfleet topics apply`")
    for letter in stage.dead_letters:
        record: Record = letter.record
        headers = dead_letter_headers(agent.name, letter)
        value = record.value
        if record_bytes(record.key, value, headers) > info.max_message_bytes:
            # Claim check: the payload stays at its source coordinates, which the headers name.
            headers.append(("fleet_dl_claim_check", b"source"))
            value = None
        batches.add(agent.dead_letters, info, record.partition % info.partitions, record.key, value, headers)


def _add_changelogs(
    stage: Stage,
    changelogs: Mapping[str, str],
    offsets: Mapping[str, int],
    batches: Batches,
    topics: Topics,
) -> None:
    partition = stage.state.partition
    for table, rows in stage.state.staged.items():
        topic = changelogs[table]
        info = topics.get(topic)
        if info is None:
            message = f"changelog topic {topic} does not exist"
            raise FatalError(message, hint="restart the worker: it creates its changelogs")
        for key, value in rows.items():
            encoded = None if value is DELETED else orjson.dumps(value)
            batches.add(topic, info, partition, key.encode(), encoded)
        batches.add(topic, info, partition, OFFSETS_KEY, orjson.dumps(dict(offsets)))
