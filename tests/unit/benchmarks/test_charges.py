"""The input of the tables' cases, and the independent account of what must come of it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import islice

from benchmarks.charges import BASE_MS, JITTER_MS, Charged, charges
from benchmarks.workers.aggregation import Window
from fleet.lane.partitioner import partition_of

PARTITIONS = 4
HOPPING = Window(size_ms=60_000, advance_ms=20_000, grace_ms=10_000)


def account(count: int) -> Charged:
    """Return the account of `count` events."""
    found = Charged(PARTITIONS)
    for charge in charges(count, partitions=PARTITIONS):
        found.add(charge)
    return found


def test_the_same_charges_every_time_of_the_stated_size() -> None:
    """Runs are comparable: same seed, same bytes, about 260 of them."""
    first, second = (list(charges(500, partitions=PARTITIONS)) for _ in range(2))
    assert first == second
    assert first == list(islice(charges(1_000, partitions=PARTITIONS), 500))
    assert 255 < sum(len(charge.value) for charge in first) / 500 < 265


def test_a_charge_lies_where_its_key_belongs() -> None:
    """Every partition gets its share, by the hash of the member."""
    found = list(charges(2_000, partitions=PARTITIONS))
    assert all(charge.partition == partition_of(charge.key, PARTITIONS) for charge in found)
    assert {charge.partition for charge in found} == set(range(PARTITIONS))


def test_events_are_out_of_order_by_less_than_the_grace() -> None:
    """No engine may drop one as late: each is at most twice the jitter behind any before it."""
    latest_ms = 0
    for charge in charges(5_000, partitions=PARTITIONS):
        latest_ms = max(latest_ms, charge.event_time_ms)
        assert latest_ms - charge.event_time_ms <= 2 * JITTER_MS < HOPPING.grace_ms
    assert latest_ms > BASE_MS


def test_the_first_events_cover_the_members_asked_for() -> None:
    """A table has all its rows after them."""
    found = islice(charges(300, partitions=PARTITIONS, members=200, each=200), 200)
    assert [charge.number for charge in found] == list(range(200))


def test_sums_are_the_account_of_the_values_themselves() -> None:
    """Counts and sums agree with what a reader of the JSON adds up."""
    sums: dict[str, list[int]] = defaultdict(list)
    for charge in charges(1_000, partitions=PARTITIONS):
        event = json.loads(charge.value)
        sums[event["member_id"]].append(event["charge_cents"])
    found = account(1_000).sums(dict.fromkeys(range(PARTITIONS), 0))
    assert found == {member: (len(cents), sum(cents)) for member, cents in sums.items()}


def test_windows_are_the_account_of_the_values_themselves() -> None:
    """Each event is in every window that holds its event time, and in no other."""
    counts: Counter[str] = Counter()
    for charge in charges(200, partitions=PARTITIONS):
        event = json.loads(charge.value)
        at = event["event_time_ms"]
        for start in range(BASE_MS - 120_000, BASE_MS + 120_000, HOPPING.advance_ms):
            if start <= at < start + HOPPING.size_ms:
                counts[f"{event['member_id']}/{start}"] += 1
    found = account(200).windows(dict.fromkeys(range(PARTITIONS), 0), HOPPING)
    assert {key: count for key, (count, _) in found.items()} == counts


def test_the_account_counts_from_the_starts() -> None:
    """A part at the end of each partition leaves out just the events before it."""
    found = account(1_000)
    starts = {partition: size - 10 for partition, size in found.sizes.items()}
    assert sum(count for count, _ in found.sums(starts).values()) == 10 * PARTITIONS
    hops = HOPPING.size_ms // HOPPING.advance_ms
    assert sum(count for count, _ in found.windows(starts, HOPPING).values()) == 10 * PARTITIONS * hops
