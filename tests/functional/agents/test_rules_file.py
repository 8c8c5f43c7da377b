"""The file of ``eventfleet routes apply``: what is wrong with it is said in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from fleet.cli.routes import changes, load
from fleet.cli.run import RULES
from fleet.errors import EventfleetError
from tables.routes.rule import parse_rule

RULE = """
- {name: big-claims, owner: team, source: canonical.claim, targets: [team.x], condition: "event.a > 1"}
"""


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"{a: [", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"[" * 5000, "is not YAML"),
        (b"", "must hold a list of rules"),
        (b"a: 1", "must hold a list of rules"),
        (b"- 1", "rule must be an object"),
        (b"- {1: 2}", "rule must be an object"),
        (b"- {name: x}", "rule 'x': owner is required"),
        (RULE.replace("a > 1", "a > ").encode(), "rule 'big-claims': condition line 1 column 10"),
        (RULE.replace("team.x", "fleet.config.routes").encode(), "belongs to the platform"),
        ((RULE + RULE).encode(), "rule 'big-claims' is given twice"),
    ],
    ids=[
        "broken",
        "binary",
        "deep",
        "empty",
        "mapping",
        "number",
        "odd keys",
        "incomplete",
        "condition",
        "target",
        "twice",
    ],
)
def test_a_file_is_refused_in_one_line(content: bytes, part: str, tmp_path: Path) -> None:
    """Whatever is in the file, the error is one of ours and names what is wrong."""
    path = tmp_path / "rules.yaml"
    path.write_bytes(content)
    with pytest.raises(EventfleetError) as caught:
        load(path)
    line = str(caught.value)
    assert part in line
    assert "\n" not in line


def test_the_rules_of_the_demonstration_load() -> None:
    """The file that ``eventfleet run`` applies holds three rules."""
    assert [each["name"] for each in load(RULES)] == [
        "high-value-claims",
        "office-claims",
        "watchlist-claims",
    ]


WANTED: Final[dict[str, Any]] = {
    "name": "r",
    "owner": "team",
    "source": "canonical.claim",
    "targets": ["team.x"],
    "condition": "event.a > 1",
}


def test_a_rule_that_is_the_same_is_left_alone() -> None:
    """Applied twice, a rule is written once."""
    first = changes([WANTED], {})
    assert [parse_rule(row).version for row in first.values()] == [1]
    assert changes([WANTED], first) == {}


@pytest.mark.parametrize(
    ("row", "version"),
    [
        (b'{"name":"r","version":4,"condition":"event.a >"}', 5),
        (b'{"version":"4"}', 1),
        (b"[]", 1),
        (b"\xff", 1),
    ],
    ids=["refused", "text", "list", "bytes"],
)
def test_a_version_is_never_used_twice(row: bytes, version: int) -> None:
    """Over a row that is refused the versions go on, as far as it still says one."""
    changed = changes([WANTED], {"r": row})
    assert parse_rule(changed["r"]).version == version
