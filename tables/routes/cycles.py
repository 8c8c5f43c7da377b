"""Cycles of rules: events that their copies would bring back.

The graph has the sources of the active rules and their targets. A rule leads from its source to each of
its targets; a target leads to each source that covers it, as a topic's name is the type of its events.
A template of a topic counts as the pattern of all that it can name.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from tables.routes.errors import RuleError
from tables.routes.rule import EVERY, State, matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tables.routes.rule import Rule

MAX_SHOWN: Final = 8
"""Rules that a message names of a cycle."""

_HINT: Final = "change a target or a source of one of these rules"
_TEMPLATES: Final = "; a template counts as every topic that it can name: begin it with a name of its own"


class Step(NamedTuple):
    """A definition on the way round, and the target that it leads to."""

    name: str
    target: str


class Way(NamedTuple):
    """Where a definition takes events.

    Attributes:
        step: The definition and the target, as they are shown.
        source: Event type that it takes, or a pattern of them.
        pattern: The topics that the target can name.
    """

    step: Step
    source: str
    pattern: str


def overlap(one: str, other: str) -> bool:
    """Return whether two names or patterns of names have a name in common."""
    if EVERY not in one:
        return matches(other, one)
    if EVERY not in other:
        return matches(one, other)
    # What stands between the first and the last star can always be written one after the other.
    (first, *_, last), (start, *_, end) = one.split(EVERY), other.split(EVERY)
    begins = first.startswith(start) or start.startswith(first)
    return begins and (last.endswith(end) or end.endswith(last))


def check_cycles(rules: Iterable[Rule]) -> None:
    """Refuse rules whose copies would come round again.

    Args:
        rules: The whole table; only active rules count.

    Raises:
        RuleError: With the way round, e.g.
            ``cycle: b -(back)-> canonical.claim -(to-b)-> b``.
    """
    cycle = find_cycle(rules)
    if cycle:
        hint = _HINT + (_TEMPLATES if any("{" in step.target for step in cycle) else "")
        raise RuleError(f"cycle: {way_round(cycle)}", field="targets", hint=hint)


def way_round(cycle: Sequence[Step]) -> str:
    """Return a cycle for people, ``b -(back)-> a -(to-b)-> b``; a long one without its middle."""
    path = [f" -({step.name})-> {step.target}" for step in cycle]
    left_out = len(path) - MAX_SHOWN
    if left_out > 0:
        path[MAX_SHOWN - 1 : -1] = [f" ({left_out} more)"]
    return f"{cycle[-1].target}{''.join(path)}"


def find_cycle(rules: Iterable[Rule]) -> list[Step]:
    """Return the steps of a cycle, the same for every order of `rules`; none where there is no cycle."""
    return find_cycle_of(
        Way(Step(rule.name, target.text), rule.source, target.pattern)
        for rule in rules
        if rule.state is State.ACTIVE
        for target in rule.templates
    )


def find_cycle_of(ways: Iterable[Way]) -> list[Step]:
    """Return the steps of a cycle, the same for every order of the definitions of `ways`."""
    graph = _Graph(ways)
    done: set[str] = set()
    for source in graph.sources:
        if source not in done:
            cycle = _cycle_from(graph, source, done)
            if cycle:
                return cycle
    return []


class _Graph:
    """Where events go: by source the steps from it, and by target the sources that cover it."""

    def __init__(self, ways: Iterable[Way]) -> None:
        self._steps: dict[str, dict[str, tuple[Step, str]]] = {}
        for step, source, pattern in sorted(ways, key=lambda way: way.step.name):
            self._steps.setdefault(source, {}).setdefault(step.target, (step, pattern))
        self._by_beginning: dict[str, list[str]] = {}
        for source in self._steps:
            self._by_beginning.setdefault(_beginning(source), []).append(source)
        self._beginnings = sorted(self._by_beginning)
        self._covering = cache(self._found)

    @property
    def sources(self) -> Iterable[str]:
        return self._steps

    def onward(self, source: str) -> Iterator[tuple[Step, str]]:
        """Yield each step from `source`, and each source that it leads to."""
        for step, pattern in self._steps[source].values():
            for covering in self._covering(pattern):
                yield step, covering

    def _found(self, pattern: str) -> tuple[str, ...]:
        """Return the sources that `pattern` overlaps; only those that begin alike are looked at."""
        begins = _beginning(pattern)
        alike = [begins[:length] for length in range(len(begins))]
        alike += takewhile(
            lambda beginning: beginning.startswith(begins),
            islice(self._beginnings, bisect_left(self._beginnings, begins), None),
        )
        return tuple(
            source
            for beginning in alike
            for source in self._by_beginning.get(beginning, ())
            if overlap(pattern, source)
        )


def _beginning(pattern: str) -> str:
    return pattern.partition(EVERY)[0]


def _cycle_from(graph: _Graph, start: str, done: set[str]) -> list[Step]:
    """Go down every way from `start`, depth first, and remember what leads to no cycle."""
    ways: list[tuple[str, Iterator[tuple[Step, str]]]] = [(start, graph.onward(start))]
    steps: list[Step] = []
    within = {start: 0}
    while ways:
        source, onward = ways[-1]
        for step, reader in onward:
            if reader in within:
                return [*steps[within[reader] :], step]
            if reader not in done:
                steps.append(step)
                within[reader] = len(ways)
                ways.append((reader, graph.onward(reader)))
                break
        else:
            ways.pop()
            del within[source]
            done.add(source)
            if steps:
                steps.pop()
    return []
