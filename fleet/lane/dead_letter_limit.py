"""A task that sets most of its records aside has not met bad records: it is broken, and halts."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.lane.errors import Halted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.lane.effects import DeadLetter
    from fleet.lane.record import Chunk


@dataclass(frozen=True, slots=True)
class DeadLetterLimit:
    """Share of a task's last records that may be dead letters.

    Attributes:
        share: The share, 0 to 1; with 1 nothing is over the limit.
        records: Number of the last records that it is of. Where fewer were seen, as many dead
            letters as if these were all.
    """

    share: float = 0.5
    records: int = 1000


class TooManyDeadLetters(Halted):
    """The next records would bring a task over its dead-letter limit; none of them is set aside.

    Args:
        limit: The limit.
        dead: Dead letters among the last records.
        step: Step of the most frequent kind of dead letters.
        reason: Reason of it.
    """

    def __init__(self, limit: DeadLetterLimit, dead: int, step: str, reason: str) -> None:
        message = (
            f"{dead} of the last {limit.records} records would be dead letters, "
            f"most by {reason} in step {step}"
        )
        hint = "mend the agent or its input: it goes on once they pass, or the dead-letter limit is raised"
        super().__init__(message, hint=hint)
        self._cause = f"dead_letters/{step}/{reason}"

    @property
    def cause(self) -> str:
        """The most frequent kind of dead letters."""
        return self._cause


class DeadLetterWatch:
    """Counts the dead letters among the last records of a task, over all its holds.

    Each record is judged with those before it, so that it does not matter how they are cut.
    """

    def __init__(self, limit: DeadLetterLimit | None) -> None:
        self._limit = limit
        self._seen = 0
        self._recent: deque[tuple[int, DeadLetter]] = deque()

    def check(self, chunk: Chunk, letters: Sequence[DeadLetter]) -> None:
        """Refuse a chunk that brings the task over the limit.

        Raises:
            TooManyDeadLetters: It does.
        """
        if letters and self._limit is not None:
            self._take(self._recent.copy(), chunk, letters, self._limit)

    def committed(self, chunk: Chunk, letters: Sequence[DeadLetter]) -> None:
        """Count a chunk that was checked and committed."""
        if letters and self._limit is not None:
            self._take(self._recent, chunk, letters, self._limit)
        self._seen += len(chunk)

    def _take(
        self,
        recent: deque[tuple[int, DeadLetter]],
        chunk: Chunk,
        letters: Sequence[DeadLetter],
        limit: DeadLetterLimit,
    ) -> None:
        places = {(record.topic, record.offset): place for place, record in enumerate(chunk)}
        # One of a timer has no place among the records; one record may have several.
        placed = {places.get((each.record.topic, each.record.offset), 0): each for each in reversed(letters)}
        for place in sorted(placed):
            position = self._seen + place
            recent.append((position, placed[place]))
            while recent[0][0] <= position - limit.records:
                recent.popleft()
            if len(recent) > limit.share * limit.records:
                kinds = Counter((letter.step, letter.reason) for _, letter in recent)
                ((step, reason), _) = kinds.most_common(1)[0]
                raise TooManyDeadLetters(limit, len(recent), step, reason)
