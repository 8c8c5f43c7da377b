"""Questions put to all partitions, against a dict of the same rows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.windowing import Window
from agents.aggregator.queries.answers import Found
from agents.aggregator.queries.group_questions import OfGroup, OfSeveral
from agents.aggregator.queries.holding import Holding
from agents.aggregator.queries.questions import Answer, Question
from agents.aggregator.queries.ranking import Ranking
from agents.aggregator.queries.reading import Span
from agents.aggregator.queries.window_questions import OfTop, OfWindow, OfWindows
from fleet.errors import TransientError
from tables.errors import NotFoundError
from tests.support.queried import HOUR_MS, SESSIONS, TUMBLING, Key, World, a_world

KEYS = st.tuples(st.sampled_from(["a", "b", "a|b", '"', None]), st.sampled_from([None, 0, 1, -1]))
CHARGES = st.lists(st.decimals(min_value=-99, max_value=99, places=2).map(str), min_size=1, max_size=3)
ROWS = st.dictionaries(st.tuples(KEYS, st.integers(0, 3)), CHARGES, max_size=25)
FIRST = Window(0, HOUR_MS)


def hours(hour: int) -> Window:
    """Return an hour since 1970."""
    return Window(hour * HOUR_MS, (hour + 1) * HOUR_MS)


def filled(rows: dict[tuple[Key, int], list[str]], watermark_ms: int | None = None) -> World:
    """Return a world with these rows by key and hour."""
    world = a_world()
    for (key, hour), charges in rows.items():
        world.put(key, hours(hour), charges)
    world.move(watermark_ms)
    return world


def ask(question: Question, holdings: Sequence[Holding]) -> Answer:
    """Return the answer of the partitions; their parts go between workers as JSON."""

    async def parts() -> list[Any]:
        return [{**each.about(), **await question.of(each)} for each in holdings]

    return question.answer(orjson.loads(orjson.dumps(asyncio.run(parts()))))


def told(row: Found) -> tuple[Key, int, dict[str, Any]]:
    """Return key, start and the two plain results of a row."""
    assert row.start_ms is not None
    kept = {name: row.values[name] for name in ("claims", "total")}
    return (row.group["provider"], row.group["plan"]), row.start_ms, kept


@settings(deadline=None, max_examples=40)
@given(ROWS, st.integers(0, 3), st.integers(1, 4))
def test_pages_of_a_window_are_all_its_rows_once(
    rows: dict[tuple[Key, int], list[str]], hour: int, limit: int
) -> None:
    """Over all partitions, in one order, with the very results, however small the pages."""
    world = filled(rows)
    wanted = {(key, h.start_ms): values for (key, h), values in world.known.items() if h == hours(hour)}
    found: list[tuple[Key, int, dict[str, Any]]] = []
    after: str | None = ""
    while after is not None and wanted:
        question = OfWindow(world.target, hour * HOUR_MS, hours(hour), limit, after)
        answer = ask(question, world.holdings())
        assert len(answer.rows) <= limit
        found += map(told, answer.rows)
        after = None if answer.next is None else answer.next.after
    assert {(key, start): values for key, start, values in found} == wanted
    assert [group_key(key) for key, _, _ in found] == sorted(group_key(key) for key, _ in wanted)


@settings(deadline=None, max_examples=40)
@given(ROWS, st.integers(1, 6), st.booleans())
def test_top_is_the_head_of_all_rows_in_order(
    rows: dict[tuple[Key, int], list[str]],
    most: int,
    descending: bool,  # noqa: FBT001 - drawn
) -> None:
    """By exact decimals, over all partitions; rows that are equal go by their group."""
    world = filled(rows)
    every = [(key, values["total"]) for (key, window), values in world.known.items() if window == FIRST]
    every.sort(key=lambda row: group_key(row[0]))
    every.sort(key=lambda row: Decimal(row[1]), reverse=descending)
    ranking = Ranking(world.compiled.functions, "total", descending=descending)
    question = OfTop(world.target, 0, FIRST, ranking, most)
    if not every:
        with pytest.raises(NotFoundError):
            ask(question, world.holdings())
        return
    answer = ask(question, world.holdings())
    assert [(key, values["total"]) for key, _, values in map(told, answer.rows)] == every[:most]


@settings(deadline=None, max_examples=40)
@given(ROWS, st.lists(KEYS, min_size=1, max_size=6, unique=True))
def test_several_keys_are_each_answered_or_missing(
    rows: dict[tuple[Key, int], list[str]], keys: list[Key]
) -> None:
    """In the order asked, each from the partition that holds it."""
    world = filled(rows)
    groups = [group_key(key) for key in keys]
    answer = ask(OfSeveral(world.target, groups, world.partitions), world.holdings())
    for key, found in zip(keys, answer.more["keys"], strict=True):
        assert found["key"] == {"provider": key[0], "plan": key[1]}
        wanted = [v for (each, _), v in sorted(world.known.items(), key=lambda row: row[0][1]) if each == key]
        assert found.get("missing", False) is (not wanted)
        values = [
            {name: row["values"][name] for name in ("claims", "total")} for row in found.get("rows", ())
        ]
        assert values == wanted


@settings(deadline=None, max_examples=40)
@given(ROWS, st.integers(1, 3), st.lists(st.integers(0, 9), max_size=5))
def test_pages_stay_right_while_rows_come_and_go(
    rows: dict[tuple[Key, int], list[str]], limit: int, changes: list[int]
) -> None:
    """What was there all the time is given once, whatever was put or expired between two pages."""
    world = filled({(key, 0): charges for (key, _), charges in rows.items()})
    stayed, found, after = {key for key, _ in world.known}, list[Key](), ""
    for step in range(len(rows) + 1 + len(changes)):
        if step < len(changes):
            world.put((f"new-{changes[step]}", None), FIRST, ["1.00"])
            gone = sorted(world.known, key=repr)[changes[step] % len(world.known)]
            world.remove(*gone)
            stayed -= {gone[0]}
        if not world.known:
            return
        answer = ask(OfWindow(world.target, 0, FIRST, limit, after), world.holdings())
        found += [key for key, _, _ in map(told, answer.rows)]
        if answer.next is None:
            break
        after = answer.next.after
    assert len(found) == len(set(found))
    assert stayed <= set(found)


@settings(deadline=None, max_examples=40)
@given(ROWS, st.integers(1, 3))
def test_windows_are_those_of_all_partitions(rows: dict[tuple[Key, int], list[str]], limit: int) -> None:
    """Each once, in order, page by page."""
    world = filled(rows)
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        answer = ask(OfWindows(world.target, limit=limit, after=after), world.holdings())
        found += [each["start"] for each in answer.more["windows"]]
        after = None if answer.next is None else answer.next.after
    assert found == [f"1970-01-01T0{hour}:00:00Z" for hour in sorted({hour for _, hour in rows})]


def test_a_window_is_closed_once_the_watermark_is_past_its_grace() -> None:
    """A row by the watermark of its own partition, a window by that of all."""
    world = a_world(grace_ms=500)
    keys = [(f"p{number}", None) for number in range(20)]
    for key in keys:
        world.put(key, FIRST, ["1.00"])
    world.move(HOUR_MS + 500)
    world.move(HOUR_MS + 499, [1])
    answer = ask(OfWindow(world.target, 0, FIRST), world.holdings())
    states = {
        world.partition_of((row.group["provider"], row.group["plan"])): row.closed for row in answer.rows
    }
    assert states == {0: True, 1: False, 2: True}
    assert answer.more["window"]["state"] == "open"
    world.move(HOUR_MS + 500, [1])
    answer = ask(OfWindow(world.target, 0, FIRST), world.holdings())
    assert {row.closed for row in answer.rows} == {True}
    assert answer.more["window"]["state"] == "closed"


def test_nothing_heard_is_not_closed() -> None:
    """A partition that has no progress of the build holds its windows open."""
    world = a_world()
    world.put(("a", 1), FIRST, ["1.00"])
    answer = ask(OfWindow(world.target, 0, FIRST), world.holdings())
    assert [row.closed for row in answer.rows] == [False]


def test_a_standby_promises_no_more_than_its_rows_hold() -> None:
    """Where the watermark was read further than the rows, windows are open as far as it knows."""
    world = a_world(partitions=1)
    world.put(("a", 1), FIRST, ["1.00"])
    world.move(HOUR_MS)
    tables = world.stores[0]
    for name, offset in (("aggregates", 4), ("aggregate-windows", 5), ("aggregate-builds", 5)):
        tables[name].apply({}, {"partials": offset}, None)
    question = OfWindow(world.target, 0, FIRST)
    assert [row.closed for row in ask(question, [world.holding(0, lag=2)]).rows] == [False]
    tables["aggregates"].apply({}, {"partials": 5}, None)
    assert [row.closed for row in ask(question, [world.holding(0, lag=2)]).rows] == [True]


def test_what_is_not_there_is_said_so_by_name_but_never_by_a_copy_that_lags() -> None:
    """An owner, or a copy that has all, says that there is none; one that lags cannot know."""
    world = a_world()
    questions: list[Question] = [
        OfGroup(world.target, (group_key(("a", 1)),), world.partitions),
        OfWindow(world.target, 0, FIRST),
    ]
    for question in questions:
        with pytest.raises(NotFoundError, match=r"provider=a, plan=1|1970-01-01T00:00:00Z"):
            ask(question, world.holdings())
        with pytest.raises(NotFoundError):
            ask(question, [world.holding(number, lag=0) for number in range(3)])
        with pytest.raises(TransientError):
            ask(question, [world.holding(number, lag=1) for number in range(3)])


def test_a_group_without_rows_in_a_range_is_there_all_the_same() -> None:
    """An empty answer, not a missing key; and its latest row may be out of the range too."""
    world = filled({(("a", 1), 0): ["1.00"]})
    group = (group_key(("a", 1)),)
    late = hours(2)
    for latest in (False, True):
        question = OfGroup(world.target, group, world.partitions, Span(late.start_ms), latest=latest)
        assert ask(question, world.holdings()).rows == []


def test_sessions_of_one_start_are_one_answer() -> None:
    """They end when they end: each row says when."""
    world = a_world(SESSIONS)
    for number in range(9):
        world.put((f"p{number}", None), Window(5_000, 6_000 + number), ["1.00"])
    world.put(("p0", None), Window(9_000, 10_000), ["1.00"])
    answer = ask(OfWindow(world.target, 5_000, None), world.holdings())
    assert [row.end_ms for row in answer.rows] == [6_000 + number for number in range(9)]


def test_rows_without_a_result_are_ranked_last() -> None:
    """Either way: what is not a number, and what gave nothing."""
    world = a_world({**TUMBLING})
    world.put(("one", None), FIRST, ["1"])
    world.put(("two", None), FIRST, ["2"])
    world.put(("none", None), FIRST, [])
    for descending, order in ((True, ["two", "one", "none"]), (False, ["one", "two", "none"])):
        for by in ("ratio", "spread.p50", "total"):
            ranking = Ranking(world.compiled.functions, by, descending=descending)
            answer = ask(OfTop(world.target, 0, FIRST, ranking), world.holdings())
            assert [row.group["provider"] for row in answer.rows] == order
