"""Trap 1 again: what the client sends although Kafka refused the transaction one of its partitions.

The client then forgets which partitions are still to be added, and sends the batches for all of
them. Where the transaction before is still being ended, Kafka takes them for its records, and
they are committed with it: a table then stands past its group's offset, and outputs come twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.producer import sender

from fleet.lane import clients
from fleet.lane.batches import Batches
from fleet.lane.config import LaneConfig
from fleet.lane.errors import NotAuthorized
from fleet.lane.topics import TopicInfo
from fleet.lane.transaction import Transactor
from tests.regression.test_trap_1_failed_batch_stops_the_commit import batch
from tests.support.lane_acl import AUTHORIZER, Operation, allow
from tests.support.lane_broker import Broker
from tests.support.stack import isolated_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.settings import Settings
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

ROUNDS = 40
WHOLE, REFUSED = b"whole", b"refused"
WIDE = 50
"""Partitions of a transaction; it takes a while to end it in all of them."""


@pytest.fixture(scope="module")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a broker that asks an authorizer."""
    settings = isolated_settings(tmp_path_factory.mktemp("authorizing-broker"))
    with Broker.of(settings, AUTHORIZER):
        yield settings


@pytest.fixture
async def topics(cluster: Cluster, unique: Callable[[str], str]) -> tuple[str, str]:
    """A topic that may be written, and one that may be seen alone."""
    out, refused = unique("out"), unique("refused")
    await cluster.create({out: WIDE, refused: 1})
    await allow(cluster, refused, Operation.DESCRIBE)
    return out, refused


async def committed(cluster: Cluster, topics: tuple[str, str]) -> int:
    """Return how many records of transactions that were refused are committed."""
    values = [each.value for each in await cluster.read(topics[0])]
    assert values.count(WHOLE) == ROUNDS * WIDE
    return values.count(REFUSED)


async def test_the_client_alone_commits_what_was_refused(
    cluster: Cluster, topics: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why the lane takes these batches back: some are in the transaction before."""
    as_installed = clients._AddPartitions.__base__
    monkeypatch.setattr(sender, "AddPartitionsToTxnHandler", as_installed)
    out, refused = topics
    for _ in range(ROUNDS):
        async with cluster.producer(transactional_id=out) as producer:
            await producer.partitions_for(refused)
            async with producer.transaction():
                for partition in range(WIDE):
                    await producer.send_batch(batch(producer, WHOLE), out, partition=partition)
            await producer.begin_transaction()
            await producer.send_batch(batch(producer, REFUSED), out, partition=0)
            await producer.send_batch(batch(producer, REFUSED), refused, partition=0)
            with pytest.raises(TopicAuthorizationFailedError):
                await producer._txn_manager.wait_for_transaction_end()
    assert await committed(cluster, topics) > 0


def each_with(value: bytes, partitions: list[tuple[str, int]]) -> Batches:
    """Return batches of one record for each of `partitions`."""
    batches = Batches()
    for topic, partition in partitions:
        batches.add(topic, TopicInfo(WIDE, 1_000_000), partition, None, value)
    batches.close()
    return batches


async def test_what_was_refused_is_not_sent(cluster: Cluster, topics: tuple[str, str]) -> None:
    """None of it is committed, however soon after another transaction it is refused."""
    out, refused = topics
    whole = [(out, partition) for partition in range(WIDE)]
    for _ in range(ROUNDS):
        transactor = Transactor(LaneConfig(bootstrap_servers=cluster.servers), "", out)
        await transactor.fence()
        await transactor._producer.partitions_for(refused)
        await transactor.commit(each_with(WHOLE, whole), {})
        with pytest.raises(NotAuthorized):
            await transactor.commit(each_with(REFUSED, [(out, 0), (refused, 0)]), {})
        transactor.discard()
    assert await committed(cluster, topics) == 0
