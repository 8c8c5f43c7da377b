"""Compiled expressions against cel-python's evaluator: values and errors alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from fleet.cel.calls import MACROS
from fleet.cel.functions import FUNCTIONS
from tests.unit.cel.corpus import Group, groups
from tests.unit.cel.differences import DIFFERENCES, ERROR
from tests.unit.cel.reference import compiled, reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GROUPS: Final = tuple(groups())
# Functions that the reference does not have; each has tests of its own.
_OURS: Final = frozenset(
    {"decimal", "round", "charAt", "indexOf", "join", "lastIndexOf", "lowerAscii", "replace", "split"}
    | {"substring", "trim", "upperAscii"}
)


def _differing(group: Group) -> Iterator[tuple[str, Mapping[str, Any], object, object]]:
    for text in group.expressions:
        for event in group.events:
            ours, theirs = compiled(text, event), reference(text, event)
            if ours != theirs:
                yield text, event, ours, theirs


@pytest.mark.parametrize("group", GROUPS, ids=[group.name for group in GROUPS])
def test_every_pair_gives_what_the_reference_gives(group: Group) -> None:
    """Value or error, each expression gives what cel-python gives, or what the definition says instead."""
    unexplained = [
        found
        for found in _differing(group)
        if not any(
            found[0] in difference.expressions and difference.answer(found[1]) == found[2]
            for difference in DIFFERENCES
        )
    ]

    assert unexplained == []


def test_every_difference_is_still_one() -> None:
    """The list of differences holds nothing that the reference has come to do as the definition says."""
    written = {text for difference in DIFFERENCES for text in difference.expressions}
    found = {text for group in GROUPS for text, *_ in _differing(_only(group, written))}

    assert found == written


def _only(group: Group, written: set[str]) -> Group:
    return group._replace(expressions=[text for text in group.expressions if text in written])


def test_the_corpus_is_large_and_holds_errors_as_well_as_values() -> None:
    """At least 2,000 pairs give a value: a corpus of errors would prove little."""
    results = [
        reference(text, event) for group in GROUPS for text in group.expressions for event in group.events
    ]
    values = [result for result in results if result != ERROR]

    assert len(values) >= 5000
    assert len(results) - len(values) >= 2000
    assert len(set(map(repr, values))) >= 200


def test_the_corpus_uses_every_function_that_the_reference_has() -> None:
    """A function that is added is added to the corpus, too."""
    texts = " ".join(text for group in GROUPS for text in group.expressions)
    unused = [name for name in (*FUNCTIONS, *MACROS) if f"{name}(" not in texts]

    assert set(unused) == _OURS
