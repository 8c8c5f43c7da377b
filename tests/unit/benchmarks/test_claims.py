"""The input of the benchmarks, and the independent account of what must come of it."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from zlib import crc32

from benchmarks.claims import PARTITIONS, ROUTES, claims, expected
from benchmarks.verify import member_of
from fleet.lane.partitioner import partition_of

FROM_THE_START = dict.fromkeys(range(PARTITIONS), 0)


def test_the_same_claims_every_time_of_the_stated_size() -> None:
    """Runs are comparable: same seed, same bytes, about 258 of them."""
    first, second = list(claims(500)), list(claims(500))
    assert first == second
    assert first == list(islice(claims(1_000), 500))
    assert 255 < sum(len(claim.value) for claim in first) / 500 < 262


def test_a_claim_lies_where_its_key_belongs() -> None:
    """Every partition gets its share, by the hash of the member."""
    found = list(claims(2_000))
    assert all(claim.partition == partition_of(claim.key, PARTITIONS) for claim in found)
    assert {claim.partition for claim in found} == set(range(PARTITIONS))
    assert {claim.state for claim in found} == set(ROUTES)


def test_expected_is_the_account_of_the_values_themselves() -> None:
    """Counts, checksums and sums agree with what a reader of the JSON adds up."""
    found = [json.loads(claim.value) for claim in claims(1_000)]
    account = expected(1_000, FROM_THE_START)
    counts = Counter(ROUTES[claim["state"]] for claim in found)
    assert {to: count for to, (count, _) in account.routed.items()} == counts
    assert sum(total for _, total in account.routed.values()) == sum(
        crc32(claim.value) for claim in claims(1_000)
    )
    assert sum(count for count, _ in account.sums.values()) == 1_000
    for member, (count, cents) in account.sums.items():
        own = [claim["charge_cents"] for claim in found if claim["member_id"] == member]
        assert (count, cents) == (len(own), sum(own))


def test_expected_counts_from_the_starts() -> None:
    """A slice at the end of each partition leaves out just the claims before it."""
    sizes = Counter(claim.partition for claim in claims(1_000))
    starts = {partition: size - 10 for partition, size in sizes.items()}
    account = expected(1_000, starts)
    assert sum(count for count, _ in account.sums.values()) == 10 * PARTITIONS
    assert sum(count for count, _ in account.routed.values()) == 10 * PARTITIONS


def test_changelog_keys_of_both_engines_name_the_member() -> None:
    """Stock Faust writes text keys as JSON, the lane as they are."""
    assert member_of(b'"M000001"') == member_of(b"M000001") == "M000001"
