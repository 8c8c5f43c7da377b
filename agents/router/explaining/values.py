"""The one place where an explanation shows what an event holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleet.cel.explanation import Finding


def seen(finding: Finding) -> dict[str, Any]:
    """Return a part of a condition, with the values that it read, as whoever asks may see it.

    Whoever may ask for an explanation sees the fields that rules read.
    """
    return {**asdict(finding), "said": str(finding)}
