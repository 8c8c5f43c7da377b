"""What the cluster says of offsets and topics; silence is never taken for an answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError
from aiokafka.structs import TopicPartition

from fleet.lane.config import LaneConfig
from fleet.lane.errors import Lost
from fleet.lane.topics import Position, Topics

TPS = [TopicPartition("source", 0), TopicPartition("source", 1)]


def answering(monkeypatch: pytest.MonkeyPatch, response: Any) -> Topics:
    """Return look-ups whose broker gives `response` to every request."""

    async def answer(*_: Any) -> Any:
        return response

    admin = AIOKafkaAdminClient(bootstrap_servers="127.0.0.1:1")
    monkeypatch.setattr(admin, "_send_request", answer)
    monkeypatch.setattr(admin, "find_coordinator", answer)
    topics = Topics(LaneConfig(bootstrap_servers="127.0.0.1:1"))
    topics._admin = admin
    return topics


@pytest.mark.parametrize("error", [GroupLoadInProgressError, GroupCoordinatorNotAvailableError])
async def test_a_coordinator_that_cannot_say_is_not_taken_for_no_offset(
    monkeypatch: pytest.MonkeyPatch, error: type[Any]
) -> None:
    """The client drops an error of the whole answer: read as "none", the source would be done twice."""
    topics = answering(monkeypatch, SimpleNamespace(error_code=error.errno, topics=[]))
    admin: Any = await topics.admin()
    assert await admin.list_consumer_group_offsets("group", partitions=TPS) == {}
    with pytest.raises(Lost, match="no offset of source/0, source/1"):
        await topics.positions("group", TPS)


async def test_a_partition_without_offset_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka answers -1 for a partition on which the group never committed."""
    answer = SimpleNamespace(error_code=0, topics=[("source", [(0, 17, "", 0), (1, -1, "", 0)])])
    assert await answering(monkeypatch, answer).positions("group", TPS) == {
        TPS[0]: Position(17, ""),
        TPS[1]: None,
    }
