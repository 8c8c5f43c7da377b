"""Whether the fleet can work: broker, registry and each worker, asked at the same time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from yarl import URL

from fleet.lane.bounded import bounded
from fleet.lane.errors import Lost
from gateway.metrics import PART_UP

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from fleet.settings import Settings
    from gateway.parts import Worker

LIMIT_S = 2.0
"""Bound on the whole check, shorter than a prober's patience."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a part answered.

    Attributes:
        part: Name of the part.
        reasons: Why it is not ready; empty when it is.
    """

    part: str
    reasons: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether the part can do its work."""
        return not self.reasons


class Readiness:
    """Asks the parts of the fleet how they are.

    Args:
        settings: Where broker and registry are.
        workers: The workers.
        session: HTTP client; its owner closes it.
    """

    def __init__(
        self, settings: Settings, workers: tuple[Worker, ...], session: aiohttp.ClientSession
    ) -> None:
        self._settings = settings
        self._workers = workers
        self._session = session

    async def check(self) -> list[Verdict]:
        """Return one verdict a part, within `LIMIT_S` seconds, whatever the parts do."""
        verdicts = await asyncio.gather(
            self._within("broker", self._broker()),
            self._within("registry", self._registry()),
            *(self._within(worker.name, self._worker(worker)) for worker in self._workers),
        )
        for verdict in verdicts:
            PART_UP.labels(verdict.part).set(verdict.is_ready)
        return verdicts

    async def _within(self, part: str, asking: Coroutine[None, None, tuple[str, ...]]) -> Verdict:
        try:
            return Verdict(part, await bounded(asking, LIMIT_S, part))
        except (Lost, TimeoutError):
            return Verdict(part, (f"no answer within {LIMIT_S:g} s",))
        except aiohttp.ClientConnectorError as error:
            return Verdict(part, (f"nothing answers at {error.host}:{error.port}",))
        except KafkaConnectionError:
            return Verdict(part, (f"nothing answers at {self._settings.kafka}",))
        except (KafkaError, aiohttp.ClientError, OSError) as error:
            return Verdict(part, (f"{type(error).__name__}: {' '.join(str(error).split())}",))

    async def _broker(self) -> tuple[str, ...]:
        client = AIOKafkaClient(
            bootstrap_servers=self._settings.kafka, request_timeout_ms=int(LIMIT_S * 1000)
        )
        try:
            await client.bootstrap()
            return () if client.cluster.brokers() else ("Kafka names no brokers",)
        finally:
            await client.close()

    async def _registry(self) -> tuple[str, ...]:
        async with self._session.get(URL(self._settings.registry) / "config") as answer:
            return () if answer.ok else (f"HTTP {answer.status} from {answer.url}",)

    async def _worker(self, worker: Worker) -> tuple[str, ...]:
        async with self._session.get(URL(worker.url) / "health/ready") as answer:
            if answer.ok:
                return ()
            try:
                said = [str(reason) for reason in (await answer.json())["reasons"]]
            except (aiohttp.ContentTypeError, ValueError, KeyError, TypeError):
                said = []
            return tuple(said) or (f"HTTP {answer.status} from {answer.url}",)
