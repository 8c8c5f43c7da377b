"""The file of ``eventfleet routes apply``: what is wrong with it is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.cli.routes import COMMANDS
from fleet.cli.run import RULES
from fleet.errors import EventfleetError

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
        (b"- 1", "entry 1 must be an object"),
        (b"- {1: 2}", "entry 1 must be an object"),
        (b"- &a {name: x}\n- *a", "uses YAML aliases"),
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
        "aliases",
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
        COMMANDS.load(path)
    line = str(caught.value)
    assert part in line
    assert "\n" not in line


def test_the_rules_of_the_demonstration_load() -> None:
    """The file that ``eventfleet run`` applies holds three rules."""
    assert [each["name"] for each in COMMANDS.load(RULES)] == [
        "high-value-claims",
        "office-claims",
        "watchlist-claims",
    ]
