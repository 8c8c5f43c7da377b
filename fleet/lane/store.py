"""What the lane asks of the store of one table partition."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fleet.lane.errors import StoreError

DELETED: Final = object()
"""In place of a row that is removed."""

OFFSETS_KEY: Final = b"\x00next-offsets"
"""Changelog key of the source offsets that the table's content stands at (engine trap 9)."""

SLICE_ROWS: Final = 1_000

_LAST_BEFORE_SURROGATES, _FIRST_AFTER_SURROGATES, _LAST = "\ud7ff", "\ue000", "\U0010ffff"


class Store(Protocol):
    """The committed rows of one table partition, and the log positions that they stand at.

    Only what Kafka has committed is ever applied, so a store is always a prefix of its
    changelog: after a crash it is opened again and the rest of the changelog is read.

    Attributes:
        position: Next changelog offset to apply, or an earlier one; None while nothing was. To
            replay from an earlier one gives the same rows, once the end is reached.
        offsets: Next source offset by topic that the rows stand at.
        current_ms: Epoch ms since which no tombstone may be missed: when the rows were last all that
            the changelog held, or when a new store began to be read; None before.
        failure: Why nothing that it says can be relied on any more, or None.
    """

    position: int | None
    offsets: Mapping[str, int]
    current_ms: int | None
    failure: StoreError | None

    def get(self, key: str, default: Any = None) -> Any:
        """Return the row of `key`, or `default`.

        Raises:
            StoreError: It cannot be read; also from any other method.
        """
        ...

    def __contains__(self, key: object) -> bool: ...

    def __len__(self) -> int:
        """Return the number of rows; a store on disk may estimate it."""
        ...

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield (key, row), all of them; safe while rows are applied."""
        ...

    def slices(self) -> Iterator[list[tuple[str, Any]]]:
        """Yield all rows, at most `SLICE_ROWS` at a time, so that other work can go on in between.

        Nothing is held between two slices: of rows that are applied meanwhile each is given as it
        was or as it is.
        """
        ...

    def scan(self, start: str, stop: str | None) -> Iterator[tuple[str, Any]]:
        """Yield (key, row) of the half-open range [start, stop), ordered by the UTF-8 bytes of the key.

        Not to be continued after rows are applied. Without a `stop` it goes to the last key.
        """
        ...

    def apply(self, rows: Mapping[str, Any], offsets: Mapping[str, int], position: int | None) -> None:
        """Make `rows` the committed ones (`DELETED` removes), with where they stand, in one step.

        Args:
            rows: Rows by key.
            offsets: Next source offset by topic, after them.
            position: Next changelog offset after them; None where it is not known.
        """
        ...

    def replay(self, records: Iterable[Any], position: int, current_ms: int | None = None) -> None:
        """Apply changelog records, in order, in bulk: a value is JSON, None a tombstone.

        Args:
            records: Records with ``key`` and ``value``; `OFFSETS_KEY` holds the source offsets.
            position: Next changelog offset after them.
            current_ms: When the changelog ended there; None where it goes on.
        """
        ...

    def clear(self) -> None:
        """Forget everything: the changelog is to be read from its beginning."""
        ...

    def close(self) -> None:
        """Let go of files; the store is not used again."""
        ...


def now_ms() -> int:
    """Return the wall clock, in epoch ms."""
    return time.time_ns() // 1_000_000


def after_prefix(prefix: str) -> str | None:
    """Return the least text after all that begin with `prefix`, or None where there is none."""
    kept = prefix.rstrip(_LAST)
    if not kept:
        return None
    last = kept[-1]
    # Surrogates are no text of their own: they have no UTF-8.
    return kept[:-1] + (_FIRST_AFTER_SURROGATES if last == _LAST_BEFORE_SURROGATES else chr(ord(last) + 1))
