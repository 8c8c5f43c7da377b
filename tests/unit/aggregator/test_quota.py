"""What is over its quota is paused, with a reason that says what to do."""

from __future__ import annotations

import msgspec
import pytest

from agents.aggregator.domain.plan import Compiled
from agents.aggregator.domain.quotas import Share, share_of
from agents.aggregator.domain.rows import Progress, build_key
from agents.aggregator.quota import QuotaWatch
from fleet.errors import TransientError
from fleet.lane.stores import MemoryStore
from tables.aggregations.definition import Limits, State
from tests.support.aggregate_definitions import a_build, a_plan

PARTITIONS = 2


class Paused:
    """What was paused, and why."""

    def __init__(self) -> None:
        self.reasons: dict[tuple[str, int], str] = {}
        self.fails_for = ""

    async def __call__(self, name: str, number: int, reason: str) -> bool:
        """Pause an aggregation."""
        if name == self.fails_for:
            raise TransientError("Kafka does not answer")
        self.reasons[name, number] = reason
        return True


def watch(
    paused: Paused, *builds: Compiled, over: bool = True, keys: int = 0, size_bytes: int = 0
) -> QuotaWatch:
    """Return a watch over one partition, in which all builds have got that far."""
    row = Progress(over_quota=over, keys=keys, size_bytes=size_bytes).row()
    store = MemoryStore(
        {build_key(1, build.id): row for build in builds} | {build_key(1, ""): {"updates": ""}}
    )
    return QuotaWatch(lambda: {1: store}, lambda: a_plan(*builds), PARTITIONS, paused)


def limited(name: str = "by-provider", *, max_keys: int = 100, max_state_mib: int = 1) -> Compiled:
    """Return a build with limits."""
    return a_build(name=name, limits={"max_keys": max_keys, "max_state_mib": max_state_mib})


def test_a_partition_has_its_share_and_a_quarter_more() -> None:
    """Rounded up, and at least one key."""
    assert share_of(Limits(max_keys=100, max_state_mib=1), 6) == Share(21, 218_454)
    assert share_of(Limits(max_keys=1), 100).keys == 1
    assert share_of(Limits(max_keys=1_000_000), 1).keys == 1_250_000


@pytest.mark.parametrize(
    ("keys", "size_bytes", "said"),
    [(63, 0, "raise limits.max_keys"), (0, 700_000, "raise limits.max_state_mib")],
)
async def test_what_refuses_new_keys_is_paused(keys: int, size_bytes: int, said: str) -> None:
    """The reason names the build, what it keeps, and the limit to be raised."""
    paused = Paused()
    await watch(paused, limited(), keys=keys, size_bytes=size_bytes).look()
    (reason,) = paused.reasons.values()
    assert paused.reasons.keys() == {("by-provider", 1)}
    assert reason.startswith("over quota: build 1 keeps ")
    assert said in reason


async def test_what_has_room_by_the_limits_of_now_goes_on() -> None:
    """Whether nothing was refused, or the limits were raised since, or it is paused already."""
    paused = Paused()
    await watch(paused, limited(), over=False, keys=1_000).look()
    await watch(paused, limited(max_keys=10_000), keys=1_000).look()
    build = limited()
    stopped = msgspec.structs.replace(build.definition, state=State.PAUSED)
    await watch(paused, Compiled(build.id, stopped, build.build), keys=1_000).look()
    assert paused.reasons == {}


async def test_one_that_cannot_be_paused_keeps_none_from_being_paused() -> None:
    """The next round tries it again."""
    paused = Paused()
    watching = watch(paused, limited("one"), limited("two"), keys=1_000)
    paused.fails_for = "one"
    await watching.look()
    assert paused.reasons.keys() == {("two", 1)}
    paused.fails_for = ""
    await watching.look()
    assert paused.reasons.keys() == {("one", 1), ("two", 1)}
