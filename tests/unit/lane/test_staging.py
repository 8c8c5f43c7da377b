"""From a chunk to staged effects: coalesced, readable by the chunk itself, poison isolated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import FatalError, PermanentError, TransientError
from fleet.lane.agent import LaneAgent
from fleet.lane.effects import DeadLetter, Delete, Effect, Emit, Put, PutAll
from fleet.lane.errors import StoreCorruptError
from fleet.lane.staging import Stage, run
from fleet.lane.state import State
from fleet.lane.stores import MemoryStore
from tests.support.lane_fakes import chunk_of


def agent_of(process: Callable[[Any, State], Iterator[Effect]]) -> LaneAgent:
    """Return an agent with `process` and a table ``t``."""
    return LaneAgent(name="agent", sources=("source",), process=process, tables=("t",), dead_letters="dead")


def staged(
    process: Callable[[Any, State], Iterator[Effect]], values: Sequence[bytes], rows: Any = None
) -> Stage:
    """Run `process` over a chunk of `values` on a table of `rows`."""
    table = MemoryStore(rows)
    return run(agent_of(process), chunk_of(*values), lambda: State({"t": table}, partition=0))


def add_up(chunk: Any, state: State) -> Iterator[Effect]:
    """Emit each number and keep its sum by parity; anything else raises halfway through its effects."""
    for record in chunk:
        yield Emit("out", record.key, record.value, cause=record)
        if record.value == b"drop":
            yield Delete("t", "even")
            continue
        key = "odd" if record.value[-1] % 2 else "even"
        yield Put("t", key, "half-done")
        yield Put("t", key, state.get("t", key + "-sum", 0))
        yield Put("t", key + "-sum", state.get("t", key + "-sum", 0) + int(record.value))


def test_writes_are_coalesced_per_key() -> None:
    """However often a chunk writes a key, one row of it is staged: the last."""
    stage = staged(add_up, [b"2", b"4", b"6", b"1"])
    assert stage.state.staged["t"]["even-sum"] == 12
    assert stage.state.staged["t"]["odd-sum"] == 1
    assert len(stage.state.staged["t"]) == 4
    assert [emit.value for emit in stage.outputs()] == [b"2", b"4", b"6", b"1"]


def test_a_chunk_reads_its_own_writes_over_committed_rows() -> None:
    """Sums go on from the committed row and from what the chunk has just put."""
    assert staged(add_up, [b"2", b"4"], {"even-sum": 100}).state.staged["t"]["even-sum"] == 106


@pytest.mark.parametrize("poison_at", [0, 2, 4])
def test_a_raising_record_alone_becomes_a_dead_letter(poison_at: int) -> None:
    """Its own effects are undone to the last one, and the rest of the chunk is as if it were not there."""
    values = [b"2", b"4", b"6", b"8"]
    clean = staged(add_up, values, {"even-sum": 10})
    stage = staged(add_up, [*values[:poison_at], b"x", *values[poison_at:]], {"even-sum": 10})
    assert stage.state.staged == clean.state.staged
    assert [emit.value for emit in stage.outputs()] == values
    (letter,) = stage.dead_letters
    assert (letter.record.offset, letter.record.value) == (poison_at, b"x")
    assert (letter.reason, letter.step, letter.detail) == ("process_error", "process", "ValueError")


@given(st.lists(st.sampled_from([b"1", b"2", b"35", b"x", b"y", b"drop"]), max_size=12))
def test_poison_anywhere_leaves_what_the_good_records_alone_give(values: list[bytes]) -> None:
    """Staged rows, outputs and dead letters do not depend on where the poison is."""
    good = [value for value in values if value not in (b"x", b"y")]
    stage, clean = staged(add_up, values, {"even": 7}), staged(add_up, good, {"even": 7})
    assert stage.state.staged == clean.state.staged
    assert [emit.value for emit in stage.outputs()] == good
    assert [letter.record.value for letter in stage.dead_letters] == [v for v in values if v in (b"x", b"y")]


def add_up_at_the_end(chunk: Any, state: State) -> Iterator[Effect]:
    """Sum by parity, and put the sums of the chunk together; what is no number raises, after a first row."""
    yield PutAll("t", {"seen": state.get("t", "seen", 0) + len(chunk)})
    rows: dict[str, Any] = {}
    for record in chunk:
        key = "odd" if record.value[-1] % 2 else "even"
        rows[key] = rows.get(key, state.get("t", key, 0)) + int(record.value)
    yield PutAll("t", rows)
    rows.clear()


@given(st.lists(st.sampled_from([b"1", b"2", b"35", b"x"]), max_size=12))
def test_rows_that_are_put_together_are_those_put_one_by_one(values: list[bytes]) -> None:
    """Readable by the chunk itself, and undone with the record that raises."""
    numbers = [int(value) for value in values if value != b"x"]
    stage = staged(add_up_at_the_end, values, {"even": 7})
    expected = {"seen": len(numbers)} if numbers or not values else {}
    if any(number % 2 == 0 for number in numbers):
        expected["even"] = 7 + sum(number for number in numbers if number % 2 == 0)
    if any(number % 2 for number in numbers):
        expected["odd"] = sum(number for number in numbers if number % 2)
    assert stage.state.staged["t"] == expected
    assert len(stage.dead_letters) == values.count(b"x")


def test_a_permanent_error_gives_its_reason() -> None:
    """An agent that knows why names the reason itself."""

    def refuse(chunk: Any, state: State) -> Iterator[Effect]:
        del state
        for record in chunk:
            if record.value == b"bad":
                raise PermanentError("no such schema", reason="unknown_schema_id")
            yield Emit("out", None, record.value, cause=record)

    stage = staged(refuse, [b"a", b"bad", b"b"])
    (letter,) = stage.dead_letters
    assert (letter.reason, letter.detail) == ("unknown_schema_id", "no such schema")
    assert [emit.value for emit in stage.outputs()] == [b"a", b"b"]


@pytest.mark.parametrize("error", [TransientError("registry is down"), FatalError("config is broken")])
@pytest.mark.parametrize("after_poison", [False, True])
def test_errors_about_the_world_are_no_dead_letters(error: Exception, *, after_poison: bool) -> None:
    """What is not the record's fault is raised, whether the chunk runs whole or record by record."""

    def fail(chunk: Any, state: State) -> Iterator[Effect]:
        del state
        for record in chunk:
            if record.value == b"poison":
                raise ValueError
            yield Emit("out", None, record.value, cause=record)
            raise error

    with pytest.raises(type(error)):
        staged(fail, [b"poison", b"a"] if after_poison else [b"a", b"b"])


def test_a_dead_letter_may_be_an_effect() -> None:
    """A function sets a record aside and goes on with the next."""

    def inspect(chunk: Any, state: State) -> Iterator[Effect]:
        del state
        for record in chunk:
            yield (
                DeadLetter(record, "not_avro", "decode") if record.value == b"?" else Emit("out", None, b"!")
            )

    stage = staged(inspect, [b"?", b"a"])
    assert [letter.reason for letter in stage.dead_letters] == ["not_avro"]
    assert len(stage.emits) == 1


def test_a_table_that_cannot_be_read_sets_no_record_aside() -> None:
    """A damaged store is no fault of the record: the task is lost, and nothing becomes a dead letter."""

    def reads(chunk: Any, _state: State) -> Iterator[Effect]:
        if len(chunk) > 1:
            raise ValueError
        raise StoreCorruptError("store is damaged")
        yield

    with pytest.raises(StoreCorruptError):
        staged(reads, [b"1"])
    with pytest.raises(StoreCorruptError):
        staged(reads, [b"1", b"2"])


def test_what_is_no_effect_is_the_fault_of_its_record() -> None:
    """A function that yields something else is told by a dead letter that names the type."""

    def wrong(chunk: Any, state: State) -> Iterator[Any]:
        del state
        for record in chunk:
            yield Emit("out", None, record.value) if record.value == b"a" else record.value

    stage = staged(wrong, [b"a", b"b", b"a"])
    assert [(letter.reason, letter.detail) for letter in stage.dead_letters] == [
        ("process_error", "TypeError")
    ]
    assert len(stage.emits) == 2
