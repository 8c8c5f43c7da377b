"""Shares of co-partitioned topics: complete, balanced, and nothing moves without need."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fleet.lane.sticky import Share, share_out

PARTITIONS = st.integers(1, 9)
CLAIMS = st.dictionaries(
    st.sampled_from("ABCDEF"),
    st.builds(Share, st.sets(st.integers(0, 11), max_size=9), st.sets(st.integers(0, 11)), st.integers(0, 2)),
    min_size=1,
)
STANDBYS = st.integers(0, 3)
LOAD = st.dictionaries(st.sampled_from("ABCDEF"), st.integers(0, 5))


def owners(shares: dict[str, Share]) -> dict[int, str]:
    """Return the owner of each partition."""
    return {partition: member for member, share in shares.items() for partition in share.actives}


def moved(before: dict[str, Share], after: dict[str, Share]) -> set[int]:
    """Return the partitions that another member has now."""
    was, now = owners(before), owners(after)
    return {partition for partition in was if was[partition] != now[partition]}


@given(partitions=PARTITIONS, claims=CLAIMS, standbys=STANDBYS, load=LOAD)
def test_every_partition_has_one_owner_and_its_standbys_elsewhere(
    *, partitions: int, claims: dict[str, Share], standbys: int, load: dict[str, int]
) -> None:
    """Whatever members claim, the result is complete and balanced, and no copy lies with its owner."""
    shares = share_out(partitions, claims, standbys, load)
    sizes = [len(share.actives) for share in shares.values()]
    assert shares.keys() == claims.keys()
    assert sorted(p for share in shares.values() for p in share.actives) == list(range(partitions))
    assert max(sizes) - min(sizes) <= 1
    copies = Counter(p for share in shares.values() for p in share.standbys)
    wanted = min(standbys, len(claims) - 1)
    assert copies == Counter(dict.fromkeys(range(partitions), wanted) if wanted else {})
    assert all(share.actives.isdisjoint(share.standbys) for share in shares.values())


@given(partitions=PARTITIONS, claims=CLAIMS, standbys=STANDBYS, load=LOAD)
def test_nothing_moves_when_no_member_comes_or_goes(
    *, partitions: int, claims: dict[str, Share], standbys: int, load: dict[str, int]
) -> None:
    """An assignment given out again is the same, standbys included."""
    shares = share_out(partitions, claims, standbys, load)
    assert share_out(partitions, shares, standbys) == shares


@given(partitions=PARTITIONS, members=st.integers(1, 6), standbys=STANDBYS)
def test_a_join_moves_only_what_the_new_member_gets(*, partitions: int, members: int, standbys: int) -> None:
    """No partition moves between two members that were there before."""
    before = share_out(partitions, {f"m{n}": Share() for n in range(members)}, standbys)
    after = share_out(partitions, {**before, "new": Share()}, standbys)
    assert moved(before, after) == after["new"].actives


@given(partitions=PARTITIONS, members=st.integers(2, 6), standbys=STANDBYS, gone=st.integers(0, 5))
def test_a_leave_moves_only_what_the_member_had(
    *, partitions: int, members: int, standbys: int, gone: int
) -> None:
    """The others keep all they have, and where there are standbys one of them takes over."""
    before = share_out(partitions, {f"m{n}": Share() for n in range(members)}, standbys)
    left = before.pop(f"m{gone % members}")
    after = share_out(partitions, before, standbys)
    assert {p: m for p, m in owners(after).items() if p not in left.actives} == owners(before)
    if standbys >= members - 1:
        assert all(p in before[owners(after)[p]].standbys for p in left.actives)


def test_a_member_that_slept_through_assignments_gets_nothing_back_from_their_owners() -> None:
    """Of two that claim a partition, the one with the later assignment keeps it."""
    claims = {"A": Share({0, 1, 2, 3}, epoch=4), "B": Share({0, 1}, epoch=6), "C": Share({2, 3}, epoch=6)}
    shares = share_out(4, claims)
    assert (
        sum(p in claims["B"].actives for p in shares["B"].actives)
        + sum(p in claims["C"].actives for p in shares["C"].actives)
        == 3
    )
    assert len(shares["A"].actives) == 1


def test_the_old_owner_of_a_moved_partition_keeps_its_copy() -> None:
    """It has the state already, so it becomes the standby."""
    before = {"A": Share({0, 1}, {2, 3}), "B": Share({2, 3}, {0, 1})}
    after = share_out(4, {**before, "C": Share()}, standbys=1)
    for partition in after["C"].actives:
        was = owners(before)[partition]
        assert partition in after[was].standbys


def test_odd_partitions_go_to_the_less_loaded() -> None:
    """Topics with one partition do not all end on the member that is first by name."""
    assert share_out(1, {"A": Share(), "B": Share()}, load={"A": 1})["B"].actives == {0}
