"""Inputs of the lane's tests, and what must come of them: computed here, without the lane."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

import orjson

from fleet.lane.dead_letters import reason_of
from fleet.lane.store import OFFSETS_KEY
from tests.support.lane_worker import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.lane_kafka import Cluster

MEMBERS = 2000
LONG_BYTES = 2000

POISON = ("process_error", "process")
REFUSED = ("record_too_large", "produce")
"""Reason and step of the dead letters."""


@dataclass
class Ledger:
    """Charges from a seed, each accounted for as it is made.

    Attributes:
        seed: Of the generator; the same seed makes the same charges.
        poison_share: Share of charges that no one can add up.
        long_share: Share of charges of more than `LONG_BYTES`.
        outgrown: Output topic suffixes that no longer take a long one: it is summed, and set aside.
        accepted: Ids by output topic suffix and member, in order.
        poison: Ids of the poison charges.
        refused: Ids of the long charges that were set aside.
        sums: Count and charges by member.
    """

    seed: int
    poison_share: float = 0.0
    long_share: float = 0.0
    outgrown: str = ""
    accepted: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    poison: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    sums: dict[str, tuple[int, Decimal]] = field(default_factory=dict)

    def charges(self, count: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield `count` charges as (key, value) records."""
        rng = random.Random(self.seed)
        first = len(self.poison) + len(self.refused) + sum(len(ids) for ids in self.accepted.values())
        for number in range(first, first + count):
            member, to = f"M{rng.randrange(MEMBERS):05d}", rng.choice("ab")
            charge = Decimal(rng.randrange(1, 100_000)) / 100
            poisoned, long = rng.random() < self.poison_share, rng.random() < self.long_share
            if poisoned:
                self.poison.add(number)
            else:
                if long and to in self.outgrown:
                    self.refused.add(number)
                else:
                    self.accepted[to, member].append(number)
                seen, total = self.sums.get(member, (0, Decimal(0)))
                self.sums[member] = seen + 1, total + charge
            value = {
                "id": number,
                "member": member,
                "to": to,
                "charge": "poison" if poisoned else str(charge),
                "note": "x" * LONG_BYTES if long else "",
            }
            yield member.encode(), orjson.dumps(value)

    async def check(self, cluster: Cluster, app_id: str, source: str) -> None:
        """Compare all that read_committed readers see with the ledger.

        Outputs complete, in order per member and without duplicates; the table exact; each poison or
        refused charge one dead letter that says why and where, byte for byte the source record.
        """
        for suffix in ("a", "b"):
            seen: dict[tuple[str, str], list[int]] = defaultdict(list)
            await cluster.settled(f"{source}-{suffix}")
            for record in await cluster.read(f"{source}-{suffix}"):
                event = orjson.loads(record.value)
                seen[suffix, event["member"]].append(event["id"])
            wanted = {place: ids for place, ids in self.accepted.items() if place[0] == suffix}
            differences = _differences(seen, wanted)
            assert not differences, "\n".join([f"outputs of {source}-{suffix} differ:", *differences])
        rows = await table_rows(cluster, app_id)
        wrong = [name for name in rows.keys() | self.sums.keys() if rows.get(name) != self.sums.get(name)]
        assert not wrong, f"{len(wrong)} sums differ: " + ", ".join(
            f"{name} is {rows.get(name)}, not {self.sums.get(name)}" for name in sorted(wrong)[:5]
        )
        await self._check_dead_letters(cluster, source)

    async def _check_dead_letters(self, cluster: Cluster, source: str) -> None:
        originals = {(r.topic, r.partition, r.offset): (r.key, r.value) for r in await cluster.read(source)}
        ids: dict[tuple[str, str], list[int]] = {POISON: [], REFUSED: []}
        await cluster.settled(f"{source}-dead")
        for letter in await cluster.read(f"{source}-dead"):
            why = reason_of(letter.headers)
            place = (why["topic"], int(why["partition"]), int(why["offset"]))
            assert (letter.key, letter.value) == originals[place]
            ids[why["reason"], why["step"]].append(orjson.loads(letter.value)["id"])
        assert sorted(ids[POISON]) == sorted(self.poison)
        assert sorted(ids[REFUSED]) == sorted(self.refused)


async def table_rows(cluster: Cluster, app_id: str) -> dict[str, tuple[int, Decimal]]:
    """Return the sums as the changelog holds them."""
    rows: dict[str, tuple[int, Decimal]] = {}
    changelog = f"{app_id}-{TABLE}-changelog"
    await cluster.settled(changelog)
    for record in await cluster.read(changelog):
        if record.value is None:
            rows.pop(record.key.decode(), None)
        elif record.key != OFFSETS_KEY:
            count, charges = orjson.loads(record.value)
            rows[record.key.decode()] = (count, Decimal(charges))
    return rows


def _differences(
    seen: dict[tuple[str, str], list[int]], wanted: dict[tuple[str, str], list[int]]
) -> list[str]:
    """Return one line for each of the first few members whose outputs differ."""
    wrong = [place for place in seen.keys() | wanted.keys() if seen.get(place) != wanted.get(place)]
    lines = []
    for place in sorted(wrong)[:5]:
        got, want = seen.get(place, []), wanted.get(place, [])
        missing, extra = sorted(set(want) - set(got)), len(got) - len(set(got))
        lines.append(f"{place}: missing {missing[:5]}, {extra} doubled, {len(got)} of {len(want)}")
    return lines
