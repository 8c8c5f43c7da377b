"""The chain of audit records: whole as written, and broken by whatever is done to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tables.audit import GENESIS, seal, verify

Record = dict[str, Any]


def chain(count: int) -> list[Record]:
    """Return a chain of `count` records."""
    records: list[Record] = []
    last = GENESIS
    for number in range(1, count + 1):
        records.append(
            seal({"name": f"rule-{number}", "after": {"b": 1, "a": 2}}, number=number, previous_hash=last)
        )
        last = records[-1]["hash"]
    return records


def values(records: list[Record]) -> list[bytes]:
    """Return records as they are in Kafka."""
    return [orjson.dumps(record) for record in records]


def test_a_chain_as_written_is_whole() -> None:
    """Whatever the order of the members, and from the first record on."""
    records = chain(5)
    turned = [dict(reversed(record.items())) for record in records]
    for each in (records, turned):
        verdict = verify(values(each))
        assert (verdict.intact, verdict.records, verdict.last_hash) == (True, 5, records[-1]["hash"])
    assert verify([]).intact


def change(records: list[Record]) -> list[Record]:
    """Change what a record says."""
    records[2]["after"] = {"b": 1, "a": 3}
    return records


def change_and_rehash(records: list[Record]) -> list[Record]:
    """Change what a record says, and give it the hash that fits."""
    body = {
        name: value for name, value in records[2].items() if name not in ("hash", "number", "previous_hash")
    }
    records[2] = seal({**body, "name": "other"}, number=3, previous_hash=records[2]["previous_hash"])
    return records


def drop(records: list[Record]) -> list[Record]:
    """Leave a record out."""
    return records[:2] + records[3:]


def swap(records: list[Record]) -> list[Record]:
    """Let two records change places."""
    records[2], records[3] = records[3], records[2]
    return records


def cut_off(records: list[Record]) -> list[Record]:
    """Leave out the beginning."""
    return records[2:]


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (change, "record 3 was changed"),
        (change_and_rehash, "record 4 does not follow"),
        (drop, "record 2 is followed by number 4"),
        (swap, "record 2 is followed by number 4"),
        (cut_off, "record 0 is followed by number 3"),
    ],
)
def test_a_spoilt_chain_is_found(spoil: Callable[[list[Record]], list[Record]], part: str) -> None:
    """The first record that does not belong there is named."""
    verdict = verify(values(spoil(chain(5))))
    assert not verdict.intact
    assert verdict.broken.startswith(part)


@pytest.mark.parametrize("value", [b"", b"junk", b"[]", None], ids=["empty", "junk", "list", "tombstone"])
def test_what_is_no_record_breaks_the_chain(value: bytes | None) -> None:
    """Bytes that somebody wrote past the log are told, and do not stop the check."""
    verdict = verify([*values(chain(2)), value])
    assert verdict.broken == "record 3 is no JSON object"
