"""The questions: what each asks of one partition, and how the parts of all make an answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agents.aggregator.domain.windowing.window import Window
from agents.aggregator.queries.answers import Found
from agents.aggregator.queries.cursors import Cursor
from agents.aggregator.queries.results import packed
from fleet.errors import TransientError
from tables.errors import NotFoundError

if TYPE_CHECKING:
    from agents.aggregator.domain.rows import Row
    from agents.aggregator.queries.holding import Holding
    from agents.aggregator.queries.spread import Part
    from agents.aggregator.queries.targets import Target

KEYS: Final = "keys"
WINDOWS: Final = "windows"
WINDOW: Final = "window"


@dataclass(frozen=True)
class Answer:
    """What a question found.

    Attributes:
        rows: Its rows, where it has any of its own.
        more: Further members of the answer.
        next: Where the next page begins; None where there is none.
    """

    rows: Sequence[Found] = ()
    more: dict[str, Any] = field(default_factory=dict)
    next: Cursor | None = None


@dataclass(frozen=True)
class Question(ABC):
    """A question about one build.

    Attributes:
        target: The build.
    """

    target: Target

    @abstractmethod
    async def of(self, holding: Holding) -> Part:
        """Return what one partition has, as JSON values, with ``watermark_ms``."""

    @abstractmethod
    def answer(self, parts: Sequence[Part]) -> Answer:
        """Return the answer that the parts make.

        Raises:
            NotFoundError: What was asked for is not there.
            TransientError: That cannot be told now.
        """

    def _packed(self, group: str, window: Window, row: Row, watermark_ms: int | None) -> list[Any]:
        return packed(self.target.compiled, group, window, row, watermark_ms)

    def _absent(self, what: str, parts: Sequence[Part]) -> NotFoundError | TransientError:
        """Return the error that something is not there; from a copy that lags nobody can tell."""
        name = f"aggregation {self.target.name!r}, build {self.target.number}"
        if any(part["lag"] for part in parts):
            return TransientError(f"{what} is not known to a standby yet", hint="try again")
        hint = "rows are there from their first event until `retention_ms` after their window has closed"
        return NotFoundError(f"{name} has no row of {what}", hint=hint)
