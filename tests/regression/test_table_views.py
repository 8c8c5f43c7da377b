"""A table's rows over HTTP: right from whichever worker is asked.

Faust hashes the JSON form of a text key: of 100 keys asked on two workers, 46 were answered right
(faust-streaming/faust#514).
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.lane_load import Load, all_running
from tests.support.lane_worker import TABLE, new_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.settings import Settings
    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack


async def test_each_key_is_right_on_either_worker(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """100 of 100 keys through each of two workers; a key that is in no row is 404 on both."""
    load = await Load.prepared(cluster, unique, seed=13)
    await load.send(3000)
    workers = new_workers(load.app_id, load.source)
    pair = [workers.start(), workers.start()]
    await all_running(pair)
    await asyncio.gather(*(worker.ready() for worker in pair))
    await load.consumed()
    keys = sorted(load.ledger.sums)[:100]
    assert len(keys) == 100
    for worker in pair:
        answers = await asyncio.gather(*(worker.ask(f"/table/{TABLE}/{key}/") for key in keys))
        rows = {
            key: (row[0], Decimal(row[1])) if status == 200 else status
            for key, (status, row) in zip(keys, answers, strict=True)
        }
        assert rows == {key: load.ledger.sums[key] for key in keys}
        statuses = {(await worker.ask(f"/table/{TABLE}/nobody-{number}/"))[0] for number in range(8)}
        assert statuses == {404}


def test_a_lane_table_is_written_by_effects_alone(
    stack_settings: Settings, unique: Callable[[str], str]
) -> None:
    """A write from anywhere else would be in no transaction: it is refused, with what to do instead."""
    table: Any = new_app(unique("app"), 6066, unique("charges"), stack_settings).tables[TABLE]
    with pytest.raises(TypeError, match=f"table {TABLE} is written by its agent's effects only: yield Put"):
        table["M00001"] = (1, "1.00")
    with pytest.raises(TypeError, match="yield Put or Delete"):
        del table["M00001"]
