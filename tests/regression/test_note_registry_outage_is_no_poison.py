"""Field note: with the usual codec a registry that is down makes good events poison, and lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from faust.exceptions import ValueDecodeError
from faust.serializers.registry import Registry
from schema_registry.client import SchemaRegistryClient, schema
from schema_registry.serializers.faust import FaustSerializer

from tests.support.stack import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable

EVENT = b"\x00\x00\x00\x00\x07\x02"


def test_the_usual_codec_calls_an_outage_a_bad_value(unique: Callable[[str], str]) -> None:
    """Faust throws `ValueDecodeError`, with which it acks the event: nobody reads it again.

    Its client is synchronous too: no other task of the worker runs meanwhile. The lane's half is
    `tests/integration/agents/test_registry_outage.py`: the partition pauses, nothing is set aside.
    """
    (port,) = free_ports(1)
    client = SchemaRegistryClient(url=f"http://127.0.0.1:{port}")
    record = schema.AvroSchema('{"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]}')
    codec = FaustSerializer(client, unique("subject"), record)
    with pytest.raises(ValueDecodeError):
        Registry().loads_value(None, EVENT, serializer=codec)
    assert not asyncio.iscoroutinefunction(codec.message_serializer.decode_message)
