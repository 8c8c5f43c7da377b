"""How routers have a rule, and what must not change with one."""

from __future__ import annotations

import re
from typing import Any

from tests.support.agents_fleet import Fleet
from tests.support.agents_views import ask
from tests.support.lane_processes import Worker


async def standing(fleet: Fleet, routers: list[Worker]) -> Any:
    """Return all that must not change with a rule: processes, members and their partitions, generations."""
    async with fleet.cluster.admin() as admin:
        ((group,),) = (each.groups for each in await admin.describe_consumer_groups(["router"]))
    _, _, state, _, _, members, *_ = group
    assert (state, len(members)) == ("Stable", 2)
    joined = [re.findall(r"with generation (\d+)", worker.said()) for worker in routers]
    assert all(joined)
    return [worker.process.poll() for worker in routers], sorted(members), joined


async def seen(routers: list[Worker], name: str) -> list[Any]:
    """Return how each router has the rule `name`; empty where one has it not."""
    answers = [(await ask(worker, "/routes")).body for worker in routers]
    found = [[each for each in answer["rules"] if each["name"] == name] for answer in answers]
    return [each[0] for each in found] if all(found) else []
