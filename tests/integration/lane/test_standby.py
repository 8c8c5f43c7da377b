"""Standbys: copies of other workers' state that are promoted by reading the rest of the changelog only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from fleet.lane import standby
from fleet.lane.config import LaneConfig
from fleet.lane.standby import Standbys
from fleet.lane.stores import MemoryStore
from tests.support.lane_host import local_lane
from tests.support.lane_load import PARTITIONS, Load, all_running, copied
from tests.support.lane_worker import TABLE
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_host import LocalLane
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

ROWS = 200_000
TAIL = 200


class FailingOnce(MemoryStore):
    """A store that fails once, in the middle of its changelog."""

    failed = False

    def replay(self, records: Any, position: int, current_ms: int | None = None) -> None:
        """Fail at the second batch."""
        if self.position and not FailingOnce.failed:
            FailingOnce.failed = True
            raise OSError("no space left on device")
        super().replay(records, position, current_ms)


class Opened:
    """Opens stores in memory, and keeps those that were opened.

    Args:
        kind: Kind of the stores.
    """

    def __init__(self, kind: type[MemoryStore] = MemoryStore) -> None:
        self._kind = kind
        self.stores: list[MemoryStore] = []

    async def open(self, table: str, partition: int) -> MemoryStore:
        """See `Stores.open`."""
        del table, partition
        self.stores.append(self._kind())
        return self.stores[-1]


async def caught_up(standbys: Standbys, rows: int) -> None:
    """Wait until the copies have nothing left to read, and hold `rows` rows."""

    async def nothing_left() -> bool:
        copies = standbys.describe()
        return bool(copies) and all(copy["lag"] == 0 for copy in copies) and _rows(copies) == rows

    await until(nothing_left, 60, f"standbys with {rows} rows")


def _rows(described: list[dict[str, Any]]) -> int:
    return sum(each["rows"] for each in described)


async def changelog_of(cluster: Cluster, unique: Callable[[str], str], rows: int) -> str:
    """Write a changelog of one partition with `rows` rows."""
    topic = unique("changelog")
    await cluster.create({topic: 1})
    records = ((f"K{number:06d}".encode(), orjson.dumps(number)) for number in range(rows))
    await cluster.send(topic, records, partitions=1)
    return topic


async def test_a_large_state_is_read_in_bulk_and_the_loop_goes_on(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """200,000 rows come in batches, between which others get their turn."""
    topic = await changelog_of(cluster, unique, ROWS)
    standbys = Standbys(LaneConfig(bootstrap_servers=cluster.servers), Opened().open, lambda _: topic)
    standbys.want([(TABLE, 0)])
    steps: set[int] = set()

    async def whole() -> bool:
        steps.add(_rows(standbys.describe()))
        return max(steps) == ROWS

    await until(whole, 60, "all rows", every_s=0)
    assert len(steps) >= ROWS // standby.MAX_RECORDS
    await caught_up(standbys, ROWS)
    await standbys.stop()
    assert standbys.describe() == []


async def test_a_standby_that_fails_is_dropped_and_made_again(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Its store is closed, another one is opened and read from its beginning."""
    FailingOnce.failed = False
    topic = await changelog_of(cluster, unique, 3 * standby.MAX_RECORDS)
    opened = Opened(FailingOnce)
    standbys = Standbys(LaneConfig(bootstrap_servers=cluster.servers), opened.open, lambda _: topic)
    standbys.want([(TABLE, 0)])
    await caught_up(standbys, 3 * standby.MAX_RECORDS)
    assert FailingOnce.failed
    assert len(opened.stores) == 2
    await standbys.stop()


async def test_a_store_beyond_the_end_of_its_changelog_begins_anew(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """The changelog was made anew: what the store holds is of another one."""
    topic = await changelog_of(cluster, unique, 10)
    opened = Opened()

    class Ahead(Opened):
        async def open(self, table: str, partition: int) -> MemoryStore:
            store = await opened.open(table, partition)
            store.apply({"of another": 1}, {}, 1000)
            return store

    standbys = Standbys(LaneConfig(bootstrap_servers=cluster.servers), Ahead().open, lambda _: topic)
    standbys.want([(TABLE, 0)])
    await caught_up(standbys, 10)
    assert "of another" not in opened.stores[0]
    await standbys.stop()


def rows_of(lane: LocalLane) -> dict[str, tuple[int, str]]:
    """Return the rows that the worker answers queries from."""
    return {key: tuple(row) for store in lane.host.owned(TABLE).values() for key, row in store.items()}


async def test_a_promotion_reads_the_tail_alone_and_a_standby_answers_nothing(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Before it, no query finds a row; after it, the rows are exact, and none was read twice."""
    load = await Load.prepared(cluster, unique, seed=19)
    await load.send(20_000)
    async with local_lane(load) as owner, local_lane(load, assigned=[]) as other:
        other.host.assigned([], [(load.source, number) for number in range(PARTITIONS)])
        await load.consumed()
        await caught_up(other.host.standbys, len(load.ledger.sums))
        assert rows_of(other) == {}
        assert all(other.host.partition_state(TABLE, number) is None for number in range(PARTITIONS))
        await owner.host.stop()
        other.assign(range(PARTITIONS))
        await other.becomes(dict.fromkeys(range(PARTITIONS), "running"))
        assert sum(task["loaded"] for task in other.host.describe()) == 0
        assert other.host.standbys.describe() == []
        assert {key: (count, str(total)) for key, (count, total) in load.ledger.sums.items()} == rows_of(
            other
        )
        await load.send(2000)
        await load.consumed()
    await load.check()


async def test_partitions_come_and_go_as_standbys_amid_the_work(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Two workers swap owned partitions and standbys again and again; tables and outputs stay exact."""
    load = await Load.prepared(cluster, unique, seed=20)
    await load.send(5_000)
    everything = set(range(PARTITIONS))
    async with local_lane(load, assigned=[]) as one, local_lane(load, assigned=[]) as two:
        for owned in ({0, 1, 2, 3}, {0, 1}, {2, 3}, set[int](), {1, 2}, {0, 3}):
            before = await load.committed()
            await load.send(500)
            for lane, mine in ((one, owned), (two, everything - owned)):
                lane.host.assigned(
                    [(load.source, number) for number in sorted(mine)],
                    [(load.source, number) for number in sorted(everything - mine)],
                )
            await load.reached(before + 500)
        await load.consumed()
        held = [lane.host.standbys.describe() for lane in (one, two)]
        assert [[copy["partition"] for copy in copies] for copies in held] == [[1, 2], [0, 3]]
    await load.check()


@pytest.mark.parametrize("store", ["memory", "rocksdb"])
async def test_a_killed_owner_is_replaced_by_its_standby(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str], store: str
) -> None:
    """Of two workers one is killed outright: the other gets on from its copies, and the table is exact."""
    load = await Load.prepared(cluster, unique, seed=21)
    await load.send(30_000)
    workers = new_workers(load.app_id, load.source)
    workers.settings = workers.settings.model_copy(update={"standbys": 1, "store": store})
    first, second = workers.start(), workers.start()
    await all_running([first, second])
    await load.consumed()

    await copied(second)
    own = {task["partition"] for task in await second.tasks()}
    changelog = await cluster.ends(f"{load.app_id}-{TABLE}-changelog")
    first.kill()
    await all_running([second])
    gained = {
        task["partition"]: task["loaded"] for task in await second.tasks() if task["partition"] not in own
    }
    assert len(gained) == PARTITIONS // 2
    for partition, loaded in gained.items():
        assert changelog[partition] > 10 * TAIL
        assert loaded <= TAIL, f"partition {partition} was read again: {loaded} of {changelog[partition]}"
    await load.send(2000)
    await load.consumed()
    await load.check()
