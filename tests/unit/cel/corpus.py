"""The corpus of ``corpus.yaml``, pair by pair."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_MISSING: Final = object()


class Group(NamedTuple):
    """Expressions and the events that each of them meets."""

    name: str
    expressions: list[str]
    events: list[dict[str, Any]]


def groups() -> Iterator[Group]:
    """Yield the groups of the corpus."""
    for group in yaml.safe_load((Path(__file__).parent / "corpus.yaml").read_text()):
        values = [*group["values"], *([None, _MISSING] if group.get("with_none") else [])]
        combinations = itertools.product(values, repeat=len(group["fields"]))
        events = [
            {
                **group.get("event", {}),
                **{
                    name: value
                    for name, value in zip(group["fields"], chosen, strict=True)
                    if value is not _MISSING
                },
            }
            for chosen in combinations
        ]
        yield Group(group["name"], group["expressions"], events)
