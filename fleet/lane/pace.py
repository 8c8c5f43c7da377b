"""How large the chunks of one hold are: bounded in records, bytes and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import ConsumerRecord

    from fleet.lane.agent import LaneAgent

FIRST_RECORDS: Final = 100
"""Records of the first chunk of a hold: what they cost is not known yet."""

GROWTH: Final = 4
PER_CHUNK_S: Final = 0.001
"""What a chunk costs beside its records, so that a chunk of one says little of the next thousand."""


class Pace:
    """Bounds the next chunk by what the ones before it cost.

    A function's results do not depend on the cuts, so that they may follow the measured cost:
    one chunk computes for at most `LaneAgent.max_chunk_s`, since nothing else runs meanwhile.

    Attributes:
        records: Bound on the records of the next chunk.
    """

    def __init__(self, agent: LaneAgent) -> None:
        self._most = agent.max_chunk_records
        self._max_bytes = agent.max_chunk_bytes
        self._max_s = agent.max_chunk_s
        self._input_bytes = 0
        self.records = min(FIRST_RECORDS, self._most)

    def cut(self, records: list[ConsumerRecord]) -> list[ConsumerRecord]:
        """Return the first of `records` that make a chunk: at least one, within the bounds otherwise."""
        chunk = records if len(records) <= self.records else records[: self.records]
        self._input_bytes = _bytes(chunk)
        if self._input_bytes > self._max_bytes:
            chunk = chunk[: self._within(chunk)]
            self._input_bytes = _bytes(chunk)
        return chunk

    def _within(self, records: Sequence[ConsumerRecord]) -> int:
        """Return how many of `records`, at least one, are within the bound in bytes."""
        total = 0
        for count, record in enumerate(records):
            total += len(record.key or b"") + len(record.value or b"")
            if total > self._max_bytes:
                return max(1, count)
        return len(records)

    def took(self, records: list[ConsumerRecord], seconds: float, output_bytes: int) -> None:
        """Take note of what the chunk that was cut last cost.

        Args:
            records: Its records.
            seconds: How long it computed.
            output_bytes: What it staged.
        """
        count = len(records)
        fitting = count * self._max_s / max(seconds - PER_CHUNK_S, 1e-9)
        fitting = min(fitting, count * self._max_bytes / max(output_bytes, self._input_bytes, 1))
        if count < self.records:
            # Not put to the proof: such a chunk may lower the bound, not raise it.
            fitting = min(fitting, self.records)
        self.records = max(1, int(min(fitting, self.records * GROWTH, self._most)))

    def too_large(self, records: list[ConsumerRecord]) -> None:
        """Halve the bound: the output of `records` is over the bound in bytes."""
        self.records = max(1, len(records) // 2)


def _bytes(records: Sequence[ConsumerRecord]) -> int:
    return sum([len(record.key or b"") + len(record.value or b"") for record in records])
