"""Partial aggregates of a chunk of events: filter, event time, lateness, groups, windows, states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agents.aggregator.domain.events import Events, epoch_ms
from agents.aggregator.domain.functions import At
from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.windowing import Window
from agents.aggregator.domain.windowing.sessions import Sessions
from agents.aggregator.domain.windowing.window import MIN_MS
from tables.aggregations.calculation import DAY_MS

if TYPE_CHECKING:
    from agents.aggregator.domain.functions import State
    from agents.aggregator.domain.messages import Share
    from agents.aggregator.domain.plan import Compiled
    from fleet.cel.expression import Expression

MAX_AHEAD_MS: Final = DAY_MS
"""How far event time may run ahead of the publishing time, which allows for clocks that differ.

One event from far in the future would move the watermark there, and make all that follows late.
"""
MAX_REMEMBERED: Final = 100_000


class Refusal(NamedTuple):
    """Why a build cannot take an event.

    Attributes:
        reason: Stable reason, e.g. ``expression_failed``.
        step: Field of the definition.
        detail: What is wrong, for people.
    """

    reason: str
    step: str
    detail: str


@dataclass(slots=True)
class Outcome:
    """What a chunk gives for a build.

    Attributes:
        watermark_ms: The greatest event time so far; None before the first.
        shares: Shares by group.
        places: Places of the events of each of these shares, by group, in the same order.
        missed: Windows that an event came too late for, by its place.
        refused: Events that the build cannot take, by their place.
        taken: How many events are in at least one window.
    """

    watermark_ms: int | None
    shares: dict[str, list[Share]] = field(default_factory=dict)
    places: dict[str, list[Sequence[int]]] = field(default_factory=dict)
    missed: dict[int, list[Window]] = field(default_factory=dict)
    refused: dict[int, Refusal] = field(default_factory=dict)
    taken: int = 0


@dataclass(slots=True)
class _Taken:
    """Columns of the events that a build takes, all in the same order.

    Attributes:
        places: Their places in the chunk.
        keys: Keys of their groups.
        arguments: Arguments of each function; None for a count of events.
        wheres: Whether each function takes them; None where it takes all.
        ats: Where they are, if a function goes by that.
    """

    places: Sequence[int]
    keys: Sequence[str]
    arguments: list[list[Any] | None]
    wheres: list[list[Any] | None]
    ats: Sequence[At] = ()


class Calculator:
    """Computes partial aggregates for one build.

    Args:
        build: The build.
    """

    def __init__(self, build: Compiled) -> None:
        self.build = build
        calculation = build.build
        self._filter = calculation.compiled_filter
        self._event_time = calculation.compiled_event_time
        self._groups = calculation.compiled_groups
        self._positioned = any(function.positioned for function in build.functions)
        self._by_session = isinstance(build.windows, Sessions)
        self._keys: dict[tuple[Any, ...], str] = {}

    def run(self, events: Events, watermark_ms: int | None = None, *, judge: bool = True) -> Outcome:
        """Aggregate events; the same for any cut into chunks, once the shares are merged.

        Every event of the source counts for the watermark, also one that does not meet the filter.

        Args:
            events: Events of one source partition, in log order.
            watermark_ms: The greatest event time before them.
            judge: Whether events are late that come after their window has closed, by the events before.
        """
        outcome = Outcome(watermark_ms)
        times, wrong = self._times(events)
        before = MIN_MS if watermark_ms is None else watermark_ms
        running = list(accumulate((MIN_MS if each is None else each for each in times), max, initial=before))
        if running[-1] != MIN_MS:
            outcome.watermark_ms = running[-1]
        chosen = self._chosen(events, wrong, outcome)
        taken = self._taken(events.at(chosen), chosen, outcome)
        if len(taken.places) < len(times):
            times = [times[place] for place in taken.places]
        if self._positioned:
            offsets = (events.offsets[place] for place in taken.places)
            where = events.topic, events.partition
            taken.ats = [At(time_ms, *where, offset) for time_ms, offset in zip(times, offsets, strict=True)]
        missed = self._missed(taken.places, times, running) if judge and times else {}
        outcome.missed = {taken.places[at]: windows for at, windows in missed.items()}
        outcome.taken = len(times) - self._lost(times, missed)
        for key, window, found in self._cells(taken.keys, times, missed):
            share = (window.start_ms, window.end_ms, len(found), self._states(taken, found))
            outcome.shares.setdefault(key, []).append(share)
            outcome.places.setdefault(key, []).append(_at(taken.places, found))
        return outcome

    def _times(self, events: Events) -> tuple[list[Any], dict[int, Refusal]]:
        """Return event times, None where there is none that can be used, and why not, by place."""
        wrong: dict[int, Refusal] = {}
        found = _column("event_time", self._event_time, events, wrong)
        ahead, published = MAX_AHEAD_MS, events.published_ms
        times: list[int | None] = [epoch_ms(time) if type(time) is datetime else None for time in found]
        for place, time_ms in enumerate(times):
            if time_ms is None:
                wrong.setdefault(place, Refusal("no_event_time", "event_time", "the event has no event time"))
            elif time_ms > published[place] + ahead:
                times[place] = None
                detail = "event time is more than a day after the event was published"
                wrong[place] = Refusal("event_time_in_future", "event_time", detail)
        return times, wrong

    def _chosen(self, events: Events, wrong: Mapping[int, Refusal], outcome: Outcome) -> Sequence[int]:
        """Return the places of events that meet the filter, and have an event time."""
        chosen: Sequence[int] = range(len(events))
        if not self._filter.always:
            found = _column("filter", self._filter, events, outcome.refused)
            chosen = [place for place, met in enumerate(found) if met is True]
        if wrong:
            outcome.refused.update({place: wrong[place] for place in chosen if place in wrong})
            chosen = [place for place in chosen if place not in wrong]
        return chosen

    def _taken(self, events: Events, chosen: Sequence[int], outcome: Outcome) -> _Taken:
        """Return the columns of some events of a chunk, without those that turn out to be refused."""
        refused: dict[int, Refusal] = {}
        parts = [_column(f"group_by.{name}", each, events, refused) for name, each in self._groups.items()]
        arguments: list[list[Any] | None] = []
        wheres: list[list[Any] | None] = []
        for number, function in enumerate(self.build.functions):
            step = f"functions[{number}]"
            where = _maybe_column(f"{step}.where", function.where, events, refused)
            of = _maybe_column(f"{step}.of", function.of, events, refused)
            if of is not None:
                for place, detail in function.refusals(of).items():
                    refused.setdefault(place, Refusal("refused_argument", f"{step}.of", detail))
            arguments.append(of)
            wheres.append(where)
        if refused:
            kept = [at for at in range(len(chosen)) if at not in refused]
            outcome.refused.update({chosen[at]: why for at, why in refused.items()})
            chosen = _at(chosen, kept)
            parts = [_at(each, kept) for each in parts]
            arguments = [each and _at(each, kept) for each in arguments]
            wheres = [each and _at(each, kept) for each in wheres]
        return _Taken(chosen, self._keys_of(parts), arguments, wheres)

    def _keys_of(self, parts: Sequence[Sequence[Any]]) -> list[str]:
        known, keys = self._keys, []
        for group in zip(*parts, strict=True):
            key = known.get(group)
            if key is None:
                if len(known) >= MAX_REMEMBERED:
                    known.clear()
                key = known[group] = group_key(group)
            keys.append(key)
        return keys

    def _missed(
        self, places: Sequence[int], times: Sequence[int], running: Sequence[int]
    ) -> dict[int, list[Window]]:
        """Return the windows that had closed for events before they came."""
        windows, grace_ms = self.build.windows, self.build.windows.grace_ms
        # No window ends before its events: in most chunks none can be late.
        if min(times) + grace_ms >= running[-1]:
            return {}
        found = {}
        for at, time_ms in enumerate(times):
            reached = running[places[at]] - grace_ms
            if time_ms < reached:
                missed = [each for each in windows.windows_of(time_ms) if each.end_ms <= reached]
                if missed:
                    found[at] = missed
        return found

    def _lost(self, times: Sequence[int], missed: Mapping[int, Sequence[Window]]) -> int:
        """Return how many events missed all their windows."""
        windows_of = self.build.windows.windows_of
        return sum(len(windows_of(times[at])) == len(found) for at, found in missed.items())

    def _cells(
        self, keys: Sequence[str], times: Sequence[int], missed: Mapping[int, Sequence[Window]]
    ) -> Iterator[tuple[str, Window, Sequence[int]]]:
        """Yield group and window, and which events are in them."""
        windows = self.build.windows
        if self._by_session:
            kept = [at for at in range(len(times)) if at not in missed]
            for key, group in _by_key(keys, kept).items():
                for window, found in windows.by_window([times[at] for at in group]).items():
                    yield key, window, [group[at] for at in found]
            return
        for window, found in windows.by_window(times).items():
            if missed:
                found = [at for at in found if window not in missed.get(at, ())]  # noqa: PLW2901
            for key, group in _by_key(keys, found).items():
                yield key, window, group

    def _states(self, taken: _Taken, found: Sequence[int]) -> list[State]:
        states: list[State] = []
        for function, of, where in zip(self.build.functions, taken.arguments, taken.wheres, strict=True):
            picked = found if where is None else [at for at in found if where[at] is True]
            values = picked if of is None else [of[at] for at in picked]
            ats = [taken.ats[at] for at in picked] if function.positioned else ()
            states.append(function.add_all(function.empty(), values, ats))
        return states


def _column(step: str, expression: Expression, events: Events, refused: dict[int, Refusal]) -> list[Any]:
    values, failed = events.column(expression)
    for place, error in failed.items():
        refused.setdefault(place, Refusal("expression_failed", step, f"{step}: {error.message}"))
    return values


def _maybe_column(
    step: str, expression: Expression | None, events: Events, refused: dict[int, Refusal]
) -> list[Any] | None:
    return None if expression is None else _column(step, expression, events, refused)


def _at(values: Sequence[Any], places: Sequence[int]) -> list[Any]:
    return [values[place] for place in places]


def _by_key(keys: Sequence[str], places: Sequence[int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place in places:
        key = keys[place]
        if key in found:
            found[key].append(place)
        else:
            found[key] = [place]
    return found
