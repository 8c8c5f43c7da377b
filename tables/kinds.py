"""What definitions of every kind have in common: name, version, owner, state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from tables.documents import Document

ACTIVE, PAUSED, DELETED = "active", "paused", "deleted"
RESERVED: Final = frozenset({"export", "import"})
"""Names that the HTTP API has paths of."""
PAGE = 100
MAX_PAGE = 1_000


class Kind(Protocol):
    """What one kind of definition is; a definition is a JSON object with name, version, owner and state."""

    @property
    def noun(self) -> str:
        """What people call one, e.g. ``rule``."""

    def parse(self, document: Mapping[str, Any]) -> Document:
        """Return a definition with every field that it can have.

        Raises:
            PermanentError: It is refused; says why.
        """

    def content(self, document: Document) -> Document:
        """Return what of it a person writes: without version, what the platform sets, and defaults."""

    async def check(self, changed: Sequence[Document], table: Mapping[str, Document]) -> None:
        """Check definitions that are to be written against all that the table will then hold.

        Raises:
            PermanentError: One is refused; says why.
            TransientError: What is needed for the check does not answer.
        """

    async def complete(self, document: Document, before: Document | None) -> Document:
        """Return a definition that was checked with what the platform sets in it; may be called again.

        Args:
            document: What is to be written.
            before: The definition that it replaces, which may be a deleted one; None where there is none.

        Raises:
            PermanentError: It is refused; says why.
            TransientError: What is needed for it does not answer.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which definitions are wanted; what is empty does not matter.

    Attributes:
        owner: Team that answers for it.
        source: Where it reads from.
        state: Its state; deleted ones are left out where none is named.
        text: Part of what a person wrote in it, in whatever case.
    """

    owner: str = ""
    source: str = ""
    state: str = ""
    text: str = ""

    def takes(self, document: Document, content: Callable[[Document], Document]) -> bool:
        """Return whether it wants `document`; `content` gives what a person wrote in it."""
        if document["state"] != self.state if self.state else document["state"] == DELETED:
            return False
        if self.owner not in ("", document["owner"]) or self.source not in ("", *_sources(document)):
            return False
        text = self.text.casefold()
        return not text or any(text in word.casefold() for word in _words(content(document)))


def _sources(document: Document) -> Sequence[str]:
    """Return where a definition reads from: one place or several, by its kind."""
    return (document["source"],) if "source" in document else document.get("sources", ())


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)
    else:
        yield str(value)


@dataclass(frozen=True, slots=True)
class Page:
    """Definitions in the order of their names.

    Attributes:
        items: The definitions.
        after: Name after which the next page begins; empty on the last one.
        total: How many there are on all pages.
        offset: Where the table stood.
        refused: Rows that no definition can be made of, and why.
    """

    items: list[Document]
    after: str
    total: int
    offset: int
    refused: dict[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """All definitions at one moment.

    Attributes:
        documents: Definitions by name, deleted ones too.
        versions: Version in each row, also of those that are refused.
        refused: Rows that no definition can be made of, and why.
        offset: Where the table stood.
    """

    documents: dict[str, Document]
    versions: dict[str, int]
    refused: dict[str, str]
    offset: int


class Edit(NamedTuple):
    """A definition to be written.

    Attributes:
        action: What that is in the audit.
        document: All of it.
        settled: Whether what the platform sets is in it: it is written as it is, not checked again.
    """

    action: str
    document: Document
    settled: bool = False
