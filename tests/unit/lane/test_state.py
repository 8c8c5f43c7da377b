"""A chunk's view of its tables: committed rows with its own writes on top."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleet.lane.effects import Delete, Effect, Put
from fleet.lane.staging import Stage
from fleet.lane.state import State
from fleet.lane.stores import MemoryStore

KEYS = st.text("abc", max_size=3)
WRITES = st.lists(
    st.one_of(
        st.builds(Put, st.just("t"), KEYS, st.integers() | st.none()), st.builds(Delete, st.just("t"), KEYS)
    )
)
MISSING = object()


def applied(model: dict[str, Any], writes: list[Effect]) -> dict[str, Any]:
    """Return a plain dict after `writes`."""
    changed = dict(model)
    for write in writes:
        if isinstance(write, Put):
            changed[write.key] = write.value
        elif isinstance(write, Delete):
            changed.pop(write.key, None)
    return changed


@given(
    rows=st.dictionaries(KEYS, st.integers() | st.none()),
    chunks=st.lists(WRITES, max_size=4),
    start=KEYS,
    stop=KEYS,
    scanned_before=st.booleans(),
)
def test_chunk_after_chunk_reads_as_a_plain_dict(
    *, rows: dict[str, Any], chunks: list[list[Effect]], start: str, stop: str, scanned_before: bool
) -> None:
    """Reads see the writes of the chunk; rows change when it is applied, and only then."""
    table, model = MemoryStore(rows), dict(rows)
    if scanned_before:
        assert list(table.scan("", "d")) == sorted(model.items())
    for writes in chunks:
        stage = Stage(State({"t": table}, partition=0))
        stage.take(writes)
        expected = applied(model, writes)
        assert list(stage.state.scan("t", start, stop)) == sorted(
            (key, value) for key, value in expected.items() if start <= key < stop
        )
        for key in {"", "a", "ab", *expected}:
            assert stage.state.get("t", key, MISSING) == expected.get(key, MISSING)
        assert dict(table.items()) == model
        table.apply(stage.state.staged["t"], {}, None)
        model = expected
        assert dict(table.items()) == model
        assert list(table.scan("", "d")) == sorted(model.items())


@given(
    rows=st.dictionaries(st.text(max_size=3), st.integers(), max_size=30),
    writes=st.lists(
        st.one_of(
            st.builds(Put, st.just("t"), st.text(max_size=3), st.integers()),
            st.builds(Delete, st.just("t"), st.text(max_size=3)),
        )
    ),
    prefix=st.text(max_size=2) | st.sampled_from(["\ud7ff", "\U0010ffff", "a\U0010ffff"]),
)
def test_a_prefix_scan_gives_the_keys_that_begin_so(
    *, rows: dict[str, Any], writes: list[Effect], prefix: str
) -> None:
    """Whatever text the prefix is, even the last that there is, and with no prefix every row."""
    stage = Stage(State({"t": MemoryStore(rows)}, partition=0))
    stage.take(writes)
    expected = {key: value for key, value in applied(rows, writes).items() if key.startswith(prefix)}
    assert list(stage.state.prefix("t", prefix)) == sorted(expected.items())


def test_a_scan_shows_the_rows_of_its_start_while_rows_are_deleted() -> None:
    """A function may delete what it scans, as one that closes windows does."""
    stage = Stage(State({"t": MemoryStore({"a": 1, "b": 2, "c": 3})}, partition=0))

    def close() -> Any:
        for key, _ in stage.state.scan("t", "a", "d"):
            yield Delete("t", key)

    stage.take(close())
    assert list(stage.state.scan("t", "a", "d")) == []
    assert stage.state.staged["t"].keys() == {"a", "b", "c"}


def test_a_stored_none_is_a_row() -> None:
    """None is a value like any other: only a delete removes."""
    stage = Stage(State({"t": MemoryStore()}, partition=0))
    stage.take([Put("t", "a", None)])
    assert stage.state.get("t", "a", "default") is None
    stage.take([Delete("t", "a")])
    assert stage.state.get("t", "a", "default") == "default"
