"""``eventfleet state`` on a real worker that halts, and goes on after a person decided."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition
from typer.testing import Result

from fleet.cli.state import APPS
from fleet.cli.state import app as state_commands
from fleet.settings import Settings
from tests.support.commands import invoke
from tests.support.lane_kafka import Cluster
from tests.support.lane_ledger import Ledger, table_rows
from tests.support.lane_processes import Worker, Workers
from tests.support.lane_worker import new_app, topics_of
from tests.support.polling import until

PARTITIONS = 2
LIMIT_S = 30
SESSION_TIMEOUT_S = 6.0


@pytest.fixture
def cluster(stack_settings: Settings) -> Cluster:
    """The real broker."""
    return Cluster(stack_settings.kafka)


@pytest.fixture
def workers(
    stack_settings: Settings,
    tmp_path: Path,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Workers]:
    """Workers of an app of this test alone, which the command knows by its name."""
    short = stack_settings.model_copy(update={"session_timeout_s": SESSION_TIMEOUT_S})
    made = Workers(short, tmp_path, unique("sum"), unique("charges"))
    monkeypatch.setitem(APPS, made.app_id, lambda: new_app(made.app_id, 6066, made.source))
    yield made
    made.end()


class Story:
    """One app's life: charges in, workers up and down, commands in between."""

    def __init__(self, cluster: Cluster, workers: Workers) -> None:
        self.cluster = cluster
        self.workers = workers
        self.app_id = workers.app_id
        self.source = workers.source
        self.ledger = Ledger(seed=7)

    async def begin(self) -> None:
        """Let a worker process the first charges, and stop it."""
        await self.cluster.create(topics_of(self.source, PARTITIONS))
        await self.send(400)
        worker = await self.up()
        await self.consumed()
        await self.down(worker)

    async def send(self, count: int) -> None:
        """Publish more charges."""
        await self.cluster.send(self.source, self.ledger.charges(count), partitions=PARTITIONS)

    async def up(self) -> Worker:
        """Start a worker."""
        return (await self.workers.all_ready(1))[0]

    async def down(self, worker: Worker) -> None:
        """Stop a worker in order."""
        worker.signal(signal.SIGTERM)
        assert await worker.ended(LIMIT_S) == 0

    async def consumed(self) -> None:
        """Wait until every charge is processed."""
        await until(lambda: self.cluster.consumed(self.app_id, self.source), LIMIT_S, "all consumed")

    async def halted(self) -> tuple[Worker, str]:
        """Start a worker and wait until its task 0 has halted; return why it did."""
        worker = self.workers.start()

        async def reason() -> str:
            return next((t["reason"] for t in await worker.tasks() if t["status"] == "halted"), "")

        return worker, await until(reason, LIMIT_S, "halted")

    async def command(self, name: str, *arguments: str, answer: str = "") -> Result:
        """Run ``eventfleet state <name> <app>``."""
        settings = self.workers.settings
        return await asyncio.to_thread(
            invoke, state_commands, settings, name, self.app_id, *arguments, answer=answer
        )

    async def reset_group(self, offset: int) -> None:
        """Set the group's offset of partition 0 behind the worker's back, as an operator might."""
        consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=self.cluster.servers, group_id=self.app_id, enable_auto_commit=False
        )
        await consumer.start()
        try:
            tp = TopicPartition(self.source, 0)
            consumer.assign([tp])
            await consumer.commit({tp: offset})
        finally:
            await consumer.stop()

    async def committed(self) -> int:
        """Return the group's offset of partition 0."""
        return (await self.cluster.committed(self.app_id, self.source))[0]

    async def delete_before(self, offset: int) -> None:
        """Let Kafka delete the records of partition 0 before `offset`, as its retention does."""
        async with self.cluster.admin() as admin:
            await admin.delete_records({TopicPartition(self.source, 0): RecordsToDelete(offset)})


@pytest.fixture
def story(cluster: Cluster, workers: Workers) -> Story:
    """An app of this test alone."""
    return Story(cluster, workers)


async def test_a_reset_group_halts_the_task_until_its_state_is_adopted(story: Story) -> None:
    """Going on would count all twice, so the task halts with one line; after `adopt` sums are exact."""
    await story.begin()
    stood_at = await story.committed()
    assert stood_at > 0
    agreed = await story.command("show")
    assert (agreed.exit_code, agreed.stdout.splitlines()[-1]) == (0, "all agree")

    await story.reset_group(0)
    await story.send(100)
    worker, reason = await story.halted()
    where = f"{story.source}/0"
    difference = f"table sums stands at offset {stood_at} of {where}, the group at 0"
    assert reason == f"{difference}: see `eventfleet state show`, then `eventfleet state adopt`"
    assert worker.said().count("sum/0 is halted") == 1
    assert (await worker.ask("/health/ready"))[0] == 503

    shown = await story.command("show")
    assert shown.exit_code == 1
    assert difference in shown.stdout
    assert "1 do not agree" in shown.stdout
    refused = await story.command("adopt", "--partition", "0", "--yes")
    assert refused.exit_code == 1
    assert refused.stderr == (
        f"eventfleet: {story.app_id} has 1 running worker: stop them first; "
        "a killed one counts until its session times out\n"
    )
    await story.down(worker)

    declined = await story.command("adopt", "--partition", "0", answer="n\n")
    assert declined.exit_code == 1
    assert await story.committed() == 0
    adopted = await story.command("adopt", "--partition", "0", answer="y\n")
    assert adopted.exit_code == 0, adopted.stderr
    assert f"{where}: the group goes from 0 to {stood_at}" in adopted.stdout
    assert await story.committed() == stood_at
    again = await story.command("adopt", "--partition", "0", "--yes")
    assert again.stderr == "eventfleet: sum/0: group and tables agree: there is nothing to adopt\n"

    await story.up()
    await story.consumed()
    await story.ledger.check(story.cluster, story.app_id, story.source)


async def test_a_loss_is_skipped_only_when_accepted(story: Story) -> None:
    """Records deleted unprocessed halt the task; after `skip` it goes on with those that are left."""
    await story.begin()
    stood_at = await story.committed()
    await story.send(300)
    deleted_to = stood_at + 20
    lost = [
        record
        for record in await story.cluster.read(story.source)
        if record.partition == 0 and stood_at <= record.offset < deleted_to
    ]
    await story.delete_before(deleted_to)
    worker, reason = await story.halted()
    assert reason.startswith(f"{story.source}/0: offsets {stood_at} to {deleted_to - 1} were deleted before")
    wrong = await story.command("adopt", "--partition", "0", "--yes")
    assert wrong.exit_code == 1

    skipped = await story.command("skip", "--partition", "0", "--yes")
    assert skipped.exit_code == 0, skipped.stderr
    assert f"offsets {stood_at} to {deleted_to - 1} are lost, at most 20 records" in skipped.stdout
    await story.consumed()  # The halted worker goes on by itself.
    assert (await story.command("show")).exit_code == 0
    await story.down(worker)
    gone = {orjson.loads(record.value)["id"] for record in lost}
    events = [
        orjson.loads(record.value)
        for suffix in "ab"
        for record in await story.cluster.read(f"{story.source}-{suffix}")
    ]
    assert sorted(event["id"] for event in events) == sorted(set(range(700)) - gone)
    sums: dict[str, tuple[int, Decimal]] = {}
    for event in events:
        count, total = sums.get(event["member"], (0, Decimal(0)))
        sums[event["member"]] = count + 1, total + Decimal(event["charge"])
    assert await table_rows(story.cluster, story.app_id) == sums
    nothing = await story.command("skip", "--partition", "0", "--yes")
    assert nothing.stderr == "eventfleet: sum/0: nothing was deleted unprocessed: there is nothing to skip\n"


async def test_what_was_agreed_to_is_not_written_once_things_have_moved(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else sets the offset between the question and the answer: refused, and left as it is."""
    await story.begin()
    await story.reset_group(0)

    def hesitate(*_: object, **__: object) -> bool:
        asyncio.run(story.reset_group(1))
        return True

    monkeypatch.setattr(typer, "confirm", hesitate)
    refused = await story.command("adopt", "--partition", "0")
    assert refused.exit_code == 1
    moved = "sum/0 has moved since it was shown: see `eventfleet state show`"
    assert refused.stderr == f"eventfleet: {moved}\n"
    assert await story.committed() == 1


async def test_a_partition_that_is_not_there_is_one_line(story: Story) -> None:
    """The message names the partitions there are."""
    await story.cluster.create(topics_of(story.source, PARTITIONS))
    missing = await story.command("skip", "--partition", "9", "--yes")
    assert (missing.exit_code, missing.stderr) == (1, "eventfleet: no partition 9: sum has 0 to 1\n")
    new = await story.command("show")
    assert new.exit_code == 0
    assert new.stdout.splitlines()[-1] == "all agree"
