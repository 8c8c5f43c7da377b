"""What must be answered to questions for aggregates, while more events are published."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from benchmarks.timed_claims import JITTER_MS, Rows

GROUP: Final = "billing_provider_npi"
COUNT, SUM = "count_of_all", "sum_of_all"
MINUTE_MS: Final = 60_000


class Question(NamedTuple):
    """What is asked.

    Attributes:
        path: Path and parameters after the name of the aggregation.
        wrong: Says what is wrong about an answer; nothing if it is right.
    """

    path: str
    wrong: Callable[[Mapping[str, Any]], str]


class Account:
    """What is known of the rows: those that no event will come for any more, and how many others may have.

    Args:
        rows: Count and cents by ``<group>/<start of the window>``, of all that is aggregated.
        now_ms: Event time of the next event, about.
        rnd: Picks what is asked.
    """

    def __init__(self, rows: Rows, now_ms: int, rnd: random.Random) -> None:
        self._published = Counter({row: values[0] for row, values in rows.items()})
        self._rnd = rnd
        self._by_group: dict[str, dict[int, tuple[int, ...]]] = defaultdict(dict)
        self._by_start: dict[int, dict[str, tuple[int, ...]]] = defaultdict(dict)
        for row, values in rows.items():
            group, _, start = row.partition("/")
            if int(start) + MINUTE_MS <= now_ms - JITTER_MS:
                self._by_group[group][int(start)] = values
                self._by_start[int(start)][group] = values
        self._groups, self._starts = sorted(self._by_group), sorted(self._by_start)

    def add(self, group: str, time_ms: int) -> None:
        """Account for an event that is published now."""
        self._published[f"{group}/{time_ms - time_ms % MINUTE_MS}"] += 1

    def group(self) -> Question:
        """Ask for the rows of any group."""
        group = self._rnd.choice(self._groups)
        return Question(f"/keys?{GROUP}={group}", lambda answer: self._wrong_group(group, answer))

    def top(self, count: int) -> Question:
        """Ask for the groups with the greatest sums of any window that no event comes for any more."""
        start = self._rnd.choice(self._starts)
        path = f"/windows/{start}/top?by={SUM}&n={count}"
        return Question(path, lambda answer: self._wrong_top(start, count, answer))

    def _wrong_group(self, group: str, answer: Mapping[str, Any]) -> str:
        """What is settled is exact; what is not has no more than was published."""
        found = {start: values for each, start, values in _rows(answer) if each == group}
        if len(found) != len(answer["rows"]):
            return f"rows of {group} are answered with others, or twice: {answer['rows']}"
        known = self._by_group[group]
        for start, values in found.items():
            most = self._published[f"{group}/{start}"]
            if start in known and values != known[start]:
                return f"{group} at {start} is answered as {values}, not {known[start]}"
            if not 0 < values[0] <= most:
                return f"{group} at {start} is answered with {values[0]} of {most} events"
        missing = known.keys() - found.keys()
        return f"{group} has no row at {sorted(missing)}" if missing else ""

    def _wrong_top(self, start: int, count: int, answer: Mapping[str, Any]) -> str:
        known = self._by_start[start]
        found = [(group, values) for group, _, values in _rows(answer)]
        wanted = sorted((values[1] for values in known.values()), reverse=True)[:count]
        for group, values in found:
            if values != known.get(group):
                return f"{group} at {start} is answered as {values}, not {known.get(group)}"
        sums = [values[1] for _, values in found]
        distinct = len({group for group, _ in found})
        if sums != wanted or distinct != len(found):
            return f"the greatest sums at {start} are answered as {sums}, not {wanted}"
        return ""


def _rows(answer: Mapping[str, Any]) -> Iterable[tuple[str, int, tuple[int, int]]]:
    """Yield group, start of the window, count and cents of each row of an answer."""
    for row in answer["rows"]:
        start = dt.datetime.fromisoformat(row["start"])
        cents = int(Decimal(row["values"][SUM]).scaleb(2))
        yield row["key"][GROUP], int(start.timestamp() * 1_000), (row["values"][COUNT], cents)
