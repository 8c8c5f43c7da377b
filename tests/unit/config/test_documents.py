"""Definitions as text: YAML that people read, and what differs between two of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.documents import changes, dump, load_list, unified
from tables.errors import InvalidInputError

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n"), max_size=40)
SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXT
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(TEXT, TREES, max_size=4)


@given(st.lists(DOCUMENTS, max_size=3))
def test_what_is_exported_is_imported(documents: list[dict[str, Any]]) -> None:
    """Any JSON comes back as it was, whatever its texts look like."""
    assert load_list(dump(documents), source="it", of="rules") == documents


def test_text_of_several_lines_is_written_in_several() -> None:
    """As people write it, and members in the order they have."""
    content = [{"name": "a", "condition": "x > 1\n&& y"}]
    assert dump(content) == "- name: a\n  condition: |-\n    x > 1\n    && y\n"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"[1, ", "it is not YAML"),
        (b"\xff\xfe\x00", "it is not YAML"),
        (b"[" * 5_000, "it is not YAML"),
        (b"!!python/object/apply:os.system [ls]", "it is not YAML"),
        (b"a: 1", "it must hold a list of rules"),
        (b"- 1", "entry 1 must be an object"),
        (b"- {a: 1}\n- {1: 2}", "entry 2 must be an object"),
        (b"- &a {x: 1}\n- *a", "uses YAML aliases"),
        (b"- &a\n  x: *a", "uses YAML aliases"),
        (b"- {x: 2024-13-45}", "it is not YAML"),
    ],
)
def test_what_is_no_list_of_objects_is_refused(text: bytes, part: str) -> None:
    """In one line, whatever it is; aliases too, of which a few lines would fill any memory."""
    with pytest.raises(InvalidInputError) as caught:
        load_list(text, source="it", of="rules")
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_difference_names_the_path_and_both_values() -> None:
    """Nested members by their path, lists as a whole, and what one of them has not as None."""
    before = {"a": 1, "b": {"c": [1], "d": 2}, "gone": True}
    after = {"a": 1, "b": {"c": [1, 2], "d": 2}, "new": None}
    assert changes(before, after) == [
        {"field": "b.c", "from": [1], "to": [1, 2]},
        {"field": "gone", "from": True, "to": None},
        {"field": "new", "from": None, "to": None},
    ]


@given(DOCUMENTS, DOCUMENTS)
def test_only_what_differs_is_told(left: dict[str, Any], right: dict[str, Any]) -> None:
    """Equal documents have no difference and no diff; others have one."""
    assert changes(left, left) == []
    assert unified(dump(left), dump(left), ("a", "b")) == ""
    assert (dump(left) == dump(right)) == (unified(dump(left), dump(right), ("a", "b")) == "")
