"""Compares what an aggregation gave with what it has to give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.support.aggregate_batch import Cell, Row
from tests.support.aggregate_functions import Asked


def differences(
    functions: Sequence[Asked], given: Mapping[Cell, Row], right: Mapping[Cell, Row]
) -> list[str]:
    """Return what is missing, too much, or not right, a line each; nothing where all agree."""
    found = [f"{cell}: missing" for cell in right.keys() - given.keys()]
    found += [f"{cell}: too much" for cell in given.keys() - right.keys()]
    for cell in right.keys() & given.keys():
        found += [
            f"{cell}: {each.name}: {given[cell][each.name]!r}, right is {right[cell][each.name]!r}"
            for each in functions
            if not each.agrees(given[cell][each.name], right[cell][each.name])
        ]
    return sorted(found)
