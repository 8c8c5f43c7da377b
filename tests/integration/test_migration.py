"""A new version of an app takes over offsets and state from the old one, on real Kafka."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from fleet.cli.state import APPS
from fleet.cli.state import app as state_commands
from fleet.errors import FatalError
from fleet.lane.errors import Lost
from fleet.lane.migration import Migration
from fleet.lane.transaction import Transactor
from fleet.lane.versions import Version
from tests.support.commands import invoke
from tests.support.lane_fixtures import cluster, lane_settings, new_workers
from tests.support.lane_ledger import table_rows
from tests.support.lane_load import PARTITIONS, Load
from tests.support.lane_worker import new_app
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from fleet.lane import LaneApp
    from fleet.settings import Settings
    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster
    from tests.support.lane_processes import Worker

__all__ = ["cluster", "lane_settings", "new_workers"]

pytestmark = pytest.mark.stack

LIMIT_S = 120.0


class Bump:
    """An app that goes from version 1 to version 2.

    Attributes:
        load: Its charges; the ledger is checked against version 2.
        settings: Of its workers.
    """

    def __init__(self, load: Load, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.load = load
        self.settings = settings
        self.new = replace(load, app_id=f"{load.app_id}-v2")
        for version in (1, 2):
            monkeypatch.setitem(APPS, f"v{version}", partial(self.app, version))

    def app(self, version: int, migrate: Callable[[str, Any], Any] | None = None) -> LaneApp:
        """Return the app in one of its versions."""
        load = self.load
        return new_app(load.app_id, 6066, load.source, self.settings, version=version, migrate=migrate)

    async def migrate(self, origin: int, target: int) -> Result:
        """Run ``eventfleet state migrate`` with the code of `target`."""
        versions = "--from", str(origin), "--to", str(target)
        return await asyncio.to_thread(
            invoke, state_commands, self.settings, "migrate", f"v{target}", *versions, "--yes"
        )

    async def show(self, version: int) -> Result:
        """Run ``eventfleet state show``."""
        return await asyncio.to_thread(invoke, state_commands, self.settings, "show", f"v{version}")

    def migration(self, migrate: Callable[[str, Any], Any] | None = None) -> Migration:
        """Return the way of its one agent from version 1 to 2."""
        (migration,) = self.app(2, migrate).lane.migrations(1)
        return migration


@pytest.fixture
async def bump(
    cluster: Cluster,
    lane_settings: Settings,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Bump:
    """An app of this test alone, whose topics exist."""
    return Bump(await Load.prepared(cluster, unique, seed=8), lane_settings, monkeypatch)


async def _all(worker: Worker, status: str) -> list[str]:
    """Wait until all the worker's tasks have a status; return their reasons."""

    async def as_wanted() -> list[str]:
        tasks = await worker.tasks()
        same = len(tasks) == PARTITIONS and all(task["status"] == status for task in tasks)
        return [task["reason"] or status for task in tasks] if same else []

    return await until(as_wanted, LIMIT_S, f"all tasks {status}")


async def test_a_new_version_takes_over_from_workers_that_run(bump: Bump, new_workers: NewWorkers) -> None:
    """It waits for the migration, then goes on; the old workers lose all; every charge counts once."""
    load = bump.load
    await load.send(500)
    workers = new_workers(load.app_id, load.source)
    workers.environment["LANE_CHUNK_RECORDS"] = "10"
    old = workers.start()
    await load.consumed()
    workers.environment |= {"LANE_VERSION": "2", "LANE_CHUNK_RECORDS": "250"}
    new = workers.start()
    (reason, *_) = await _all(new, "halted")
    assert reason == (
        f"version 2 of {load.app_id} has no offsets of sum, but version 1 has: "
        f"run `eventfleet state migrate {load.app_id} --from 1 --to 2`"
    )
    await load.send(40_000)
    moved = await bump.migrate(1, 2)
    assert moved.exit_code == 0, moved.output
    assert not await load.is_consumed(), "too late to be amid the work"
    (reason, *_) = await _all(old, "halted")
    assert reason.startswith(f"version 1 of {load.app_id} was left for version 2: run that one")
    await _all(new, "running")
    await load.send(500)
    await bump.new.consumed()
    await _all(old, "halted")
    await bump.new.check()
    kept = await table_rows(load.cluster, load.app_id)
    assert 0 < sum(count for count, _ in kept.values()) < 40_000
    again = await bump.migrate(1, 2)
    assert (again.exit_code, again.stderr) == (
        1,
        f"eventfleet: version 2 of {load.app_id} has all that version 1 had: there is nothing to migrate\n",
    )
    left = await bump.show(1)
    assert left.exit_code == 1
    assert "was left for version 2" in left.stdout


async def test_an_interrupted_migration_is_done_again_from_its_start(
    bump: Bump, new_workers: NewWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the rows were written when it broke off; rows of it that are no more are taken away."""
    load, commit, commits = bump.load, Transactor.commit, 0
    await _worked_off(bump, new_workers, 3_000)

    async def breaks_off(self: Transactor, *arguments: Any, **named: Any) -> Any:
        nonlocal commits
        commits += 1
        if commits == 3:
            raise Lost("broken off")
        return await commit(self, *arguments, **named)

    monkeypatch.setattr("fleet.lane.moved_rows.ROWS_IN_ONE", 50)
    monkeypatch.setattr(Transactor, "commit", breaks_off)
    first = bump.migration(lambda _, row: row)
    await first.host.prepare(first.agent)
    with pytest.raises(Lost):
        await first.move(0)
    await first.host.topics.close()
    assert len(await table_rows(load.cluster, bump.new.app_id)) == 50
    dropped = min(await table_rows(load.cluster, bump.new.app_id))
    second = bump.migration(lambda key, row: None if key == dropped else row)
    assert await second.left_to_do() == [0, 1, 2, 3]
    for partition in range(PARTITIONS):
        await second.move(partition)
    assert await second.left_to_do() == []
    with pytest.raises(FatalError, match="sum/2 is in version 2 already"):
        await second.move(2)
    await second.host.topics.close()
    old = await table_rows(load.cluster, load.app_id)
    del old[dropped]
    assert await table_rows(load.cluster, bump.new.app_id) == old


async def test_a_migrate_function_that_fails_leaves_the_old_version_working(
    bump: Bump, new_workers: NewWorkers
) -> None:
    """The message names table and row; the old version is not left, nothing of the new one is written."""
    load = bump.load
    workers = await _worked_off(bump, new_workers, 1_000)

    def fails(key: str, row: Any) -> Any:
        return row[key]

    migration = bump.migration(fails)
    await migration.host.prepare(migration.agent)
    with pytest.raises(FatalError, match="table sums: migrate fails on the row of 'M"):
        await migration.move(1)
    await migration.host.topics.close()
    assert await table_rows(load.cluster, bump.new.app_id) == {}
    await load.send(500)
    workers.start()
    await load.consumed()
    await load.check()


async def test_going_back_takes_the_state_along(bump: Bump, new_workers: NewWorkers) -> None:
    """Version 1 goes on with what version 2 has done; then version 2 is the one that was left."""
    load = bump.load
    workers = await _worked_off(bump, new_workers, 1_000)
    assert (await bump.migrate(1, 2)).exit_code == 0
    workers.environment["LANE_VERSION"] = "2"
    worker = workers.start()
    await load.send(700)
    await bump.new.consumed()
    worker.kill()
    assert (await bump.migrate(2, 1)).exit_code == 0
    workers.environment["LANE_VERSION"] = "1"
    workers.start()
    await load.send(300)
    await load.consumed()
    await load.check()
    assert "was left for version 1" in (await bump.show(2)).stdout


async def test_there_is_nothing_to_migrate_where_there_is_nothing(
    bump: Bump, new_workers: NewWorkers
) -> None:
    """An app whose first version is 2 starts by itself; the command says so, and names a wrong target."""
    load = bump.load
    nothing = await bump.migrate(1, 2)
    assert nothing.exit_code == 1
    assert nothing.stderr == (
        f"eventfleet: version 1 of {load.app_id} has no offsets and no state: "
        "there is nothing to migrate: version 2 starts by itself\n"
    )
    wrong = await asyncio.to_thread(
        invoke, state_commands, bump.settings, "migrate", "v2", "--from", "1", "--to", "3", "--yes"
    )
    assert f"the code of {load.app_id} is version 2: use --to 2" in wrong.stderr
    await load.send(500)
    workers = new_workers(load.app_id, load.source)
    workers.environment["LANE_VERSION"] = "2"
    workers.start()
    await bump.new.consumed()
    await bump.new.check()


async def _worked_off(bump: Bump, new_workers: NewWorkers, charges: int) -> Any:
    """Let a worker of version 1 process charges, and kill it."""
    workers = new_workers(bump.load.app_id, bump.load.source)
    await bump.load.send(charges)
    worker = workers.start()
    await bump.load.consumed()
    worker.kill()
    return workers


def test_versions_share_transactional_ids_and_nothing_else() -> None:
    """So the owner of a partition in one version fences the owner in the other."""
    one, two = Version("claims"), Version("claims", 2)
    assert (one.group, two.group) == ("claims", "claims-v2")
    assert one.transactional_id("sum", 3) == two.transactional_id("sum", 3) == "claims-sum-3"
