"""What ``docs/expressions.md`` says about the language is what the language does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from fleet.cel import compile_expression
from fleet.cel.calls import MACROS
from fleet.cel.functions import FUNCTIONS
from fleet.cel.syntax import MAX_CHARACTERS, MAX_DEPTH, MAX_MACRO_DEPTH
from fleet.cel.values import MAX_SIZE

_PAGE: Final = (Path(__file__).parents[3] / "docs" / "expressions.md").read_text()
_ROWS: Final = re.findall(r"^\| `(.+)` \| `(.+)` \|$", _PAGE, re.MULTILINE)


@pytest.mark.parametrize(("text", "result"), _ROWS)
def test_every_row_gives_what_it_says(text: str, result: str) -> None:
    """An example that a reader copies works."""
    left, right = (compile_expression(each).evaluate({}, dict) for each in (text, result))

    assert (type(left), left) == (type(right), right)


def test_every_function_and_macro_has_a_row() -> None:
    """Nothing of the language is left for a reader to guess."""
    examples = " ".join(text for text, _ in _ROWS)

    assert [name for name in (*FUNCTIONS, *MACROS, "has") if f"{name}(" not in examples] == []


def test_the_limits_are_those_of_the_language() -> None:
    """The numbers of the page are the numbers of the code."""
    assert f"{MAX_CHARACTERS:,} characters, {MAX_DEPTH} levels, {MAX_MACRO_DEPTH} macros" in _PAGE
    assert f"{MAX_SIZE:,} characters, bytes and elements" in _PAGE
