"""Routing rules as a kind of definition: what a person writes of one, and which a filter takes."""

from __future__ import annotations

from typing import Any

import pytest

from tables.kinds import Filter
from tables.routes.kind import content, parse


def a_rule(**fields: Any) -> dict[str, Any]:
    """Return a rule with every field that it can have."""
    plain = {
        "name": "r",
        "version": 3,
        "owner": "finance",
        "source": "canonical.claim",
        "targets": ["team.X"],
    }
    return parse({**plain, **fields})


def test_content_is_what_a_person_writes() -> None:
    """Without the version, what the platform sets and defaults; parsing it gives the rule again."""
    rule = a_rule(projection={"keep": ["id"]}, output_schema=7, priority=2)
    written = content(rule)
    assert written == {
        "name": "r",
        "owner": "finance",
        "source": "canonical.claim",
        "targets": ["team.X"],
        "condition": "true",
        "projection": {"keep": ["id"]},
        "priority": 2,
        "state": "draft",
    }
    assert parse({**written, "version": 3}) == {**rule, "output_schema": None}


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Filter(), True),
        (Filter(owner="finance", source="canonical.claim", state="draft", text="TEAM.x"), True),
        (Filter(owner="fraud"), False),
        (Filter(source="canonical"), False),
        (Filter(state="active"), False),
        (Filter(text="unheard"), False),
        (Filter(text='"X"'), True),
    ],
    ids=["all", "each", "owner", "source", "state", "text", "quotes"],
)
def test_a_filter_takes_what_fits_in_all_parts(wanted: Filter, *, taken: bool) -> None:
    """Text is looked for in all that a person wrote, in whatever case."""
    rule = a_rule(condition='attributes.region == "x"')
    assert wanted.takes(rule, content) is taken


def test_deleted_ones_are_taken_only_if_asked_for() -> None:
    """By their state."""
    deleted = a_rule(state="deleted")
    assert not Filter().takes(deleted, content)
    assert Filter(state="deleted").takes(deleted, content)
