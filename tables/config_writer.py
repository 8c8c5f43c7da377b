"""Changes to a config table: compare-and-set by fencing, one change at a time over all processes.

Every writer of one topic uses the same transactional id: taking it fences the others, so
what is read after taking it cannot change before the commit (engine trap 13).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

from fleet.errors import TransientError
from fleet.lane.batches import Batches
from fleet.lane.bounded import bounded
from fleet.lane.config import LaneConfig
from fleet.lane.errors import Lost
from fleet.lane.reading import read_all
from fleet.lane.topics import Topics
from fleet.lane.transaction import Transactor

ATTEMPTS = 8
READ_LIMIT_S = 10.0

Rows = dict[str, bytes]
Change = Callable[[Mapping[str, bytes]], Mapping[str, bytes | None]]


async def read_rows(config: LaneConfig, topic: str) -> Rows:
    """Return the rows of a one-partition compacted topic, as bytes by key.

    Raises:
        TransientError: Kafka does not answer in time.
    """
    try:
        return await bounded(_read(config, topic), READ_LIMIT_S, f"reading {topic}")
    except Lost as error:
        raise TransientError(str(error), hint="is Kafka up? see `eventfleet stack status`") from error


async def _read(config: LaneConfig, topic: str) -> Rows:
    rows: Rows = {}
    for record in await read_all(config, [topic]):
        key = (record.key or b"").decode()
        if record.value is None:
            rows.pop(key, None)
        else:
            rows[key] = record.value
    return rows


async def change(config: LaneConfig, topic: str, decide: Change) -> Mapping[str, bytes | None]:
    """Apply `decide` to the topic's rows, atomically, and return what was written.

    Args:
        config: How to reach Kafka.
        topic: A compacted topic of one partition.
        decide: Gets the rows, returns the new value of each key to change (None deletes);
            may be called again with newer rows, and may raise to refuse.

    Raises:
        TransientError: Other writers, or an unreachable Kafka, kept it from getting through.
    """
    topics = Topics(config)
    try:
        await topics.require([topic], by="config")
        info = topics.get(topic)
        for _ in range(ATTEMPTS):
            transactor = Transactor(config, f"{topic}-writer", f"{topic}-writer")
            try:
                await transactor.fence()
                wanted = decide(await read_rows(config, topic))
                if wanted and info is not None:
                    batches = Batches()
                    for key, value in wanted.items():
                        batches.add(topic, info, 0, key.encode(), value)
                    batches.close()
                    await transactor.commit(batches, {})
            except Lost:
                await asyncio.sleep(random.uniform(0.02, 0.3))  # noqa: S311 - jitter
            else:
                return wanted
            finally:
                transactor.discard()
    finally:
        await topics.close()
    raise TransientError(f"{topic} could not be changed", hint="others are changing it: try again")
