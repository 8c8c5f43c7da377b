"""What a format makes of a file: records with their place in it, and what cannot be read as one.

A tree holds nothing but dicts with text keys, lists, text, None and what JSON has (``bool``, ``int``,
``Decimal``); its shape is of the format alone, never of the data. `AT` in a dict says where in the file
it stands, as the format counts: the segment, the line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

AT: Final = "@"
"""Key of a position in a dict of a tree; no field of a source has this name."""

Tree: TypeAlias = dict[str, Any]


class Position(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where a record stands in its file; what a format does not count is left out.

    Attributes:
        byte: Offset of its first byte in the file, after decompression.
        record: 1-based number among all records of the file, those that cannot be read included.
        line: 1-based line.
        segment: 1-based segment of the file (X12, HL7 v2).
        interchange: Control number of the interchange or batch (ISA13, BHS-11).
        transaction: Control number of the transaction or message (ST02, MSH-10).
        entry: Name of the entry in an archive.
    """

    byte: int = 0
    record: int = 0
    line: int | None = None
    segment: int | None = None
    interchange: str | None = None
    transaction: str | None = None
    entry: str | None = None


class SourceRecord(msgspec.Struct, frozen=True, gc=False):
    """One record of a source: the unit that is loaded, quarantined or dropped as a duplicate.

    Attributes:
        kind: What it is, by which its mapping is chosen: ``837P``, ``ADT_A01``, ``Patient``, ``row``.
        tree: What it holds.
        position: Where it stands.
        raw: A file of its format that holds this record alone and reads as it again, for the quarantine.
    """

    kind: str
    tree: Tree
    position: Position
    raw: bytes


class Damaged(msgspec.Struct, frozen=True, gc=False):
    """What should be a record and cannot be read as one; it counts as one and goes to the quarantine.

    Attributes:
        reason: A stable word: ``missing_segment``, ``bad_json``, ``too_large``.
        detail: One line that names the place (segment, element, column, path) and what is wrong with it.
        position: Where it stands.
        raw: Its bytes, whole, or their beginning where it is too large.
    """

    reason: str
    detail: str
    position: Position
    raw: bytes


class Part(msgspec.Struct, frozen=True, gc=False):
    """A piece of a file that is read alone: what is published to ``raw.<system>``.

    Attributes:
        raw: The piece, with all that its records need of what stands before them.
        records: How many records it holds, damaged ones included.
        position: Where its first record stands.
        origin: What else the format needs to know to tell positions right, as JSON values.
    """

    raw: bytes
    records: int
    position: Position
    origin: Mapping[str, Any] = {}
