"""The rules as they were at an offset, from what is left of their table and from its audit."""

from __future__ import annotations

from typing import Any

import orjson

from agents.router.explaining.history import History
from tables.routes.kind import AUDIT, TOPIC
from tests.support.lane_fakes import SourceRecord


def document(name: str, version: int, state: str = "active") -> dict[str, Any]:
    """Return a rule as JSON values."""
    plain = {"owner": "team", "source": "canonical.claim", "targets": ["team.t"], "state": state}
    return {"name": name, "version": version, **plain}


def row(offset: int, name: str, content: Any) -> SourceRecord:
    """Return a record of the table."""
    value = content if isinstance(content, bytes | None) else orjson.dumps(content)
    return SourceRecord(value, offset, name.encode(), TOPIC)


def audit(config_offset: int, before: Any, after: Any) -> SourceRecord:
    """Return a record of the audit."""
    told = {"name": after["name"], "config_offset": config_offset, "before": before, "after": after}
    return SourceRecord(orjson.dumps(told), config_offset, after["name"].encode(), AUDIT)


def rules(offset: int, *records: SourceRecord) -> dict[str, tuple[int, str]]:
    """Return version and state of the rules at an offset; the same for either order of the two topics."""
    found = []
    for ordered in (records, sorted(records, key=lambda record: record.topic)):
        history = History(offset)
        for record in ordered:
            history.take(record)
        timeline = history.timeline()
        assert timeline.offset == offset
        found.append({rule.name: (rule.version, rule.state.value) for rule in timeline.rules})
    assert found[0] == found[1]
    return found[0]


def test_rows_up_to_the_offset_count() -> None:
    """The row at the offset itself is the first that was not there yet; a removed one is gone."""
    records = [row(3, "a", document("a", 1)), row(5, "a", document("a", 2)), row(6, "a", None)]
    assert rules(3, *records) == {}
    assert rules(5, *records) == {"a": (1, "active")}
    assert rules(6, *records) == {"a": (2, "active")}
    assert rules(7, *records) == {}


def test_what_is_compacted_away_is_in_the_audit() -> None:
    """The table has the last version alone, the audit has all."""
    first, second, third = (document("a", 1), document("a", 2, "paused"), document("a", 3))
    records = [row(9, "a", third), audit(2, None, first), audit(4, first, second), audit(9, second, third)]
    assert rules(3, *records) == {"a": (1, "active")}
    assert rules(9, *records) == {"a": (2, "paused")}
    assert rules(10, *records) == {"a": (3, "active")}


def test_a_row_written_past_the_audit_counts() -> None:
    """Newer than what the audit knows, whichever is read first."""
    records = [row(6, "a", document("a", 3)), audit(4, document("a", 1), document("a", 2))]
    assert rules(5, *records) == {"a": (2, "active")}
    assert rules(7, *records) == {"a": (3, "active")}


def test_what_is_older_than_the_audit_is_what_the_first_change_found() -> None:
    """A rule that was there before anybody kept an audit, changed since."""
    old, new = document("a", 4), document("a", 5)
    assert rules(6, row(8, "a", new), audit(8, old, new)) == {"a": (4, "active")}
    assert rules(9, row(8, "a", new), audit(8, old, new)) == {"a": (5, "active")}


def test_a_refused_row_leaves_the_last_good_version() -> None:
    """As on the routers, which go on with it."""
    records = [row(1, "a", document("a", 1)), row(2, "a", b"junk"), row(3, "a", document("b", 2))]
    assert rules(4, *records) == {"a": (1, "active")}


def test_what_no_router_decides_by_is_left_out() -> None:
    """A row that is no rule, or another's, and an audit record that says nothing."""
    records = [
        row(0, "a", b"junk"),
        row(1, "b", document("c", 1)),
        SourceRecord(b"junk", 0, b"d", AUDIT),
        row(2, "e", document("e", 1)),
    ]
    assert rules(5, *records) == {"e": (1, "active")}
