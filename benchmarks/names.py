"""A report whose cases have the names by which a benchmark of its own calls them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from benchmarks.figures import Goal
from benchmarks.report import Report


def renamed(found: Report, names: Mapping[str, str]) -> Report:
    """Return `found` with its cases, all of which are in `names`, called by these."""
    return msgspec.structs.replace(
        found,
        rows=[msgspec.structs.replace(row, case=names[row.case]) for row in found.rows],
        ratios=[msgspec.structs.replace(ratio, case=names[ratio.case]) for ratio in found.ratios],
        sittings={names[case]: sitting for case, sitting in found.sittings.items()},
        unfinished=[names[case] for case in found.unfinished],
        goals=[_goal(goal, names) for goal in found.goals],
    )


def _goal(goal: Goal, names: Mapping[str, str]) -> Goal:
    case, colon, rest = goal.goal.partition(":")
    return msgspec.structs.replace(goal, goal=f"{names.get(case, case)}{colon}{rest}")
