"""Stock Faust on the real broker, to show what the lane is there for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import faust

from tests.support.polling import until
from tests.support.stack import free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.lane_kafka import Cluster

LIMIT_S = 60.0


def stock_app(name: str, folder: Path, cluster: Cluster | None = None, **options: Any) -> Any:
    """Return an app of stock Faust that writes no files but in `folder`.

    Args:
        name: App id and consumer group.
        folder: Where its data goes.
        cluster: The broker; one that is never asked by default.
        options: Faust's own, in place of those here.
    """
    servers = "127.0.0.1:9" if cluster is None else cluster.servers
    defaults: dict[str, Any] = {
        "broker": f"kafka://{servers}",
        "broker_session_timeout": 6.0,
        "broker_heartbeat_interval": 1.0,
        "broker_commit_interval": 0.1,
        "consumer_auto_offset_reset": "earliest",
        "datadir": str(folder / name),
        "store": "memory://",
        "topic_replication_factor": 1,
        "topic_disable_leader": True,
        "web_bind": "127.0.0.1",
        "web_enabled": False,
        "web_port": free_ports(1)[0],
    }
    return faust.App(name, **{**defaults, **options})


def raw_topic(app: Any, *names: str, **options: Any) -> Any:
    """Return a topic of `app` whose keys and values are bytes, as they are."""
    return app.topic(*names, key_type=bytes, value_type=bytes, value_serializer="raw", **options)


@asynccontextmanager
async def running(app: Any, *, to_the_end: bool = True) -> AsyncIterator[Any]:
    """Run a stock app in the test's own process.

    Args:
        app: The app.
        to_the_end: Wait until it has started, which is after its recovery.
    """
    app.finalize()
    app.in_worker = True
    starting = asyncio.ensure_future(app.start())
    try:
        if to_the_end:
            await starting
        yield app
    finally:
        starting.cancel()
        await asyncio.wait({starting})
        await app.stop()


async def all_committed(cluster: Cluster, app: Any, topic: str) -> None:
    """Wait until the app's group has committed the end of every partition of `topic`."""

    async def consumed() -> bool:
        return await cluster.consumed(app.conf.id, topic)

    await until(consumed, LIMIT_S, f"the end of {topic} committed")
