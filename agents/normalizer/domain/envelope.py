"""Check the three envelopes of a file, ISA/IEA, GS/GE and ST/SE, and take the transactions out.

Everything that guards against loss in transit is checked before any claim is read: each header has its
trailer, the control numbers agree, and the counts are those of what is there.
Source: ASC X12.5 (interchange) and X12.6 (functional group, transaction set).
"""

from __future__ import annotations

import msgspec

from agents.normalizer.domain.elements import count, required
from agents.normalizer.domain.tokenizer import Segment

_ACKNOWLEDGEMENT = "TA1"
_ENVELOPE_IDS = frozenset({"ISA", "IEA", "GS", "GE", "ST", "SE", _ACKNOWLEDGEMENT})


class TransactionSet(msgspec.Struct, frozen=True):
    """One transaction with the envelopes that it came in.

    Attributes:
        isa: Interchange header.
        gs: Functional group header.
        st: Transaction set header.
        body: The segments between ST and SE.
    """

    isa: Segment
    gs: Segment
    st: Segment
    body: list[Segment]


def transaction_sets(segments: list[Segment]) -> list[TransactionSet]:
    """Return the transactions of all interchanges of a file, in order.

    Raises:
        X12Error: ``missing_segment``, ``unknown_segment`` (anything between envelopes that is no envelope),
            ``control_number_mismatch``, ``segment_count_mismatch``, ``transaction_count_mismatch``,
            ``group_count_mismatch`` or ``bad_value``.
    """
    reader = _Reader(segments)
    found: list[TransactionSet] = []
    while reader.peek():
        found.extend(_interchange(reader))
    return found


class _Reader:
    """A cursor over the segments that knows how to refuse the next one."""

    def __init__(self, segments: list[Segment]) -> None:
        self.segments = segments
        self.index = 0

    def peek(self) -> str:
        """Return the id of the next segment, empty at the end."""
        return self.segments[self.index].id if self.index < len(self.segments) else ""

    def take(self, segment_id: str) -> Segment:
        """Return the next segment, which has to be the one named."""
        if self.peek() == segment_id:
            self.index += 1
            return self.segments[self.index - 1]
        if self.index < len(self.segments) and self.peek() not in _ENVELOPE_IDS:
            raise self.segments[self.index].error(
                "unknown_segment", f"not an envelope; {segment_id} expected here"
            )
        ends = "" if self.peek() else "; the file ends"
        raise self.segments[self.index - 1].error(
            "missing_segment", f"{segment_id} is missing after it{ends}"
        )

    def take_until(self, segment_ids: frozenset[str]) -> list[Segment]:
        """Return the segments before the next one of those named, or all that are left."""
        begin, end = self.index, len(self.segments)
        while self.index < end and self.segments[self.index].elements[0] not in segment_ids:
            self.index += 1
        return self.segments[begin : self.index]


def _interchange(reader: _Reader) -> list[TransactionSet]:
    isa = reader.take("ISA")
    while reader.peek() == _ACKNOWLEDGEMENT:
        reader.take(_ACKNOWLEDGEMENT)
    found: list[TransactionSet] = []
    groups = 0
    while reader.peek() == "GS" or not groups:
        found.extend(_group(reader, isa))
        groups += 1
    iea = reader.take("IEA")
    _same_control_number(isa, 13, iea, 2)
    _same_count(iea, groups, "functional groups", "group_count_mismatch")
    return found


def _group(reader: _Reader, isa: Segment) -> list[TransactionSet]:
    gs = reader.take("GS")
    found: list[TransactionSet] = []
    while reader.peek() == "ST" or not found:
        found.append(_transaction(reader, isa, gs))
    ge = reader.take("GE")
    _same_control_number(gs, 6, ge, 2)
    _same_count(ge, len(found), "transaction sets", "transaction_count_mismatch")
    return found


def _transaction(reader: _Reader, isa: Segment, gs: Segment) -> TransactionSet:
    st = reader.take("ST")
    body = reader.take_until(_ENVELOPE_IDS)
    se = reader.take("SE")
    _same_control_number(st, 2, se, 2)
    _same_count(se, len(body) + 2, "segments", "segment_count_mismatch")
    return TransactionSet(isa, gs, st, body)


def _same_control_number(header: Segment, number: int, trailer: Segment, trailer_number: int) -> None:
    if required(header, number) != required(trailer, trailer_number):
        names = f"{trailer.id}{trailer_number:02} differs from {header.id}{number:02}"
        raise trailer.error("control_number_mismatch", f"{names} at segment {header.position}")


def _same_count(trailer: Segment, found: int, what: str, reason: str) -> None:
    said = count(trailer, 1)
    if said != found:
        raise trailer.error(reason, f"{trailer.id}01 says {said} {what}, {found} found")
