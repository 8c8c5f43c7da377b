"""A TCP proxy that reads Kafka's frames: loses or delays a certain request's next one, or its answer."""

from __future__ import annotations

import asyncio
import enum
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.agents_proxy import TcpProxy

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

LENGTH_BYTES = 4
SILENCE_S = 7.0


class Api(enum.IntEnum):
    """Requests by their key in Kafka's protocol."""

    PRODUCE = 0
    LIST_OFFSETS = 2
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS = 24
    ADD_OFFSETS = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


class Trouble(enum.StrEnum):
    """What can happen to a request on the wire."""

    REQUEST_LOST = "the connection breaks before the request arrives"
    ANSWER_LOST = "the request is carried out, the connection breaks before its answer arrives"
    ANSWER_LATE = "the request is carried out, its answer comes after all time-outs"
    UNHEARD = "neither the request nor any later one of its connection arrives, and it stays open"


@dataclass(eq=False)
class Fault:
    """One trouble for one request.

    Attributes:
        api: The request that it waits for.
        trouble: What happens to it.
        struck: Set once it did.
    """

    api: Api
    trouble: Trouble
    struck: threading.Event = field(default_factory=threading.Event)

    async def happened(self) -> bool:
        """Tell whether it struck."""
        return self.struck.is_set()


class KafkaProxy(TcpProxy):
    """Passes a broker's connections on; use as a context manager."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self._armed: list[Fault] = []

    def arm(self, api: Api, trouble: Trouble) -> Fault:
        """Let `trouble` strike the next request of this kind, on whichever connection."""
        fault = Fault(api, trouble)
        self._armed.append(fault)
        return fault

    def _strikes(self, api: int) -> Trouble | None:
        for fault in self._armed:
            if fault.api == api:
                self._armed.remove(fault)
                fault.struck.set()
                return fault.trouble
        return None

    async def _pass_both_ways(
        self, client: tuple[StreamReader, StreamWriter], broker: tuple[StreamReader, StreamWriter]
    ) -> None:
        unanswered: dict[int, Trouble] = {}
        deaf = False

        async def request(frame: bytes) -> bool:
            nonlocal deaf
            if deaf:
                return False
            trouble = self._strikes(int.from_bytes(frame[:2]))
            deaf = trouble is Trouble.UNHEARD
            if trouble in (Trouble.ANSWER_LOST, Trouble.ANSWER_LATE):
                unanswered[int.from_bytes(frame[4:8])] = trouble
            if trouble is Trouble.REQUEST_LOST:
                client[1].transport.abort()
            return trouble not in (Trouble.REQUEST_LOST, Trouble.UNHEARD)

        async def answer(frame: bytes) -> bool:
            trouble = unanswered.pop(int.from_bytes(frame[:4]), None)
            if trouble is Trouble.ANSWER_LATE:
                await asyncio.sleep(SILENCE_S)
            if trouble is Trouble.ANSWER_LOST:
                client[1].transport.abort()
            return trouble is not Trouble.ANSWER_LOST

        await asyncio.gather(
            _copy_frames(client[0], broker[1], request), _copy_frames(broker[0], client[1], answer)
        )


async def _copy_frames(
    reader: StreamReader, writer: StreamWriter, passes: Callable[[bytes], Awaitable[bool]]
) -> None:
    """Copy frame after frame, but for those that `passes` refuses, until either side is gone."""
    try:
        while True:
            length = await reader.readexactly(LENGTH_BYTES)
            frame = await reader.readexactly(int.from_bytes(length))
            if await passes(frame):
                writer.write(length + frame)
                await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        writer.close()
