"""Which state of the definitions a message was made under: who reads it has to have read so far too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleet.errors import TransientError

if TYPE_CHECKING:
    from fleet.lane import Chunk, Record
    from fleet.lane.effects import Headers

CONFIG_HEADER: Final = "fleet_config"


def made_under(offset: int) -> Headers:
    """Return the headers of a message that is made under the definitions up to an offset."""
    return ((CONFIG_HEADER, str(offset).encode()),)


def require_plan(chunk: Chunk, offset: int) -> None:
    """Require that this worker has read the definitions as far as who wrote the records of a chunk.

    Raises:
        TransientError: It has not yet.
    """
    needed = max(map(_offset_of, chunk), default=0)
    if needed > offset:
        raise TransientError(
            f"offset {needed} of the aggregations is needed; they are read up to "
            f"offset {offset}, not yet to {needed}"
        )


def _offset_of(record: Record) -> int:
    """Return the state of the definitions that a record was made under; 0 where it does not say."""
    for name, value in record.headers:
        if name == CONFIG_HEADER:
            return int(value) if value.isdigit() else 0
    return 0
