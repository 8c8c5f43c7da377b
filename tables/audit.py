"""Audit records: who did what, each bound to the one before it by its hash.

A record is a JSON object. ``hash`` is the SHA-256 of its other members as canonical JSON (sorted names,
no spaces), and ``previous_hash`` is one of them: whoever changes, drops or moves a record breaks the chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

GENESIS: Final = "0" * 64
"""``previous_hash`` of the first record."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What checking a chain found.

    Attributes:
        intact: Whether every record follows from the one before it.
        records: How many were checked.
        last_hash: Hash of the last one; keep it elsewhere to notice a chain that was cut short.
        broken: Where and why the chain is broken; empty where it is not.
    """

    intact: bool
    records: int
    last_hash: str
    broken: str = ""


def seal(record: Mapping[str, Any], *, number: int, previous_hash: str) -> dict[str, Any]:
    """Return `record` as the next one of a chain.

    Args:
        record: What happened, JSON values alone.
        number: Its place in the chain, from 1.
        previous_hash: Hash of the record before it, `GENESIS` for the first.
    """
    body = {**record, "number": number, "previous_hash": previous_hash}
    return {**body, "hash": _hash(body)}


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


class Chain:
    """Follows a chain record by record, and notes the first that does not belong there.

    Attributes:
        number: Number of the last record.
        last_hash: Hash of the last record.
        broken: Where and why it is broken; empty where it is not.
    """

    def __init__(self) -> None:
        self.number = 0
        self.last_hash = GENESIS
        self.broken = ""

    def add(self, value: bytes | None) -> dict[str, Any]:
        """Check the next record and return it; an empty object where it is none at all."""
        try:
            record = orjson.loads(value or b"")
        except orjson.JSONDecodeError:
            record = None
        if not isinstance(record, dict):
            self._note("is no JSON object")
            self.number += 1
            return {}
        self._check(record)
        self.number = record["number"] if isinstance(record.get("number"), int) else self.number + 1
        self.last_hash = str(record.get("hash"))
        return record

    def verdict(self) -> Verdict:
        """Return what was found so far."""
        return Verdict(not self.broken, self.number, self.last_hash, self.broken)

    def _check(self, record: Mapping[str, Any]) -> None:
        body = {name: value for name, value in record.items() if name != "hash"}
        if record.get("number") != self.number + 1:
            self._note(f"is followed by number {record.get('number')}", at=self.number)
        elif record.get("previous_hash") != self.last_hash:
            self._note("does not follow from the record before it")
        elif record.get("hash") != _hash(body):
            self._note("was changed: its hash is another")

    def _note(self, what: str, *, at: int | None = None) -> None:
        if not self.broken:
            self.broken = f"record {self.number + 1 if at is None else at} {what}"


def verify(values: Iterable[bytes | None]) -> Verdict:
    """Check a chain from its first record on."""
    chain = Chain()
    for value in values:
        chain.add(value)
    return chain.verdict()
