"""Which topics the broker has made."""

from __future__ import annotations

from typing import Any

from benchmarks.cluster import without_leader


def described(topic: str, *errors: int) -> dict[str, Any]:
    """Return what a broker says of a topic with a partition for each of these errors."""
    return {"topic": topic, "error_code": 0, "partitions": [{"error_code": error} for error in errors]}


def test_topics_are_made_once_each_partition_has_a_leader() -> None:
    """Not one that is unknown, has no partitions yet, or one without a leader."""
    found = [described("made", 0, 0), described("led in part", 0, 5), described("empty")]
    asked = ["made", "led in part", "empty", "unknown"]
    assert without_leader(asked, found) == ["led in part", "empty", "unknown"]
