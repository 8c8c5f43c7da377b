"""The group's assignment over Faust's protocol: sticky where stock Faust is not."""

from __future__ import annotations

from itertools import pairwise

import pytest
from faust.assignor.partition_assignor import PartitionAssignor

from fleet.lane.assignor import LaneAssignor
from tests.support.lane_group import TOPICS, Group


def moves(before: dict[str, dict[str, list[int]]], after: dict[str, dict[str, list[int]]], topic: str) -> int:
    """Return how many partitions of `topic` another member has now."""
    now = {number: name for name, had in after.items() for number in had.get(topic, [])}
    return sum(now[number] != name for name, had in before.items() for number in had.get(topic, []))


def grown(kind: type[PartitionAssignor]) -> tuple[Group, dict[str, dict[str, list[int]]]]:
    """Return a group of three that joined one after the other, and its assignment."""
    group = Group(kind)
    for name in "ABC":
        group.join(name)
        found = group.rebalance()
    return group, found


def test_stock_faust_moves_partitions_without_need() -> None:
    """The defect: members asked in another order, and the odd partition goes to another of them."""
    group, before = grown(PartitionAssignor)
    orders = (list(order) for order in ("BCA", "CAB", "ACB", "CBA", "BAC"))
    assert any(moves(before, group.rebalance(order), "charges") for order in orders)


def test_stock_faust_gives_a_joining_member_nothing_where_there_are_standbys() -> None:
    """The defect: with a standby each, two old members keep two partitions each, the third has none."""
    group = Group(PartitionAssignor, standbys=1)
    for name in "ABC":
        group.join(name)
        found = group.rebalance()
    assert found["C"].get("charges", []) == []


@pytest.mark.parametrize("order", ["ABC", "BCA", "CAB", "ACB", "CBA", "BAC"])
def test_nothing_moves_in_a_rebalance_that_changes_no_members(order: str) -> None:
    """Whoever leads and in whatever order members are listed, all keep what they have."""
    group, before = grown(LaneAssignor)
    after = group.rebalance(list(order))
    assert {topic: moves(before, after, topic) for topic in TOPICS} == dict.fromkeys(TOPICS, 0)


def test_one_two_three_and_back_to_one() -> None:
    """Each join moves what balance asks for and no more; each leave what the member had."""
    group = Group(LaneAssignor)
    group.join("A")
    found = [group.rebalance()]
    for name in "BC":
        group.join(name)
        found.append(group.rebalance())
    assert [moves(a, b, "charges") for a, b in pairwise(found)] == [2, 1]
    assert [moves(a, b, "claims") for a, b in pairwise(found)] == [3, 2]
    del group.members["A"]
    found.append(group.rebalance())
    assert all(set(found[2][name]["claims"]) <= set(found[3][name]["claims"]) for name in "BC"), (
        "who stays keeps all"
    )
    del group.members["C"]
    found.append(group.rebalance())
    assert found[4] == {"B": {topic: list(range(count)) for topic, count in TOPICS.items()}}


def test_topics_with_the_same_count_are_given_out_alike() -> None:
    """A task finds its partition of every source on its own worker."""
    _, found = grown(LaneAssignor)
    assert all(had.get("charges") == had.get("refunds") for had in found.values())


def test_all_topics_together_are_balanced() -> None:
    """The odd partitions of one count go to who has less of the others."""
    group = Group(LaneAssignor)
    group.counts = {"charges": 4, "claims": 5}
    for name in "ABC":
        group.join(name)
    sizes = [sum(len(numbers) for numbers in had.values()) for had in group.rebalance().values()]
    assert sizes == [3, 3, 3]


def test_a_worker_started_anew_takes_what_the_dead_one_had() -> None:
    """It comes as a new member with no history; those that stay keep theirs."""
    group, before = grown(LaneAssignor)
    del group.members["B"]
    group.join("B2")
    after = group.rebalance()
    assert {name: after[name] for name in "AC"} == {name: before[name] for name in "AC"}
    assert after["B2"] == before["B"]


def test_a_topic_that_gains_partitions_moves_none_of_another() -> None:
    """Only the new partitions are given out; no other topic is touched (trap 24)."""
    group, before = grown(LaneAssignor)
    group.counts["claims"] = 9
    after = group.rebalance()
    assert {topic: moves(before, after, topic) for topic in TOPICS} == dict.fromkeys(TOPICS, 0)


def test_a_member_that_wakes_late_robs_nobody() -> None:
    """It still claims all it had once; who got it since keeps it, by the number of the assignment."""
    group = Group(LaneAssignor)
    group.join("A")
    group.rebalance()
    asleep = group.members.pop("A")
    for name in "BC":
        group.join(name)
        before = group.rebalance()
    group.members["A"] = asleep
    after = group.rebalance(["A", "B", "C"])
    assert moves(before, after, "charges") == 1
    assert moves(before, after, "claims") == 2


def test_standbys_are_the_lanes_own_and_take_over() -> None:
    """Faust sees none of them; when their owner goes, they are who gets the partition."""
    group = Group(LaneAssignor, standbys=1)
    for name in "AB":
        group.join(name)
        group.rebalance()
    kept = {tp.partition for tp in group.members["B"].lane_standbys() if tp.topic == "claims"}
    owned = {tp.partition for tp in group.members["B"].assigned_actives() if tp.topic == "claims"}
    assert kept | owned == set(range(6))
    assert kept.isdisjoint(owned)
    assert group.members["B"].assigned_standbys() == set()
    del group.members["A"]
    assert group.rebalance()["B"]["claims"] == list(range(6))
    assert group.members["B"].lane_standbys() == set()


def test_a_member_of_stock_faust_is_understood() -> None:
    """A worker of before this assignor takes part, and keeps what it has."""
    group = Group(PartitionAssignor)
    group.join("A")
    before = group.rebalance()
    old, group.kind = group.members["A"], LaneAssignor  # The upgrade of a group's workers.
    group.join("B")
    after = group.rebalance(["B", "A"])
    assert moves(before, after, "claims") == 3
    assert old.assigned_actives()
