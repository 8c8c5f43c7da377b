"""From the staged effects of a chunk to the record batches of one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from fleet.errors import FatalError, PermanentError
from fleet.lane.batches import RECORD_OVERHEAD_BYTES, Batches, record_bytes
from fleet.lane.dead_letters import AT_SOURCE, PREFIX, RULE_HEADER, claim_checks, dead_letter_headers
from fleet.lane.effects import DeadLetter, Effect, Emit, Forward, ForwardAll, Put
from fleet.lane.partitioner import partition_of, partition_of_record
from fleet.lane.store import DELETED, OFFSETS_KEY
from fleet.lane.topics import GRANT

CREATE = "create it with `eventfleet topics apply`"

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.lane.agent import LaneAgent
    from fleet.lane.record import Record
    from fleet.lane.staging import Output, Stage
    from fleet.lane.topics import TopicInfo, Topics


class RowRefusedError(PermanentError):
    """A row that its changelog cannot hold: `isolate` finds the record that writes it."""


def row_check(topics: Topics, changelogs: Mapping[str, str]) -> Callable[[Effect], None]:
    """Return what refuses a row that its changelog cannot hold."""

    def check(effect: Effect) -> None:
        info = topics.get(changelogs[effect.table]) if isinstance(effect, Put) else None
        if info is not None and isinstance(effect, Put):
            changelog_row(effect.table, effect.key, effect.value, info)

    return check


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
        stage.emits, malformed = _well_formed(agent, stage.outputs(), topics)
        batches, refused = _with_outputs(agent, stage.emits, topics)
        refused += malformed
    stage.dead_letters += refused
    if refused and agent.on_refused is not None:
        stage.take(agent.on_refused(refused, stage.state))
    _add_dead_letters(agent, stage, topics, batches)
    _add_changelogs(stage, changelogs, offsets, batches, topics)
    batches.close()
    return batches


def _targets(emits: list[Output | ForwardAll]) -> set[str]:
    try:
        found = {emit.topic for emit in emits}
    except TypeError:
        found = {emit.topic for emit in emits if isinstance(emit.topic, str)}
    return {topic for topic in found if isinstance(topic, str)}


def _with_outputs(
    agent: LaneAgent, emits: Sequence[Output | ForwardAll], topics: Topics
) -> tuple[Batches, list[DeadLetter]]:
    batches = Batches(transactional=agent.guarantee == "exactly_once")
    refused: list[DeadLetter] = []
    for emit in emits:
        info = topics.get(emit.topic)
        if isinstance(emit, ForwardAll):
            left = emit.singly() if info is None else batches.forward_all(info, emit)
            refused += [_refusal(each, info, topics) for each in left]
        elif info is None or not _is_added(emit, info, batches):
            refused.append(_refusal(emit, info, topics))
    return batches, refused


def _well_formed(
    agent: LaneAgent, emits: Iterable[Output], topics: Topics
) -> tuple[list[Output | ForwardAll], list[DeadLetter]]:
    """Split outputs into those that can be tried and dead letters of the causes of the others."""
    sound: list[Output | ForwardAll] = []
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


def _refusal(emit: Output, info: TopicInfo | None, topics: Topics) -> DeadLetter:
    if info is None and topics.is_refused(emit.topic):
        reason, detail = "not_authorized", f"Kafka does not let this worker write to {emit.topic}"
    elif info is None:
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
    rule = _rule_of(emit)
    added = () if rule is None else ((f"{PREFIX}rule", rule), (f"{PREFIX}target", emit.topic.encode()))
    return DeadLetter(emit.cause, reason, "produce", detail, added)


def _rule_of(emit: Output) -> bytes | None:
    """Return the routing rule that made an output, not the one that made the record which it came of."""
    try:
        rule = dict(emit.added if isinstance(emit, Forward) else emit.headers).get(RULE_HEADER)
        inherited = isinstance(emit, Emit) and rule == dict(emit.cause.headers).get(RULE_HEADER)
    except (AttributeError, TypeError, ValueError):
        return None  # Headers of wrong types.
    return rule if isinstance(rule, bytes) and not inherited else None


def _add_dead_letters(agent: LaneAgent, stage: Stage, topics: Topics, batches: Batches) -> None:
    if not stage.dead_letters:
        return
    info = topics.get(agent.dead_letters)
    if info is None:
        raise _missing(f"{agent.name}: dead-letter", agent.dead_letters, topics, CREATE)
    for letter in stage.dead_letters:
        try:
            headers = dead_letter_headers(agent.name, letter)
            partition = letter.record.partition % info.partitions
        except (AttributeError, TypeError) as error:
            message = f"{agent.name}: a dead letter without its source record ({error})"
            raise FatalError(message, hint="give DeadLetter, and each Emit as its cause, a record") from error
        key, value, headers = _fitting(letter, headers, info)
        batches.add(agent.dead_letters, info, partition, key, value, tuple(headers))


def _missing(what: str, topic: str, topics: Topics, create: str) -> FatalError:
    """Return the error of a topic without which nothing can be committed."""
    if topics.is_refused(topic):
        message = f"{what} topic {topic}: Kafka does not let this worker write to it"
        return FatalError(message, hint=GRANT)
    return FatalError(f"{what} topic {topic} does not exist", hint=create)


def _fitting(
    letter: DeadLetter, headers: list[tuple[str, bytes]], info: TopicInfo
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    record: Record = letter.record
    if record_bytes(record.key, record.value, headers) <= info.max_message_bytes:
        return record.key, record.value, headers
    # Claim check: the payload stays at its source coordinates, which the headers name.
    for key, kept in claim_checks(record.key, headers, getattr(record, "place", AT_SOURCE)):
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
            raise _missing("changelog", topic, topics, "restart the worker: it creates its changelogs")
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
