"""A TCP proxy that can be cut and mended: an outage of a real part, without stopping it."""

from __future__ import annotations

import asyncio
import threading
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from typing import Self

from tests.support.stack import free_ports

LIMIT_S = 10.0
READ_BYTES = 65_536


class TcpProxy:
    """Passes connections on to a port of this machine until it is cut; use as a context manager.

    It runs in a thread of its own, so that the event loops of tests may come and go.

    Attributes:
        port: Port to connect to in place of the target's.
    """

    def __init__(self, target_port: int) -> None:
        (self.port,) = free_ports(1)
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()

    def cut(self) -> None:
        """Drop all connections and refuse new ones."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(LIMIT_S)

    def mend(self) -> None:
        """Take connections again."""
        asyncio.run_coroutine_threadsafe(self._mend(), self._loop).result(LIMIT_S)

    async def _cut(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._connections)

    async def _mend(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = self._loop.create_task(self._pass_on(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, back}
        self._writers |= both
        await self._pass_both_ways((reader, writer), (there, back))
        self._writers -= both

    async def _pass_both_ways(
        self, client: tuple[StreamReader, StreamWriter], target: tuple[StreamReader, StreamWriter]
    ) -> None:
        await asyncio.gather(_copy(client[0], target[1]), _copy(target[0], client[1]))


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(OSError):
        while content := await reader.read(READ_BYTES):
            writer.write(content)
            await writer.drain()
    writer.close()
