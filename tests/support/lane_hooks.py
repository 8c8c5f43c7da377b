"""What the environment of a test worker asks it to suffer; the engine knows nothing of it.

``LANE_KILL_AT=committed:3``: dies by SIGKILL when it comes to that step for the third time.
``LANE_STOP_AT=beginning:20``: stands still by SIGSTOP there, until it gets SIGCONT.
``LANE_SLOW_S=0.9``: every transaction stays open for so long before it is committed.
``LANE_STANDBYS_WAIT=file``: its standbys read nothing while that file is there.
``LANE_VIA=29192:41234``: reaches the broker's first port through the second, a `KafkaProxy`'s.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.transaction import EndTxnRequest

from fleet.lane.standby import Standbys
from fleet.lane.stores.memory import MemoryStore
from fleet.lane.stores.rocks import RocksStore
from fleet.lane.transaction import Transactor
from tests.support.polling import until

STEPS = (
    "fenced",
    "loading",
    "beginning",
    "sent",
    "produced",
    "offsets_sent",
    "committing",
    "committed",
    "applying",
    "applied",
)
"""Where a worker may be told to die or to stand still.

The transactional id is taken · changelog records are read, not yet applied · a chunk is computed, its
transaction about to begin · its first batch is handed over · all its batches are acknowledged · its
offsets too · the commit is on its way · the commit is confirmed · its rows are about to be applied ·
they are applied.
"""

Reached = Callable[[str], None]


def install() -> None:
    """Wrap the engine and its client as the environment says."""
    if via := os.environ.get("LANE_VIA"):
        _connect_through(*map(int, via.split(":")))
    if slow := os.environ.get("LANE_SLOW_S"):
        _slow_down(float(slow))
    if file := os.environ.get("LANE_STANDBYS_WAIT"):
        _hold_standbys_back(Path(file))
    for name, number in (("LANE_KILL_AT", signal.SIGKILL), ("LANE_STOP_AT", signal.SIGSTOP)):
        if at := os.environ.get(name):
            step, _, count = at.partition(":")
            _report_steps(_striker(step, int(count), number))


def _striker(step: str, count: int, number: signal.Signals) -> Reached:
    counts: Counter[str] = Counter()

    def reached(now: str) -> None:
        counts[now] += 1
        if (now, counts[now]) == (step, count):
            os.kill(os.getpid(), number)

    return reached


def _report_steps(reached: Reached) -> None:
    _around(Transactor, "fence", after=lambda: reached("fenced"))
    _around(Transactor, "commit", before=lambda: reached("beginning"))
    _around(AIOKafkaProducer, "send_batch", after=lambda: reached("sent"))
    _around(AIOKafkaProducer, "send_offsets_to_transaction", before=lambda: reached("produced"))
    _around(
        AIOKafkaProducer,
        "commit_transaction",
        before=lambda: reached("offsets_sent"),
        after=lambda: reached("committed"),
    )
    _report_requests(reached)
    _report_loading(reached)
    _report_applying(reached)


def _around(owner: type, name: str, before: Callable[[], Any] = int, after: Callable[[], Any] = int) -> None:
    """Call `before` and `after` a coroutine method; an awaitable that they return is awaited."""
    method = getattr(owner, name)

    @functools.wraps(method)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        waiting = before()
        if isinstance(waiting, Awaitable):
            await waiting
        result = await method(*args, **kwargs)
        after()
        return result

    setattr(owner, name, wrapped)


def _report_requests(reached: Reached) -> None:
    send = AIOKafkaConnection.send

    def sent(connection: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = send(connection, request, *args, **kwargs)
        if isinstance(request, EndTxnRequest):
            reached("committing")
        return answer

    AIOKafkaConnection.send = sent


def _report_loading(reached: Reached) -> None:
    getmany = AIOKafkaConsumer.getmany

    async def fetched(consumer: Any, *tps: Any, **kwargs: Any) -> Any:
        found = await getmany(consumer, *tps, **kwargs)
        if any(tp.topic.endswith("-changelog") for tp in found):
            reached("loading")
        return found

    AIOKafkaConsumer.getmany = fetched


def _report_applying(reached: Reached) -> None:
    for kind in (MemoryStore, RocksStore):
        _report_applying_to(kind, reached)


def _report_applying_to(kind: Any, reached: Reached) -> None:
    apply = kind.apply

    def applied(store: Any, *args: Any) -> None:
        reached("applying")
        apply(store, *args)
        reached("applied")

    kind.apply = applied


def _slow_down(seconds: float) -> None:
    _around(AIOKafkaProducer, "commit_transaction", before=lambda: asyncio.sleep(seconds))


def _hold_standbys_back(file: Path) -> None:
    async def gone() -> bool:
        return not await asyncio.to_thread(file.exists)

    _around(Standbys, "_read", before=lambda: until(gone, math.inf, f"the end of {file}"))


def _connect_through(port: int, proxy: int) -> None:
    connect = AIOKafkaConnection.connect

    async def through(connection: Any) -> Any:
        # The broker names its own port in its metadata, so the way round it is taken here.
        if connection._port == port:
            connection._port = proxy
        return await connect(connection)

    AIOKafkaConnection.connect = through
