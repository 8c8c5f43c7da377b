"""Requests and answers are lost or late: the worker finds out what happened, and never guesses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.kafka_proxy import Api, KafkaProxy, Trouble
from tests.support.lane_load import EVENTS, LIMIT_S, Load
from tests.support.polling import until
from tests.support.together import together

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.settings import Settings
    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

PER_SECOND = 500
AT_THE_START = (Api.INIT_PRODUCER_ID, Api.OFFSET_FETCH, Api.LIST_OFFSETS)
AMID_THE_WORK = (
    Api.PRODUCE,
    Api.ADD_PARTITIONS,
    Api.ADD_OFFSETS,
    Api.TXN_OFFSET_COMMIT,
    Api.END_TXN,
    Api.HEARTBEAT,
)


async def test_lost_and_late_requests_leave_exact_results(
    stack_settings: Settings, cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """Every kind of trouble, in an app of its own, strikes every kind of request in turn."""

    async def story(trouble: Trouble) -> None:
        seed = 20260140 + list(Trouble).index(trouble)
        load = await Load.prepared(cluster, unique, seed=seed, poison_share=0.01)
        workers = new_workers(load.app_id, load.source)
        with KafkaProxy(stack_settings.kafka_port) as proxy:
            workers.environment["LANE_VIA"] = f"{stack_settings.kafka_port}:{proxy.port}"
            faults = [proxy.arm(api, trouble) for api in AT_THE_START]
            async with load.flowing(PER_SECOND):
                worker = workers.start()
                for fault in faults:
                    await until(fault.happened, LIMIT_S, f"{fault}")
                await load.live([worker], f"trouble at the start: {trouble}")
                for api in AMID_THE_WORK:
                    fault = proxy.arm(api, trouble)
                    await until(fault.happened, LIMIT_S, f"{fault}")
                    await load.live([worker], f"{api.name}: {trouble}")
            await load.send(EVENTS // 100)
            await load.consumed()
        await load.check()

    await together({trouble: story(trouble) for trouble in Trouble}, at_once=len(Trouble))
