"""What the lane asks of the store of one table partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Store(Protocol):
    """The committed rows of one table partition, and the log positions that they stand at.

    Only what Kafka has committed is ever applied, so a store is always a prefix of its
    changelog: after a crash it is opened again and the rest of the changelog is read.

    Attributes:
        position: Next changelog offset to apply; None while nothing was.
        offsets: Next source offset by topic that the rows stand at.
    """

    position: int | None
    offsets: Mapping[str, int]

    def get(self, key: str, default: Any = None) -> Any:
        """Return the row of `key`, or `default`."""
        ...

    def __contains__(self, key: object) -> bool: ...

    def __len__(self) -> int:
        """Return the number of rows; a store on disk may estimate it."""
        ...

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield (key, row), all of them; safe while rows are applied."""
        ...

    def scan(self, start: str, stop: str) -> Iterator[tuple[str, Any]]:
        """Yield (key, row) of the half-open range [start, stop), ordered by the UTF-8 bytes of the key."""
        ...

    def apply(self, rows: Mapping[str, Any], offsets: Mapping[str, int], position: int | None) -> None:
        """Make `rows` the committed ones (`DELETED` removes), with where they stand, in one step."""
        ...

    def replay(self, records: Iterable[Any], position: int) -> None:
        """Apply changelog records, in order, in bulk: a value is JSON, None a tombstone.

        Args:
            records: Records with ``key`` and ``value``; one key holds the source offsets.
            position: Next changelog offset after them.
        """
        ...

    def clear(self) -> None:
        """Forget everything: the changelog is to be read from its beginning."""
        ...

    def close(self) -> None:
        """Let go of files; the store is not used again."""
        ...
