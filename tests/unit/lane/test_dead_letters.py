"""The headers of a dead letter: enough to find the original and to send it again."""

from __future__ import annotations

from fleet.lane.dead_letters import dead_letter_headers, reason_of
from fleet.lane.effects import DeadLetter
from tests.support.lane_fakes import SourceRecord

RECORD = SourceRecord(
    b"v",
    offset=42,
    topic="raw",
    partition=3,
    timestamp=1_700_000_000_123,
    headers=(("a", b"\xff\x00"), ("a", b"")),
)


def test_headers_name_reason_and_coordinates() -> None:
    """Each is text, under the platform's own prefix."""
    headers = dead_letter_headers("router", DeadLetter(RECORD, "not_avro", "decode", "byte 0 is not 0"))
    assert reason_of(headers) == {
        "reason": "not_avro",
        "step": "decode",
        "detail": "byte 0 is not 0",
        "agent": "router",
        "topic": "raw",
        "partition": "3",
        "offset": "42",
        "timestamp": "1700000000123",
        "attempt": "1",
    }


def test_a_rule_that_was_at_work_is_named() -> None:
    """So that its owner finds the letters of it."""
    added = (("fleet_dl_rule", b"big-claims@7"),)
    letter = DeadLetter(RECORD, "condition_error", "condition", added=added)
    assert reason_of(dead_letter_headers("router", letter))["rule"] == "big-claims@7"


def test_original_headers_are_kept_byte_for_byte() -> None:
    """In order, duplicates and non-text included, before the added ones."""
    assert dead_letter_headers("router", DeadLetter(RECORD, "r", "s"))[:2] == [("a", b"\xff\x00"), ("a", b"")]


def test_a_dead_letter_that_fails_again_names_its_last_failure_only() -> None:
    """A redriven record does not pile up the headers of each of its failures."""
    once = dead_letter_headers("router", DeadLetter(RECORD, "first", "s"))
    again = SourceRecord(b"v", headers=tuple(once))
    headers = dead_letter_headers("router", DeadLetter(again, "second", "s"))
    assert [value for name, value in headers if name == "fleet_dl_reason"] == [b"second"]
    assert len(headers) == len(once)
