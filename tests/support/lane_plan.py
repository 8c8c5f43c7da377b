"""Sequences of faults: drawn, written down, and carried out on real workers and a real broker."""

from __future__ import annotations

import asyncio
import enum
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.lane_fixtures import SESSION_TIMEOUT_S

if TYPE_CHECKING:
    from typing import Self

    from tests.support.lane_broker import Broker
    from tests.support.lane_load import Load
    from tests.support.lane_processes import Worker, Workers

MOST_WORKERS = 3
PULSE_S = 0.3
SLOW_S = "0.9"
ENDS_WITHIN_S = 60.0


class Action(enum.StrEnum):
    """One fault, or one change among the workers."""

    JOIN = "join"
    SLOW_JOIN = "slow_join"
    KILL = "kill"
    STOP = "stop"
    DIE_PRODUCED = "die_produced"
    DIE_COMMITTING = "die_committing"
    DIE_COMMITTED = "die_committed"
    PULSE = "pulse"
    OVERSLEEP = "oversleep"
    BROKER_PULSE = "broker_pulse"
    BROKER_PAUSE = "broker_pause"


@dataclass(frozen=True, slots=True)
class Step:
    """An action, and which of the running workers it strikes, counted from the oldest."""

    action: Action
    which: int = 0

    def __str__(self) -> str:
        return f"{self.action}:{self.which}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the step that was written as `text`."""
        action, _, which = text.partition(":")
        return cls(Action(action), int(which or 0))


@dataclass
class Stage:
    """Where a plan is carried out. The model of it is the list of workers that should be at work.

    Attributes:
        load: What flows in, and what must come of it.
        workers: Starts workers.
        broker: The broker.
        running: The workers that are to share the partitions after each step.
    """

    load: Load
    workers: Workers
    broker: Broker
    running: list[Worker] = field(default_factory=list)

    async def carry_out(self, step: Step) -> None:
        """Do one step, and wait until every partition is consumed again; what makes no sense is left out."""
        if step.action in (Action.KILL, Action.STOP, Action.OVERSLEEP) and len(self.running) == 1:
            # Somebody has to be there for the rest of the plan, and it may be the one that is struck: one
            # that is still being loaded knows nothing of signals.
            await self._start().ready()
        struck = self.running[step.which % len(self.running)]
        await getattr(self, f"_{step.action.partition('_')[0]}")(step.action, struck)
        await self.load.live(self.running, str(step))

    def begin(self) -> None:
        """Start the first worker."""
        self._start()

    def _start(self, **environment: str) -> Worker:
        before = dict(self.workers.environment)
        self.workers.environment |= environment
        worker = self.workers.start()
        self.workers.environment = before
        self.running.append(worker)
        return worker

    async def _join(self, *_: object) -> None:
        if len(self.running) < MOST_WORKERS:
            self._start()

    async def _slow(self, *_: object) -> None:
        if len(self.running) < MOST_WORKERS:
            self._start(LANE_SLOW_S=SLOW_S)

    async def _kill(self, _: Action, struck: Worker) -> None:
        self.running.remove(struck)
        struck.kill()

    async def _stop(self, _: Action, struck: Worker) -> None:
        self.running.remove(struck)
        struck.signal(signal.SIGTERM)
        assert await struck.ended(ENDS_WITHIN_S) == 0

    async def _die(self, action: Action, _: Worker) -> None:
        dying = self._start(LANE_KILL_AT=f"{action.partition('_')[2]}:3")
        self.running.remove(dying)
        assert await dying.ended(ENDS_WITHIN_S) == -signal.SIGKILL

    async def _pulse(self, _: Action, struck: Worker) -> None:
        await self._asleep(struck, PULSE_S)

    async def _oversleep(self, _: Action, struck: Worker) -> None:
        await self._asleep(struck, SESSION_TIMEOUT_S + 2)

    async def _asleep(self, struck: Worker, seconds: float) -> None:
        struck.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            struck.signal(signal.SIGCONT)

    async def _broker(self, action: Action, _: Worker) -> None:
        await self.broker.paused(PULSE_S if action is Action.BROKER_PULSE else SESSION_TIMEOUT_S + 1)
