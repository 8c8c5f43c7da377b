"""Several gateway processes change one rule at a time: no change is lost, none is done twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleet.settings import Settings
from tests.support.api import Api
from tests.support.gateways import Gateway, gateways
from tests.support.polling import until

WRITERS = 4
INCREMENTS = 15
BEGIN_LIMIT_S = 60.0


def counter(name: str) -> dict[str, Any]:
    """Return a rule whose description is a number, to be counted up."""
    plain = {"name": name, "owner": "team", "source": "canonical.claim", "targets": ["team.x"]}
    return {**plain, "description": "0"}


async def count_up(gateway: Gateway, name: str, done: list[int], times: int) -> None:
    """Count the rule up by compare-and-set, `times` times, and note each version that was acknowledged."""
    left = times
    while left:
        status, rule = await gateway.ask("GET", f"/routes/{name}")
        if status == 0 and gateway.process.poll() is not None:
            return
        assert status == 200
        new = {**rule, "description": str(int(rule["description"]) + 1)}
        match = {"If-Match": f'"{rule["version"]}"'}
        status, answer = await gateway.ask("PUT", f"/routes/{name}", json=new, headers=match)
        if status == 200:
            done.append(answer["version"])
            left -= 1
        elif status == 409:
            assert answer["version"] > rule["version"]
        elif status != 503:
            assert status == 0
            assert gateway.process.poll() is not None
            return


async def audited(api: Api, name: str) -> list[Any]:
    """Return the audit records of a rule, oldest first, after checking the whole chain."""
    page = (await api.ask("GET", "/audit/routes", params={"name": name, "limit": "1000"})).body
    assert page["chain"]["intact"], page["chain"]["broken"]
    return list(reversed(page["records"]))


async def test_racing_writers_lose_nothing(
    stack_settings: Settings, api: Api, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """Four processes count one rule up by fifteen each: sixty versions, each once, the chain unbroken."""
    name = unique("raced")
    assert (await api.ask("POST", "/routes", counter(name))).status == 201
    done: list[int] = []
    with gateways(stack_settings, tmp_path, api.token) as started:
        writers = await started.start(WRITERS)
        began = time.monotonic()
        await asyncio.gather(*(count_up(each, name, done, INCREMENTS) for each in writers))
        seconds = time.monotonic() - began
    print(f"{len(done)} changes by {WRITERS} processes in {seconds:.1f} s")  # noqa: T201 - for people
    final = (await api.ask("GET", f"/routes/{name}")).body
    assert (final["version"], final["description"]) == (61, "60")
    assert sorted(done) == list(range(2, 62))
    assert [each["version_after"] for each in await audited(api, name)] == list(range(1, 62))


async def test_a_writer_killed_in_the_middle_leaves_a_whole_table(
    stack_settings: Settings, api: Api, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """The others go on; what the dead one had acknowledged is there, and its last change is whole or not."""
    name = unique("killed")
    assert (await api.ask("POST", "/routes", counter(name))).status == 201
    done: list[int] = []
    with gateways(stack_settings, tmp_path, api.token) as started:
        victim, *others = await started.start(3)
        of_victim: list[int] = []
        dying = asyncio.ensure_future(count_up(victim, name, of_victim, 10_000))
        living = [asyncio.ensure_future(count_up(each, name, done, INCREMENTS)) for each in others]

        async def has_begun() -> bool:
            return len(of_victim) >= 3

        await until(has_begun, BEGIN_LIMIT_S, "three changes of the one to be killed")
        victim.kill()
        await asyncio.gather(dying, *living)
    final = (await api.ask("GET", f"/routes/{name}")).body
    changes = final["version"] - 1
    acknowledged = len(done) + len(of_victim)
    assert acknowledged <= changes <= acknowledged + 1
    assert final["description"] == str(changes)
    records = await audited(api, name)
    assert [each["version_after"] for each in records] == list(range(1, final["version"] + 1))
    assert {*done, *of_victim} <= {each["version_after"] for each in records}
