"""How much of a build's state one partition may keep."""

from __future__ import annotations

from typing import Final, NamedTuple

from agents.aggregator.domain.rows import Progress
from tables.aggregations.definition import Limits

UNEVEN: Final = 5, 4
"""A partition may have more than its share by this ratio: keys do not spread evenly."""

_MIB: Final = 1 << 20


class Share(NamedTuple):
    """What one partition may keep of a build.

    Attributes:
        keys: Rows.
        size_bytes: Size of their keys and states.
    """

    keys: int
    size_bytes: int

    def is_used_up(self, progress: Progress) -> bool:
        """Return whether no new key may come."""
        return progress.keys >= self.keys or progress.size_bytes >= self.size_bytes


def share_of(limits: Limits, partitions: int) -> Share:
    """Return what each of so many partitions may keep."""
    return Share(_portion(limits.max_keys, partitions), _portion(limits.max_state_mib * _MIB, partitions))


def _portion(whole: int, partitions: int) -> int:
    more, less = UNEVEN
    return max(1, -(-whole * more // (partitions * less)))
