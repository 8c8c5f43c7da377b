"""From a chunk to the content of one transaction, nothing of it visible yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from fleet.errors import FatalError, PermanentError, TransientError
from fleet.lane.batches import RECORD_OVERHEAD_BYTES, Batches, record_bytes
from fleet.lane.dead_letters import claim_checks, dead_letter_headers
from fleet.lane.effects import CancelTimer, DeadLetter, Delete, Effect, Emit, Forward, Put, PutAll, SetTimer
from fleet.lane.errors import Lost
from fleet.lane.partitioner import partition_of, partition_of_record
from fleet.lane.state import State
from fleet.lane.store import DELETED, OFFSETS_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.lane.agent import LaneAgent
    from fleet.lane.record import Chunk, Record
    from fleet.lane.topics import TopicInfo, Topics

_UNTOUCHED: Final = object()

Output: TypeAlias = Emit | Forward
_OUTPUTS: Final = (Emit, Forward)


class RowRefusedError(PermanentError):
    """A row that its changelog cannot hold: `isolate` finds the record that writes it."""


def any_effect(effect: Effect) -> None:
    """Refuse nothing."""
    del effect


@dataclass(slots=True)
class Stage:
    """The outcome of an agent's function over one chunk.

    Attributes:
        state: With what it wrote.
        left: Records at the end of the chunk that are left to the next one.
    """

    state: State
    left: int = 0
    emits: list[Output] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def take(self, effects: Iterable[Effect]) -> None:
        """Stage each effect as it is yielded, so that the function reads its own writes."""
        emits, staged = self.emits, self.state.staged
        for effect in effects:
            if isinstance(effect, _OUTPUTS):
                emits.append(effect)
            elif isinstance(effect, Put):
                staged[effect.table][effect.key] = effect.value
            elif isinstance(effect, PutAll):
                staged[effect.table].update(effect.rows)
            elif isinstance(effect, Delete):
                staged[effect.table][effect.key] = DELETED
            elif isinstance(effect, DeadLetter):
                self.dead_letters.append(effect)
            else:
                if isinstance(effect, SetTimer | CancelTimer):
                    raise FatalError("the agent sets timers", hint="give it an on_timer")
                message = f"{type(effect).__name__} is not an effect"
                raise TypeError(message)


def run(agent: LaneAgent, chunk: Chunk, new_state: Any) -> Stage:
    """Run the agent's function over `chunk`; a record it raises on becomes a dead letter.

    Args:
        agent: The agent.
        chunk: Records of one partition, in order.
        new_state: Called for a fresh `State` without staged changes.

    Raises:
        TransientError: The agent asks for the chunk to be tried again later.
        FatalError: The agent cannot go on.
        Lost: A table cannot be read.
    """
    stage = Stage(new_state())
    try:
        stage.take(agent.process(chunk, stage.state))
    except (TransientError, FatalError, Lost):
        raise
    except Exception:  # noqa: BLE001 - any bug of an agent on any record
        return _record_by_record(agent, chunk, Stage(new_state()))
    return stage


def isolate(agent: LaneAgent, chunk: Chunk, new_state: Any, check: Callable[[Effect], None]) -> Stage:
    """Run the agent's function over each record of `chunk` alone, after `build` refused a row of theirs.

    A record that writes a row which its changelog cannot hold becomes a dead letter.
    """
    return _record_by_record(agent, chunk, Stage(new_state()), check)


def row_check(topics: Topics, changelogs: Mapping[str, str]) -> Callable[[Effect], None]:
    """Return what refuses a row that its changelog cannot hold."""

    def check(effect: Effect) -> None:
        info = topics.get(changelogs[effect.table]) if isinstance(effect, Put) else None
        if info is not None and isinstance(effect, Put):
            changelog_row(effect.table, effect.key, effect.value, info)

    return check


def _record_by_record(
    agent: LaneAgent, chunk: Chunk, stage: Stage, check: Callable[[Effect], None] = any_effect
) -> Stage:
    for record in chunk:
        effects = _of(agent, record, stage.state)
        stage.take(attempt(effects, stage.state, record, "process", check))
    return stage


def _of(agent: LaneAgent, record: Record, state: State) -> Iterator[Effect]:
    # Called when the first effect is asked for: a function that is no generator may raise at once.
    yield from agent.process([record], state)


def attempt(
    effects: Iterable[Effect], state: State, record: Any, step: str, check: Callable[[Effect], None]
) -> list[Effect]:
    """Return the effects of one record, all or none: a dead letter where they end in an error of its own."""
    try:
        return _checked(effects, state, check)
    except (TransientError, FatalError, Lost):
        raise
    except PermanentError as error:
        return [DeadLetter(record, error.reason, step, error.message)]
    except Exception as error:  # noqa: BLE001 - any bug of an agent on any record
        return [DeadLetter(record, f"{step}_error", step, type(error).__name__)]


def _checked(effects: Iterable[Effect], state: State, check: Callable[[Effect], None]) -> list[Effect]:
    """Collect a record's effects whole, letting the function read its own writes meanwhile."""
    trial, collected = Stage(state), []
    undo: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for effect in _one_by_one(effects):
            if isinstance(effect, Put | Delete):
                rows = state.staged[effect.table]
                undo.append((rows, effect.key, rows.get(effect.key, _UNTOUCHED)))
            check(effect)
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


def _one_by_one(effects: Iterable[Effect]) -> Iterator[Effect]:
    for effect in effects:
        if isinstance(effect, PutAll):
            yield from (Put(effect.table, key, value) for key, value in effect.rows.items())
        else:
            yield effect


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
        RowRefusedError: A table's changelog cannot hold a row of it.
        FatalError: An output without a cause, or a dead letter, cannot be written.
    """
    await topics.ensure(_targets(stage.emits) | {agent.dead_letters})
    try:
        batches, refused = _with_outputs(agent, stage.emits, topics)
    except FatalError:
        raise
    except Exception:  # noqa: BLE001 - an output of wrong types fails in any way: find out which
        stage.emits, malformed = _well_formed(agent, stage.emits, topics)
        batches, refused = _with_outputs(agent, stage.emits, topics)
        refused += malformed
    stage.dead_letters += refused
    _add_dead_letters(agent, stage, topics, batches)
    _add_changelogs(stage, changelogs, offsets, batches, topics)
    batches.close()
    return batches


def _targets(emits: list[Output]) -> set[str]:
    try:
        found = {emit.topic for emit in emits}
    except TypeError:
        found = {emit.topic for emit in emits if isinstance(emit.topic, str)}
    return {topic for topic in found if isinstance(topic, str)}


def _with_outputs(agent: LaneAgent, emits: list[Output], topics: Topics) -> tuple[Batches, list[DeadLetter]]:
    batches, refused = Batches(transactional=agent.guarantee == "exactly_once"), []
    for emit in emits:
        info = topics.get(emit.topic)
        if info is None or not _is_added(emit, info, batches):
            refused.append(_refusal(emit, info))
    return batches, refused


def _well_formed(
    agent: LaneAgent, emits: list[Output], topics: Topics
) -> tuple[list[Output], list[DeadLetter]]:
    """Split outputs into those that can be tried and dead letters of the causes of the others."""
    sound: list[Output] = []
    malformed: list[DeadLetter] = []
    for emit in emits:
        try:
            _with_outputs(agent, [emit], topics)
        except FatalError:
            raise
        except Exception as error:  # noqa: BLE001 - see build
            detail = f"the agent's output is no record of bytes ({type(error).__name__})"
            malformed.append(_set_aside(emit, "output_malformed", detail))
        else:
            sound.append(emit)
    return sound, malformed


def _is_added(emit: Output, info: TopicInfo, batches: Batches) -> bool:
    """Add an output to its batch; False where its topic cannot take it."""
    partition = emit.partition
    if partition is None:
        partition = _partition_of(emit, info.partitions)
    elif not 0 <= partition < info.partitions:
        return False
    if isinstance(emit, Forward):
        return batches.forward(emit.topic, info, partition, emit.cause, emit.added)
    return batches.add(emit.topic, info, partition, emit.key, emit.value, emit.headers)


def _partition_of(emit: Output, partitions: int) -> int:
    if isinstance(emit, Forward):
        return partition_of_record(emit.cause, partitions)
    if emit.key is not None:
        return partition_of(emit.key, partitions)
    # Deterministic, so that a chunk done again writes to the same place.
    return int(getattr(emit.cause, "partition", 0) % partitions)


def _refusal(emit: Output, info: TopicInfo | None) -> DeadLetter:
    if info is None:
        reason, detail = "unknown_topic", f"target topic {emit.topic} does not exist"
    elif emit.partition is not None and not 0 <= emit.partition < info.partitions:
        reason = "unknown_partition"
        detail = f"target topic {emit.topic} has {info.partitions} partitions, no {emit.partition}"
    else:
        reason = "record_too_large"
        detail = f"output for {emit.topic} is over its {info.max_message_bytes} bytes"
    return _set_aside(emit, reason, detail)


def _set_aside(emit: Output, reason: str, detail: str) -> DeadLetter:
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
        try:
            headers = dead_letter_headers(agent.name, letter)
            partition = letter.record.partition % info.partitions
        except (AttributeError, TypeError) as error:
            message = f"{agent.name}: a dead letter without its source record ({error})"
            raise FatalError(message, hint="give DeadLetter, and each Emit as its cause, a record") from error
        key, value, headers = _fitting(letter, headers, info)
        batches.add(agent.dead_letters, info, partition, key, value, tuple(headers))


def _fitting(
    letter: DeadLetter, headers: list[tuple[str, bytes]], info: TopicInfo
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    record: Record = letter.record
    if record_bytes(record.key, record.value, headers) <= info.max_message_bytes:
        return record.key, record.value, headers
    # Claim check: the payload stays at its source coordinates, which the headers name.
    for key, kept in claim_checks(record.key, headers):
        if record_bytes(key, None, kept) <= info.max_message_bytes:
            return key, None, kept
    message = f"the dead-letter topic takes records up to {info.max_message_bytes} bytes: too few for any"
    raise FatalError(message, hint="raise its max.message.bytes")


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
        batches.add_all(topic, info, partition, _changelog_rows(table, rows, info))
        batches.add(topic, info, partition, OFFSETS_KEY, orjson.dumps(dict(offsets)))


def _changelog_rows(
    table: str, rows: Mapping[str, Any], info: TopicInfo
) -> Iterator[tuple[bytes, bytes | None]]:
    dumps, room = orjson.dumps, info.max_message_bytes - RECORD_OVERHEAD_BYTES
    for key, value in rows.items():
        try:
            row = key.encode(), None if value is DELETED else dumps(value)
            fits = len(row[0]) + len(row[1] or b"") <= room and row[0] != OFFSETS_KEY
        except (AttributeError, TypeError, ValueError):
            fits = False
        yield row if fits else changelog_row(table, key, value, info)


def changelog_row(table: str, key: str, value: Any, info: TopicInfo) -> tuple[bytes, bytes | None]:
    """Return a row as its changelog holds it.

    Raises:
        RowRefusedError: It is no JSON, or larger than the changelog takes.
    """
    try:
        row = key.encode(), None if value is DELETED else orjson.dumps(value)
    except (AttributeError, TypeError, ValueError) as error:
        message = f"a row of table {table} is not JSON ({type(error).__name__})"
        raise RowRefusedError(
            message, reason="row_not_json", hint="put values that orjson can write"
        ) from error
    if row[0] == OFFSETS_KEY:
        message = f"a row of table {table} has the key that its changelog keeps for offsets"
        raise RowRefusedError(message, reason="row_key_reserved", hint="choose another key")
    if record_bytes(*row) > info.max_message_bytes:
        message = f"a row of table {table} is over the {info.max_message_bytes} bytes of its changelog"
        raise RowRefusedError(message, reason="row_too_large", hint="keep less in one row")
    return row
