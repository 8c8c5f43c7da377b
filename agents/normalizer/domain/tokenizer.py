"""Split an X12 interchange into segments, tolerating what real files get wrong.

Tolerated: a byte order mark, blank space between segments, any line ends after the terminator, an ISA
whose fixed-width elements were trimmed or padded, a missing terminator after the last segment, and
several interchanges with delimiters of their own. Judging the content is left to the validators.
Source: ASC X12.5 and X12.6, control structures and delimiters.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import msgspec

from agents.normalizer.domain.errors import X12Error

_ISA_ELEMENTS = 16
_BLANK = " \t\r\n"


class Segment(msgspec.Struct, frozen=True, gc=False):
    """One segment as it stands in the file.

    Attributes:
        elements: The segment id at 0, then the elements at their X12 number: ``elements[1]`` is SE01.
        position: 1-based index in the file.
        offset_bytes: Offset of the segment id in the file.
    """

    elements: list[str]
    position: int
    offset_bytes: int

    @property
    def id(self) -> str:
        """Segment id, e.g. ``CLM``."""
        return self.elements[0]

    def get(self, number: int) -> str:
        """Return an element by its X12 number, empty when the segment ends before it."""
        return self.elements[number] if number < len(self.elements) else ""

    def error(self, reason: str, detail: str) -> X12Error:
        """Return the error that refuses the file because of this segment."""
        return X12Error(detail, reason=reason, segment=self.id, position=self.position)


class Delimiters(msgspec.Struct, frozen=True, gc=False):
    """What one interchange separates its parts with."""

    element: str
    component: str
    terminator: str


def tokenize(raw: bytes) -> Iterator[Segment]:
    """Yield the segments of a file in order.

    The text is UTF-8 where it decodes as such, and ISO 8859-1 where it does not.

    Raises:
        X12Error: ``not_x12`` when the file has no readable ISA, ``bad_value`` for a line break inside a
            segment, ``unexpected_segment`` for text after the last interchange.
    """
    # One character per byte keeps offsets exact; the few elements beyond ASCII are decoded one by one.
    text = raw.decode("latin-1")
    utf8 = not raw.isascii() and _is_utf8(raw)
    start = _skip_blank(text, 3 if raw.startswith(codecs.BOM_UTF8) else 0)
    position = 0
    while True:
        delimiters = _delimiters(text, start, position + 1)
        while start < len(text):
            end = text.find(delimiters.terminator, start)
            end = len(text) if end < 0 else end
            position += 1
            segment = _segment(text[start:end].rstrip("\r\n"), delimiters, position, start, utf8=utf8)
            yield segment
            start = _skip_blank(text, end + 1)
            if segment.id == "IEA":
                break
        if start >= len(text):
            return


def _segment(text: str, delimiters: Delimiters, position: int, offset_bytes: int, *, utf8: bool) -> Segment:
    if utf8 and not text.isascii():
        text = text.encode("latin-1").decode()
    segment = Segment(text.split(delimiters.element), position, offset_bytes)
    if "\n" in text or "\r" in text:
        raise segment.error("bad_value", "a line break inside the segment")
    return segment


def _delimiters(text: str, start: int, position: int) -> Delimiters:
    """Find the delimiters by counting elements, since the ISA's width cannot be relied on."""
    if not text.startswith("ISA", start):
        reason, detail = ("not_x12", "the file does not start with an ISA segment")
        if position > 1:
            reason, detail = ("unexpected_segment", "text after the IEA that is no new interchange")
        raise X12Error(detail, reason=reason, segment="ISA", position=position)
    element = text[start + 3 : start + 4]
    end = start + 3
    for _ in range(_ISA_ELEMENTS - 1):
        end = text.find(element, end + 1) if element else -1
        if end < 0:
            break
    found = text[end + 1 : end + 3] if end > 0 else ""
    if len(found) == 1 + 1 and _are_delimiters(element, *found):
        return Delimiters(element, found[0], found[1])
    raise X12Error("its delimiters are unreadable", reason="not_x12", segment="ISA", position=position)


def _are_delimiters(*characters: str) -> bool:
    distinct = len(set(characters)) == len(characters)
    return distinct and not any(c.isalnum() or c == " " or not c.isascii() for c in characters)


def _skip_blank(text: str, start: int) -> int:
    while start < len(text) and text[start] in _BLANK:
        start += 1
    return start


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
