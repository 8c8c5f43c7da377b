"""Who gets which partitions of co-partitioned topics: balanced, and nothing moves without need."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Share:
    """What one member has of a group of co-partitioned topics.

    Attributes:
        actives: Partitions that it owns.
        standbys: Partitions that it keeps a copy of the state of.
        epoch: Which assignment that was; of two members that claim a partition the later one has it.
    """

    actives: set[int] = field(default_factory=set)
    standbys: set[int] = field(default_factory=set)
    epoch: int = 0


def share_out(
    partitions: int, claims: Mapping[str, Share], standbys: int = 0, load: Mapping[str, int] | None = None
) -> dict[str, Share]:
    """Return every member's new share.

    Each partition has one owner, shares differ by one at most, and as many partitions as that
    allows stay where they are. What has to move goes to a member with a copy of its state, if it can.

    Args:
        partitions: Partition count of the topics.
        claims: What each member had; nothing for a new one. Every member must be in it.
        standbys: Copies of each partition's state on other members, as far as there are members.
        load: Partitions of other topics that each member has; the less loaded get the odd ones.
    """
    busy = load or {}
    shares = {member: Share() for member in sorted(claims)}
    for partition in range(partitions):
        claimants = [member for member in shares if partition in claims[member].actives]
        if claimants:
            # A worker that slept through assignments claims what is another's by now.
            shares[max(claimants, key=lambda member: claims[member].epoch)].actives.add(partition)
    quotas = _quotas(partitions, shares, busy)
    _release(shares, quotas, claims)
    _place(partitions, shares, quotas, claims)
    _copy(partitions, shares, claims, min(standbys, len(shares) - 1))
    return shares


def _quotas(partitions: int, shares: Mapping[str, Share], load: Mapping[str, int]) -> dict[str, int]:
    """Return how many partitions each member is to have; the odd ones go where most are already."""
    least, odd = divmod(partitions, len(shares))
    ranked = sorted(shares, key=lambda member: (-len(shares[member].actives), load.get(member, 0), member))
    return {member: least + (place < odd) for place, member in enumerate(ranked)}


def _release(shares: Mapping[str, Share], quotas: Mapping[str, int], claims: Mapping[str, Share]) -> None:
    """Take from each member what is over its quota, first what another with room has a copy of."""
    wanted = {
        partition
        for member, share in shares.items()
        if len(share.actives) < quotas[member]
        for partition in claims[member].standbys
    }
    for member, share in shares.items():
        kept = sorted(share.actives, key=lambda partition: (partition in wanted, partition))
        share.actives = set(kept[: quotas[member]])


def _place(
    partitions: int, shares: Mapping[str, Share], quotas: Mapping[str, int], claims: Mapping[str, Share]
) -> None:
    """Give every partition without an owner to a member with room, first to one with a copy of it."""
    room = {member: quotas[member] - len(share.actives) for member, share in shares.items()}
    owned = set().union(*(share.actives for share in shares.values()))
    free = [partition for partition in range(partitions) if partition not in owned]
    for only_copies in (True, False):
        for partition in list(free):
            able = [
                member
                for member in shares
                if room[member] and (not only_copies or partition in claims[member].standbys)
            ]
            if able:
                member = max(able, key=lambda able_member: room[able_member])
                shares[member].actives.add(partition)
                room[member] -= 1
                free.remove(partition)


def _copy(partitions: int, shares: Mapping[str, Share], claims: Mapping[str, Share], copies: int) -> None:
    """Give every partition `copies` standbys, first where its state is: its old owner, its old standbys."""
    made: Counter[int] = Counter()
    had = [(member, claims[member].actives) for member in shares]
    had += [(member, claims[member].standbys) for member in shares]
    for member, old in had:
        for partition in sorted(old):
            if partition < partitions and made[partition] < copies and _may_copy(shares[member], partition):
                shares[member].standbys.add(partition)
                made[partition] += 1
    for partition in range(partitions):
        for _ in range(copies - made[partition]):
            able = [share for share in shares.values() if _may_copy(share, partition)]
            min(able, key=_copies).standbys.add(partition)
    while _level(list(shares.values())):
        pass


def _may_copy(share: Share, partition: int) -> bool:
    return partition not in share.actives and partition not in share.standbys


def _copies(share: Share) -> int:
    return len(share.standbys)


def _level(shares: list[Share]) -> bool:
    """Move one standby to a member with at least two fewer; return whether any could be."""
    for giver in sorted(shares, key=_copies, reverse=True):
        for taker in sorted(shares, key=_copies):
            movable = [partition for partition in giver.standbys if _may_copy(taker, partition)]
            if movable and _copies(giver) > _copies(taker) + 1:
                giver.standbys.remove(max(movable))
                taker.standbys.add(max(movable))
                return True
    return False
