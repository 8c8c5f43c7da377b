"""A worker dies while a rule changes and events flow: each event is routed once, by one version."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.support.agents_claims import a_claim
from tests.support.agents_fleet import CANONICAL, PARTITIONS, SUBJECT, Fleet
from tests.support.agents_rules import seen
from tests.support.api import open_api
from tests.support.polling import until

EVENTS = 3_000
LATER = 60
CHANGES = 9
LIMIT_S = 120.0


class Sending:
    """Sends events of one batch, in the background.

    Args:
        fleet: Where to.
        batch: Attribute that tells the batch.
        value: Value of each event.
    """

    def __init__(self, fleet: Fleet, batch: str, value: bytes) -> None:
        self._fleet = fleet
        self._headers = [("ce_type", CANONICAL.encode()), ("ce_batch", batch.encode())]
        self._value = value
        self.sent = 0

    async def send(self, count: int) -> None:
        """Send so many, each with an id of its own, spread over all partitions."""
        async with self._fleet.cluster.producer() as producer:
            for _ in range(count):
                headers = [("ce_id", b"%d" % self.sent), *self._headers]
                await producer.send(CANONICAL, self._value, partition=self.sent % PARTITIONS, headers=headers)
                self.sent += 1
                await asyncio.sleep(0)


async def copies_of(fleet: Fleet, topics: list[str]) -> list[tuple[bytes, bytes, str]]:
    """Return id, rule and topic of each copy in `topics`."""
    found = []
    for topic in topics:
        for record in await fleet.cluster.read(topic):
            headers = dict(record.headers)
            found.append((headers["ce_id"], headers["fleet_rule"], topic))
    return found


async def test_a_worker_killed_amid_rule_changes_loses_and_doubles_nothing(
    fleet: Fleet, unique: Callable[[str], str]
) -> None:
    """Versions take turns between two topics: one alone decides an event, and the last one stays."""
    name = unique("turns")
    topics = [unique("team.even"), unique("team.odd")]
    await fleet.cluster.create(dict.fromkeys(topics, PARTITIONS))
    async with fleet.codec() as codec:
        sending = Sending(fleet, name, codec.encode(SUBJECT, a_claim(charge="5.00")))
    rule: dict[str, Any] = {"name": name, "owner": "team", "source": CANONICAL, "state": "active"}
    rule["condition"] = f'attributes.batch == "{name}"'
    other = fleet.start("router")
    try:
        async with open_api(fleet.settings) as api:
            made = await api.ask("POST", "/routes", {**rule, "targets": [topics[1]]})
            assert made.status == 201
            await until(lambda: seen([fleet.workers["router"]], name), LIMIT_S, "the rule")
            await fleet.shared("router", other)
            flow = asyncio.ensure_future(sending.send(EVENTS))
            for version in range(2, CHANGES + 1):
                if version == CHANGES // 2:
                    other.kill()
                body = {**rule, "version": version - 1, "targets": [topics[version % 2]]}
                changed = await api.ask("PUT", f"/routes/{name}", body)
                assert (changed.status, changed.body["version"]) == (200, version)
            await flow

            async def is_last() -> bool:
                return [each["version"] for each in await seen([fleet.workers["router"]], name)] == [CHANGES]

            await fleet.holds_all(fleet.workers["router"])
            await until(is_last, LIMIT_S, "the last version")
            await sending.send(LATER)

            async def all_copied() -> list[tuple[bytes, bytes, str]]:
                found = await copies_of(fleet, topics)
                return found if len({copy[0] for copy in found}) == sending.sent else []

            copies = await until(all_copied, LIMIT_S, "a copy of each event")
            await api.ask("DELETE", f"/routes/{name}", headers={"If-Match": f'"{CHANGES}"'})
    finally:
        other.kill()
        await fleet.holds_all(fleet.workers["router"])
    assert {copy_id for copy_id, count in Counter(copy[0] for copy in copies).items() if count > 1} == set()
    for copy_id, label, topic in copies:
        version = int(re.fullmatch(rf"{re.escape(name)}@(\d+)", label.decode())[1])  # type: ignore[index] # it matches
        assert topic == topics[version % 2]
        assert int(copy_id) < EVENTS or version == CHANGES
    print("copies by version:", dict(Counter(copy[1].decode() for copy in copies)))  # noqa: T201 - for people
