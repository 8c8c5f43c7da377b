"""Why a file cannot be normalised, in terms of its own segments."""

from __future__ import annotations

import re

from fleet.errors import PermanentError

_SEGMENT_ID = re.compile(r"[A-Z][A-Z0-9]{1,2}")


class X12Error(PermanentError):
    """The whole file is refused; no claim of it may be used.

    Neither the message nor the attributes ever carry the contents of an element, because any element
    of a damaged file may hold health information. A segment id that does not look like one is masked.

    Args:
        detail: What is wrong, without the place, e.g. ``SE01 says 35 segments, 30 found``.
        reason: Stable code: ``not_x12``, ``missing_segment``, ``unknown_segment``, ``unexpected_segment``,
            ``control_number_mismatch``, ``segment_count_mismatch``, ``group_count_mismatch``,
            ``transaction_count_mismatch``, ``unsupported_transaction_set``, ``unsupported_version``,
            ``bad_value`` or ``charge_mismatch``.
        segment: Segment id, e.g. ``SE``.
        position: 1-based index of the segment in the file; for a missing segment, the
            one that it should follow or belong to.
    """

    def __init__(self, detail: str, *, reason: str, segment: str, position: int) -> None:
        self.segment = segment if _SEGMENT_ID.fullmatch(segment) else "?"
        self.position = position
        super().__init__(f"{self.segment} at segment {position}: {detail}", reason=reason)
