"""The demonstration: publish real and generated files, wait until all is through, reconcile."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiokafka.structs import TopicPartition

from agents.normalizer.ledger import Ledger, count_and_sum
from agents.normalizer.normalize import NO_NPI
from fleet.cli.run.aggregates import BY_DAY, BY_PROVIDER, Aggregates, ByProvider, checks, minus, plus, total
from fleet.cli.run.late import LATE, late_of, sums_of
from fleet.cli.run.outcome import Check, Outcome
from fleet.cli.run.processes import Fleet
from fleet.cli.run.publish import TOPIC, RawFile, generated_files, publish, real_files
from fleet.errors import FatalError
from fleet.lane.config import LaneConfig
from fleet.lane.dead_letters import reason_of
from fleet.lane.reading import end_offsets, read_all
from fleet.settings import Settings
from schemas.catalogue import load_catalogue
from schemas.codec import Codec
from schemas.registry import Registry

CANONICAL = "canonical.claim"
NOT_OF_TEAMS = frozenset({"raw", "canonical", "fleet", "aggregates"})
NO_PROGRESS_LIMIT_S = 60.0
POLL_S = 0.3
TOP = 5
PROGRESS_EVERY = 25

Say = Callable[[str], Any]


@dataclass(slots=True)
class Mark:
    """How things stood before the run.

    Attributes:
        offsets: Ends of the topics that are watched.
        routed: What the router had counted.
        aggregated: Sums of each provider, by aggregation.
    """

    offsets: dict[TopicPartition, int]
    routed: dict[str, int]
    aggregated: dict[str, ByProvider]


class Demonstration:
    """One run over a fleet.

    Args:
        config: Settings.
        fleet: The running processes.
        token: A key to the API.
        say: Prints a line of progress.
    """

    def __init__(self, config: Settings, fleet: Fleet, token: str, say: Say) -> None:
        self._config = config
        self._lane = LaneConfig.of(config)
        self._fleet = fleet
        self._aggregates = Aggregates(fleet, token)
        self._say = say
        names = [spec.name for spec in load_catalogue().specs()]
        self._dead_letters = [name for name in names if name.startswith("fleet.dead-letters.")]
        self._teams = [name for name in names if name.split(".")[0] not in NOT_OF_TEAMS]
        self._watched = [TOPIC, CANONICAL, LATE, *self._dead_letters, *self._teams]
        self._ledger = Ledger()
        self._files = 0

    async def run(self, claims: int, seed: int) -> Outcome:
        """Publish in two phases, oldest events first, and return what happened."""
        self._say(f"Generating {claims:,} claims (seed {seed})")
        generated = await asyncio.to_thread(lambda: list(generated_files(claims, seed)))
        await self._live()
        before = await self._mark()
        started = time.monotonic()
        await self._phase("sample files", real_files(), before)
        await self._phase("generated files", generated, before)
        seconds = time.monotonic() - started
        return await self._reconcile(before, seconds)

    async def _mark(self) -> Mark:
        return Mark(
            await end_offsets(self._lane, self._watched),
            await self._get("router", "/routed"),
            await self._sums(),
        )

    async def _get(self, name: str, path: str) -> Any:
        return await asyncio.to_thread(self._fleet.get, name, path)

    async def _live(self) -> None:
        """Wait until the aggregations have heard of every partition: what comes now is in them."""
        names = (BY_PROVIDER, BY_DAY)
        await self._until(self._live_count, len(names), "aggregations live")

    async def _live_count(self) -> int:
        return sum([await self._aggregates.is_live(name) for name in (BY_PROVIDER, BY_DAY)])

    async def _sums(self) -> dict[str, ByProvider]:
        return {name: await self._aggregates.sums(name) for name in (BY_PROVIDER, BY_DAY)}

    async def _phase(self, title: str, files: list[RawFile], before: Mark) -> None:
        done = 0
        async for file in publish(self._config, files):
            done += 1
            if file.good:
                self._enter(file)
            if done % PROGRESS_EVERY == 0 or done == len(files):
                self._say(f"Published {done} of {len(files)} {title}")
        self._files += done
        await self._settle(before)

    def _enter(self, file: RawFile) -> None:
        found = count_and_sum(file.content)
        self._ledger.claims += found.claims
        self._ledger.total += found.total
        for npi, charges in found.by_provider.items():
            self._ledger.by_provider[npi or NO_NPI] += charges
            self._ledger.claims_by_provider[npi or NO_NPI] += found.claims_by_provider[npi]

    async def _settle(self, before: Mark) -> None:
        """Wait until every published file is through to the aggregates."""
        ends = await end_offsets(self._lane, [TOPIC])
        await self._until(lambda: self._normalized(ends, before), self._files, "files read by the normalizer")
        made = len(await self._since(before, [CANONICAL]))
        await self._until(lambda: self._routed(before), made, "claims routed")
        await self._until(lambda: self._aggregated(before), made, "claims aggregated")

    async def _until(self, count: Callable[[], Any], target: int, what: str) -> None:
        found, moved_at, said_at = -1, time.monotonic(), time.monotonic()
        while True:
            now = await count()
            if now >= target:
                self._say(f"  {now:,} {what}")
                return
            self._fleet.require_alive()
            if now != found:
                found, moved_at = now, time.monotonic()
            if time.monotonic() - said_at > 2:  # noqa: PLR2004 - seconds between lines
                self._say(f"  {now:,} of {target:,} {what}")
                said_at = time.monotonic()
            if time.monotonic() - moved_at > NO_PROGRESS_LIMIT_S:
                message = f"no progress for {NO_PROGRESS_LIMIT_S:.0f} s at {now:,} of {target:,} {what}"
                raise FatalError(message, hint=f"see {self._config.data_dir / 'logs'}")
            await asyncio.sleep(POLL_S)

    async def _normalized(self, ends: dict[TopicPartition, int], before: Mark) -> int:
        tasks = (await self._get("normalizer", "/lane"))["tasks"]
        at = {(topic, task["partition"]): offset for task in tasks for topic, offset in task["next"].items()}
        reached = ((tp, min(at.get((tp.topic, tp.partition), 0), end)) for tp, end in ends.items())
        return sum(max(0, offset - before.offsets[tp]) for tp, offset in reached)

    async def _routed(self, before: Mark) -> int:
        return _delta(await self._get("router", "/routed"), before.routed, "(events)")

    async def _aggregated(self, before: Mark) -> int:
        """Return how many claims are through to every aggregation."""
        dead = sum(
            n for (agent, _), n in (await self._dead(before)).items() if agent.startswith("aggregator")
        )
        return min(total(sums).claims for sums in (await self._found(before)).values()) + dead

    async def _found(self, before: Mark) -> dict[str, ByProvider]:
        """Return what each aggregation has of this run: by day with what came too late for its day."""
        now = await self._sums()
        since = {name: minus(now[name], before.aggregated[name]) for name in now}
        return {**since, BY_DAY: plus(since[BY_DAY], await self._late(before))}

    async def _since(self, before: Mark, topics: list[str]) -> list[Any]:
        start = {tp: offset for tp, offset in before.offsets.items() if tp.topic in topics}
        return await read_all(self._lane, topics, start)

    async def _late(self, before: Mark) -> ByProvider:
        """Return what came too late for its day."""
        build = await self._aggregates.serving(BY_DAY)
        records = late_of(build, await self._since(before, [LATE]))
        async with Registry(self._config.registry) as registry:
            return await sums_of(build, records, Codec(registry))

    async def _dead(self, before: Mark) -> dict[tuple[str, str], int]:
        letters = [reason_of(record.headers) for record in await self._since(before, self._dead_letters)]
        return dict(Counter((letter["agent"], letter["reason"]) for letter in letters))

    async def _reconcile(self, before: Mark, seconds: float) -> Outcome:
        routed = await self._get("router", "/routed")
        copies = Counter(record.topic for record in await self._since(before, self._teams))
        outcome = Outcome(
            files=self._files,
            claims=self._ledger.claims,
            charges=self._ledger.total,
            canonical=len(await self._since(before, [CANONICAL])),
            dead_letters=await self._dead(before),
            routed=dict(copies),
            unmatched=_delta(routed, before.routed, "(unmatched)"),
            late=total(await self._late(before)).claims,
            top=await self._aggregates.top(TOP),
            seconds=seconds,
        )
        outcome.checks = [
            Check("claims in the files = canonical events", outcome.claims, outcome.canonical),
            Check(
                "canonical events = matched + unmatched + dead letters",
                outcome.canonical,
                sum(
                    _delta(routed, before.routed, name)
                    for name in ("(matched)", "(unmatched)", "(dead-letters)")
                ),
            ),
            Check(
                "copies counted by rule = records in team topics",
                _by_rule(routed, before.routed),
                copies.total(),
            ),
            *checks(self._ledger, await self._found(before)),
        ]
        return outcome


def _delta(now: dict[str, int], before: dict[str, int], name: str) -> int:
    return now.get(name, 0) - before.get(name, 0)


def _by_rule(now: dict[str, int], before: dict[str, int]) -> int:
    return sum(_delta(now, before, name) for name in now if not name.startswith("("))


async def demonstrate(
    config: Settings, fleet: Fleet, *, token: str, claims: int, seed: int, say: Say
) -> Outcome:
    """Publish the real files and `claims` generated claims, and return what became of them.

    Raises:
        FatalError: A part of the fleet ended or stands still.
    """
    return await Demonstration(config, fleet, token, say).run(claims, seed)
