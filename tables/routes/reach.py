"""How many topics an event can reach, by all the rules together."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from tables.routes.errors import RuleError
from tables.routes.rule import EVERY, State, matches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tables.routes.rule import Rule

MAX_REACH: Final = 200
"""Topics that one event may be copied to: with more it would be a broadcast, and its transaction as wide."""


def check_reach(rules: Iterable[Rule]) -> None:
    """Refuse rules by which an event of one type could go to more than `MAX_REACH` topics.

    Args:
        rules: The whole table; only active rules count.

    Raises:
        RuleError: With the event type and the count.
    """
    by_source: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.state is State.ACTIVE:
            by_source.setdefault(rule.source, []).append(rule)
    patterns = [source for source in by_source if EVERY in source]
    for event_type, named in sorted(by_source.items()):
        # A pattern stands for a type that no rule names.
        example = event_type.replace(EVERY, "x")
        covering = (source for source in patterns if source != event_type and matches(source, example))
        found = reach(chain(named, *(by_source[source] for source in covering)))
        if found > MAX_REACH:
            raise RuleError(
                f"targets: an event of {event_type} could reach {found} topics, allowed are {MAX_REACH}",
                field="targets",
                hint="name fewer targets, or put rules of which one applies into a group",
            )


def reach(rules: Iterable[Rule]) -> int:
    """Return how many topics an event can reach by `rules`, all of which look at it.

    Of a group one rule routes, so its largest counts; rules by default route where nothing else does.
    """
    every: set[str] = set()
    default: set[str] = set()
    groups: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.group:
            groups.setdefault(rule.group, []).append(rule)
        else:
            (default if rule.default else every).update(rule.targets)
    largest = sum(max(len(set(rule.targets) - every) for rule in group) for group in groups.values())
    return max(len(every) + largest, len(default))
