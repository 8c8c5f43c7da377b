"""Builds of an aggregation: which there are after a change, and which is served."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.aggregations.builds import MAX_BUILDS, discarded, rebuilt, switched
from tables.aggregations.calculation import Start
from tables.aggregations.definition import Definition, State, parse_definition
from tables.aggregations.errors import AggregationError
from tables.errors import ConflictError, NotFoundError
from tests.unit.aggregations.claims import a_document

CALCULATIONS: list[dict[str, Any]] = [
    {},
    {"filter": "event.total_charge > 1"},
    {"grace_ms": 7},
    {"windows": {"kind": "tumbling", "size_ms": 60_000}},
    {"group_by": {"member": "event.member_id"}},
    {"event_time": "event.event_time"},
    {"sources": ["canonical.claim", "canonical.other"]},
    {"functions": [{"as": "total", "function": "sum", "of": "event.total_charge", "type": "decimal(4)"}]},
]
OTHERWISE: list[dict[str, Any]] = [
    {"output": {"topic": "claims.by-payer"}},
    {"limits": {"max_keys": 5}},
    {"retention_ms": 5},
    {"owner": "fraud"},
    {"description": "x"},
]


def written(before: Definition | None, **fields: Any) -> Definition:
    """Return an active definition after it was written over the one before."""
    version = before.version + 1 if before else 1
    return rebuilt(parse_definition(a_document(**{"state": "active", **fields, "version": version})), before)


def numbers(definition: Definition) -> tuple[list[int], int]:
    """Return the numbers of the builds, and the one that is served."""
    return [each.number for each in definition.builds], definition.serving


@pytest.mark.parametrize("state", ["draft", "paused"])
def test_there_is_no_build_before_it_is_active(state: str) -> None:
    """The first is numbered by the version that makes it active, is served, and is all that was written."""
    first = written(None, state=state)
    assert numbers(first) == ([], 0)
    active = written(first, start="earliest")
    assert numbers(active) == ([2], 2)
    (build,) = active.builds
    assert build.start is Start.EARLIEST
    assert {name: getattr(build, name) for name in ("sources", "functions", "group_by")} == {
        name: getattr(active, name) for name in ("sources", "functions", "group_by")
    }


@pytest.mark.parametrize("changes", CALCULATIONS[1:])
def test_another_calculation_is_built_beside(changes: dict[str, Any]) -> None:
    """What is served stays; going back to the calculation before makes none again."""
    changed = written(written(None), **changes)
    assert numbers(changed) == ([1, 2], 1)
    back = written(changed)
    assert (back.version, back.builds, back.serving) == (3, changed.builds, 1)


@pytest.mark.parametrize("changes", OTHERWISE)
def test_other_changes_touch_no_build(changes: dict[str, Any]) -> None:
    """Nor does what is written of builds itself."""
    first = written(None)
    forged = {"builds": [], "serving": 7, "paused_because": "forged"}
    changed = written(first, **changes, **forged)
    assert (changed.builds, changed.serving, changed.paused_because) == (first.builds, 1, "")


def test_history_is_asked_for_by_another_start() -> None:
    """A build from now on does not give it; one that has it gives also what is asked for from now on."""
    first = written(None)
    with_history = written(first, start="earliest")
    assert numbers(with_history) == ([1, 2], 1)
    assert [each.start for each in with_history.builds] == [Start.LATEST, Start.EARLIEST]
    alone = discarded(switched(with_history, 2), 1)
    assert numbers(written(alone, start="latest")) == ([2], 2)


def test_what_is_not_active_builds_nothing() -> None:
    """A calculation that is changed while it is paused is built when it is active again."""
    paused = written(written(None), state="paused", grace_ms=7)
    assert numbers(paused) == ([1], 1)
    assert numbers(written(paused, grace_ms=7)) == ([1, 3], 1)


def test_why_it_is_paused_goes_with_the_pause() -> None:
    """It stays while it is paused, whatever else is changed, and is gone when it is active again."""
    paused = msgspec.structs.replace(written(written(None), state="paused"), paused_because="too many keys")
    changed = written(paused, state="paused", description="x", paused_because="")
    assert changed.paused_because == "too many keys"
    assert written(changed).paused_because == ""


def test_there_is_a_limit_of_builds() -> None:
    """The change is refused with what to do; after a discard there is room."""
    definition = written(None)
    for grace_ms in range(1, MAX_BUILDS):
        definition = written(definition, grace_ms=grace_ms)
    with pytest.raises(AggregationError, match=r"4 of them \(1, 2, 3, 4\), .*: discard one that is not"):
        written(definition, grace_ms=99)
    assert numbers(written(discarded(definition, 3), grace_ms=99)) == ([1, 2, 4, 5], 1)


def test_the_served_build_is_not_discarded() -> None:
    """Nor one that is not there, and none such is switched to."""
    definition = written(written(None), grace_ms=7)
    with pytest.raises(ConflictError, match=r"build 1 of .* is served: switch to another build first"):
        discarded(definition, 1)
    for act in (discarded, switched):
        with pytest.raises(NotFoundError, match="has no build 9: its builds are 1, 2"):
            act(definition, 9)
    with pytest.raises(NotFoundError, match="has no build 1: activate it first"):
        switched(written(None, state="draft"), 1)
    assert numbers(discarded(switched(definition, 2), 1)) == ([2], 2)


fields_written = st.builds(
    lambda *parts: {name: value for part in parts for name, value in part.items()},
    st.sampled_from(CALCULATIONS),
    st.sampled_from(OTHERWISE),
    st.fixed_dictionaries(
        {
            "state": st.sampled_from(["active", "active", "paused", "draft", "deleted"]),
            "start": st.sampled_from(["latest", "earliest"]),
        }
    ),
)
steps = st.one_of(
    st.tuples(st.just("write"), fields_written),
    st.tuples(st.sampled_from(["switch", "discard"]), st.integers(1, 12)),
)


def done(before: Definition, action: str, what: Any) -> Definition:
    """Return the definition after a step; the same where it was refused."""
    acts = {"switch": switched, "discard": discarded}
    try:
        if action == "write":
            return written(before, **what)
        return msgspec.structs.replace(acts[action](before, what), version=before.version + 1)
    except (AggregationError, ConflictError, NotFoundError):
        return before


@given(st.lists(steps, max_size=15))
def test_whatever_is_done_no_build_is_lost(actions: list[tuple[str, Any]]) -> None:
    """One is served if there are any; numbers ascend for ever; none is changed, or goes but by a discard."""
    definition, newest = written(None, state="draft"), 0
    for action, what in actions:
        before, definition = definition, done(definition, action, what)
        found, serving = numbers(definition)
        assert serving in found or (serving, found) == (0, [])
        assert found == sorted(set(found))
        assert len(found) <= MAX_BUILDS
        if definition.state is State.DELETED:
            assert found == []
        elif action == "discard":
            left = [each for each in before.builds if definition is before or each.number != what]
            assert list(definition.builds) == left
        else:
            assert definition.builds[: len(before.builds)] == before.builds
        new = set(found) - set(numbers(before)[0])
        assert all(newest < number <= definition.version for number in new)
        newest = max([newest, *found])
        if definition.state is State.ACTIVE and action == "write" and definition is not before:
            assert any(each.filter == definition.filter for each in definition.builds)
