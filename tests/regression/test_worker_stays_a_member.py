"""A lane worker never polls its group consumer: an idle member must not leave the group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.consumer.subscription_state import SubscriptionState

from tests.support.lane_app import running_app
from tests.support.lane_load import Load
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.settings import Settings
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

YEAR_S = 365 * 86_400


async def test_a_member_that_has_not_polled_for_a_year_is_one_still(
    cluster: Cluster,
    lane_settings: Settings,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client leaves after max_poll_interval_ms without a poll; heartbeats go on here for all that."""
    heartbeats: list[int] = []

    def idle_s(_: Any) -> int:
        heartbeats.append(1)
        return YEAR_S

    monkeypatch.setattr(SubscriptionState, "fetcher_idle_time", property(idle_s))
    load = await Load.prepared(cluster, unique, seed=10)
    await load.send(200)
    settings = lane_settings.model_copy(update={"session_timeout_s": 4.0})
    async with running_app(load, settings) as app:
        await load.consumed()
        asked_before = len(heartbeats)

        async def asked_again() -> bool:
            return len(heartbeats) >= asked_before + 5

        await until(asked_again, 60, "some heartbeats")
        assert await app.lane.host.membership().confirm()
        assert app.lane.host.generation == 1
        await load.send(200)
        await load.consumed()
    await load.check()
