"""What is looked at in every record: headers by name, and how values begin."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from fleet import native
from fleet.lane.record import Record

Selector: TypeAlias = Callable[[Record], tuple[bytes | None, ...]]


class HeaderSelector:
    """Called with a record: the values of the headers `names`, in that order, None where there is none.

    Of a header that is there more than once the last counts.
    """

    __slots__ = ("_names",)

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)

    def __call__(self, record: Any) -> tuple[bytes | None, ...]:
        """Return the values of `record`."""
        found = dict(record.headers)
        return tuple([found.get(name) for name in self._names])


_compiled = native.load("fleet.lane._records")


def plain_value_prefixes(records: Iterable[Record], size: int) -> set[bytes]:
    """Return what `value_prefixes` does, in Python."""
    return {value[:size] for record in records if (value := record.value) is not None}


value_prefixes: Callable[[Iterable[Record], int], set[bytes]] = (
    plain_value_prefixes if _compiled is None else _compiled.value_prefixes
)
"""Return the first bytes, so many at most, that values of records have: those of a wire format, say."""


def select_headers(names: Iterable[str]) -> Selector:
    """Return a function of a record: the values of its headers `names`, None where there is none."""
    selector: Selector = HeaderSelector(names) if _compiled is None else _compiled.HeaderSelector(names)
    return selector
