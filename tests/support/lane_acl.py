"""A broker that asks an authorizer, and what it lets everybody do."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest

if TYPE_CHECKING:
    from tests.support.lane_kafka import Cluster

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
EVERYBODY = "User:*"
NOBODY = "User:nobody"
_TOPIC, _LITERAL, _ALLOW = 2, 3, 3


class Operation(IntEnum):
    """Kafka's codes of what may be done with a topic."""

    READ = 3
    WRITE = 4
    DESCRIBE = 8


async def allow(cluster: Cluster, topic: str, operation: Operation, to: str = EVERYBODY) -> None:
    """Let `to` do this with `topic`; from its first ACL on nothing else may be done with it."""
    request = CreateAclsRequest(_TOPIC, topic, _LITERAL, to, "*", int(operation), _ALLOW)
    async with cluster.admin() as admin:
        answer = await admin._send_to_controller(request)
    for code, text in answer.creation_responses:
        assert code == 0, f"{for_code(code).__name__} {text}"
