"""The declaration of a lane agent: one pure function and what it reads and writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from fleet.errors import FatalError
from fleet.lane.dead_letter_limit import DeadLetterLimit
from fleet.lane.effects import DeadLetter, Effect
from fleet.lane.following import Follows
from fleet.lane.record import Chunk, Record
from fleet.lane.ticking import OnTick

if TYPE_CHECKING:
    from fleet.lane.state import State
    from fleet.lane.timers import Timer

Process: TypeAlias = "Callable[[Chunk, State], Iterable[Effect]]"
OnRefused: TypeAlias = "Callable[[Sequence[DeadLetter], State], Iterable[Effect]]"
OnTimer: TypeAlias = "Callable[[Timer, State], Iterable[Effect]]"
Guarantee = Literal["exactly_once", "at_least_once"]
Prepare: TypeAlias = Callable[[Chunk], Awaitable[None]]


async def _nothing_to_prepare(chunk: Chunk) -> None:
    del chunk


async def _ready_at_once() -> None:
    return


def _no_config() -> Any:
    return None


@dataclass(frozen=True, kw_only=True)
class LaneAgent:
    """One agent of a worker.

    Attributes:
        name: Name of the agent; part of its transactional ids, so never change it.
        sources: Co-partitioned source topics; the task of partition p reads p of each.
        inbox: The one of them through which dead letters come back (`fleet.lane.inbox`), or empty.
        follows: Gives topics to read beside them, as config and state say (`fleet.lane.following`): the
            partitions of `sources` are then slots, each of which has some partitions of those topics.
        process: Pure function over (chunk, state) that yields effects. It must give the same
            result however its input is cut into chunks, and may be called again for a chunk
            whose transaction did not commit.
        on_timer: Pure function over (timer, state) that yields effects, called for each timer that
            fires. An agent with one runs record by record.
        on_tick: Function over (tick, state) that yields effects, called between chunks, at once after the
            partition is acquired and after each change of what is followed, and then every `tick_every_s`
            (`fleet.lane.ticking`). What it yields is one transaction, none if that is nothing.
        tick_every_s: How long from one tick to the next, if no `TickAgain` asks for it sooner.
        on_refused: Pure function over (dead letters, state), called where topics refuse outputs of a chunk,
            with the dead letters that they become: it may put rows that tell so.
        event_time: Gives a record's event time, epoch milliseconds, or None; a record on which it
            raises becomes a dead letter. The greatest so far, in log order, is the partition's.
        tables: Names of the tables the agent owns.
        dead_letters: Topic of the agent's dead letters.
        prepare: Awaited before each chunk, for what a pure function must find ready (schemas), and before
            each tick, with an empty chunk;
            a `TransientError` pauses the partition and the chunk is tried again, any other error halts
            the task.
        ready: Awaited once before the first record, e.g. config read to its end.
        config: Called once a chunk for the immutable snapshot that `State.config` gives.
        guarantee: ``exactly_once``, or ``at_least_once`` where latency matters more: outputs can be
            seen at once, and some of them twice after trouble (docs/adr/0007-at-least-once.md).
        linger_s: How long the first records after a chunk wait for more, unless a whole chunk is there:
            fewer and larger transactions, for results that come so much later.
        background: Whether it gives way to the worker's other agents: while these have work, it takes a small
            share of the time only (`fleet.lane.background`).
        max_chunk_records: Bound on records in one transaction.
        max_chunk_bytes: Bound on the keys and values of these, and on what one transaction writes;
            a single record may exceed it.
        max_chunk_s: Bound on the time that one chunk computes, in which nothing else of the worker
            runs: the number of records follows their measured cost.
        max_fetch_bytes: Bound on what one fetch of a source partition brings; two wait behind a chunk.
        dead_letter_limit: The task halts rather than go over it; None sets no limit.
    """

    name: str
    sources: tuple[str, ...]
    process: Process
    follows: Follows | None = None
    on_timer: OnTimer | None = None
    on_tick: OnTick | None = None
    tick_every_s: float = 0.2
    on_refused: OnRefused | None = None
    event_time: Callable[[Record], int | None] | None = None
    tables: tuple[str, ...] = ()
    dead_letters: str
    inbox: str = ""
    prepare: Prepare = _nothing_to_prepare
    ready: Callable[[], Awaitable[None]] = _ready_at_once
    config: Callable[[], Any] = _no_config
    guarantee: Guarantee = "exactly_once"
    linger_s: float = 0.0
    background: bool = False
    max_chunk_records: int = 8000
    max_chunk_bytes: int = 8 << 20
    max_chunk_s: float = 0.5
    max_fetch_bytes: int = 2 << 20
    dead_letter_limit: DeadLetterLimit | None = field(default_factory=DeadLetterLimit)

    def __post_init__(self) -> None:
        """Give the lane's own rows of the agent their tables.

        Raises:
            FatalError: The agent has tables, but not the guarantee that they need, or timers and ticks.
        """
        for own in (self.timers_table, self.positions_table):
            if own and own not in self.tables:
                object.__setattr__(self, "tables", (*self.tables, own))
        if self.guarantee not in (known := get_args(Guarantee)):
            message = f"agent {self.name}: no guarantee {self.guarantee!r}"
            raise FatalError(message, hint=f"use {' or '.join(known)}")
        if self.tables and self.guarantee == "at_least_once":
            message = f"agent {self.name} has tables or timers, which at least once could count twice"
            raise FatalError(message, hint="leave its guarantee at exactly_once")
        if self.on_timer is not None and self.on_tick is not None:
            message = f"agent {self.name} has timers, which run record by record, and ticks, which do not"
            raise FatalError(message, hint="give it one of on_timer and on_tick")

    @property
    def timers_table(self) -> str:
        """Name of the table of the agent's timers; empty without timers."""
        return "" if self.on_timer is None else f"{self.name}-timers"

    @property
    def positions_table(self) -> str:
        """Name of the table of where the agent stands in what it follows; empty where it follows nothing."""
        return "" if self.follows is None else f"{self.name}-positions"
