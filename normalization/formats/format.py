"""What every format of source systems does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, ClassVar, Final, Protocol

import msgspec

from normalization.records import Damaged, Part, SourceRecord

PART_BYTES: Final = 64 << 10
"""Size that a part aims at. One record alone may be larger, up to `MAX_RECORD_BYTES`."""
MAX_RECORD_BYTES: Final = 8 << 20
"""Size of a record beyond which it is damaged (``too_large``)."""
READ_BYTES: Final = 256 << 10


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a source system says of its files; each format has its own.

    Attributes:
        max_record_bytes: Size of a record beyond which it is damaged.
    """

    max_record_bytes: int = MAX_RECORD_BYTES


class Format(Protocol):
    """A format with the options of one source system; immutable and safe to share.

    For every file and every `part_bytes`, the parts read one after the other give what the file is as
    one part: the same records and damages, in the same order, with the same positions. Whatever the
    bytes, it never raises, never hangs, and keeps no more than a few parts in memory.
    """

    name: ClassVar[str]

    def split(self, stream: BinaryIO, part_bytes: int = PART_BYTES) -> Iterator[Part | Damaged]:
        """Cut a file, read once from beginning to end, into parts of whole records.

        Cheap: it looks for the bounds of records and judges nothing that `parse` can judge. What it
        alone can see is yielded as damaged: bytes that belong to no record, a trailer that does not add up.

        Args:
            stream: The file, decompressed; `read` alone is called.
            part_bytes: Size that a part aims at.
        """
        ...

    def parse(self, part: Part) -> Iterator[SourceRecord | Damaged]:
        """Read a part, which yields `part.records` records and damages; a damaged one costs no neighbour."""
        ...


def read_all(
    format_: Format, stream: BinaryIO, part_bytes: int = PART_BYTES
) -> Iterator[SourceRecord | Damaged]:
    """Yield all of a file, or of the `raw` of one record, part by part."""
    for part in format_.split(stream, part_bytes):
        if isinstance(part, Damaged):
            yield part
        else:
            yield from format_.parse(part)
