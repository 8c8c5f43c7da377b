"""The timers of one partition: rows of a table of the agent's own, in the order in which they fire.

They are set, fire and move with the partition in the agent's own transactions, as all rows do.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from fleet.lane.effects import CancelTimer, Delete, Domain, Effect, Put, SetTimer
from fleet.lane.store import DELETED, after_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fleet.lane.state import State

_TIME_KEY: Final = "time"
_MOST_MS: Final = 10**15
"""Times are this many milliseconds around 1970 at most, so that as text they sort as numbers."""


class Timer(msgspec.Struct, frozen=True, gc=False):
    """A timer that fires. It stands in for the source record where it becomes a dead letter.

    Attributes:
        name: Its name.
        at_ms: When it was due.
        domain: Clock that it goes by.
        payload: As it was set.
        topic: Changelog of the table that held it.
        partition: Its partition.
    """

    name: str
    at_ms: int
    domain: Domain
    payload: Any
    topic: str
    partition: int

    @property
    def offset(self) -> int:
        """No record: -1."""
        return -1

    @property
    def timestamp(self) -> int:
        """When it was due."""
        return self.at_ms

    @property
    def key(self) -> bytes:
        """Its name."""
        return self.name.encode()

    @property
    def value(self) -> bytes:
        """Its payload as JSON."""
        return orjson.dumps(self.payload)

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """The clock that it goes by."""
        return (("timer_domain", self.domain.encode()),)


class Timers:
    """The timers as one chunk finds and changes them; made anew for each.

    Args:
        table: Table that holds them.
        topic: Changelog of it.
        state: State of the chunk.

    Attributes:
        time_ms: Event time of the partition; None while there was none.
    """

    def __init__(self, table: str, topic: str, state: State) -> None:
        self._table = table
        self._topic = topic
        self._state = state
        self._staged = state.staged[table]
        self._set: dict[str, list[str]] = {"event": [], "wall": []}
        self._committed: dict[str, Iterator[tuple[str, Any]]] = {}
        self._next: dict[str, tuple[str, Any] | None] = {}
        self.time_ms: int | None = state.get(table, _TIME_KEY)

    def advance(self, at_ms: int) -> Iterator[Effect]:
        """Yield what moves the event time to `at_ms`, if that is later."""
        if self.time_ms is None or at_ms > self.time_ms:
            _due_key("event", at_ms, "")
            self.time_ms = at_ms
            yield Put(self._table, _TIME_KEY, at_ms)

    def translated(self, effects: Iterable[Effect], fired: Timer | None = None) -> Iterator[Effect]:
        """Yield `effects` with what is about timers as writes to their table.

        Args:
            effects: Of the agent; each must be staged before the next is asked for.
            fired: The timer whose effects they are.
        """
        for effect in effects:
            if isinstance(effect, SetTimer):
                if fired is not None and effect.domain == fired.domain and effect.at_ms <= fired.at_ms:
                    raise ValueError("a timer may set another for a later time only")
                yield from self._placed(effect)
            elif isinstance(effect, CancelTimer):
                yield from self._removed(effect.domain, effect.name)
            else:
                yield effect

    def _placed(self, timer: SetTimer) -> Iterator[Effect]:
        key = _due_key(timer.domain, timer.at_ms, timer.name)
        yield from self._removed(timer.domain, timer.name)
        yield Put(self._table, key, [timer.payload])
        yield Put(self._table, _name_key(timer.domain, timer.name), timer.at_ms)
        heapq.heappush(self._set[timer.domain], key)

    def _removed(self, domain: str, name: str) -> Iterator[Effect]:
        at_ms = self._state.get(self._table, _name_key(domain, name))
        if at_ms is not None:
            yield Delete(self._table, _due_key(domain, at_ms, name))
            yield Delete(self._table, _name_key(domain, name))

    def removed(self, timer: Timer) -> list[Effect]:
        """Return what takes a timer that fires out of the table."""
        return list(self._removed(timer.domain, timer.name))

    def first(self, domain: Domain) -> Timer | None:
        """Return the timer of `domain` that is due first, at whatever time; of equal ones by name."""
        own, staged = self._set[domain], self._staged
        while own and staged.get(own[0], DELETED) is DELETED:
            heapq.heappop(own)  # Fired or cancelled since, or the record that set it failed.
        committed = self._peek(domain)
        if own and (committed is None or own[0] < committed[0]):
            return self._timer(own[0], staged[own[0]])
        return None if committed is None else self._timer(*committed)

    def due(self, domain: Domain, until_ms: int | None) -> Timer | None:
        """Return the first timer of `domain` if it is due at `until_ms`."""
        timer = None if until_ms is None else self.first(domain)
        return timer if timer is not None and until_ms is not None and timer.at_ms <= until_ms else None

    def _peek(self, domain: str) -> tuple[str, Any] | None:
        """Return the first committed row that this chunk has not touched."""
        if domain not in self._committed:
            prefix = f"due/{domain}/"
            store = self._state.committed(self._table)
            self._committed[domain] = iter(store.scan(prefix, after_prefix(prefix)))
            self._next[domain] = next(self._committed[domain], None)
        while (found := self._next[domain]) is not None and found[0] in self._staged:
            self._next[domain] = next(self._committed[domain], None)
        return found

    def _timer(self, key: str, row: Any) -> Timer:
        _, domain, at, name = key.split("/", 3)
        (payload,) = row
        known: Domain = "event" if domain == "event" else "wall"
        return Timer(name, int(at) - _MOST_MS, known, payload, self._topic, self._state.partition)


def _due_key(domain: str, at_ms: int, name: str) -> str:
    if domain not in ("event", "wall"):
        raise ValueError("a timer goes by event or by wall time")
    if type(at_ms) is not int or not -_MOST_MS < at_ms < _MOST_MS:
        raise ValueError("a time is whole milliseconds since 1970")
    return f"due/{domain}/{at_ms + _MOST_MS:016d}/{name}"


def _name_key(domain: str, name: str) -> str:
    return f"set/{domain}/{name}"
