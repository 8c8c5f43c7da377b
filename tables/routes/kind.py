"""Routing rules as a kind of definition: what is checked before one is written, and against what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from schemas.registry import Registry
from tables.documents import Document
from tables.routes.errors import RuleError
from tables.routes.rule import Rule, parse_rule

TOPIC: Final = "fleet.config.routes"
AUDIT: Final = "fleet.audit.routes"

RESERVED: Final = frozenset({"export", "import"})
"""Names that the HTTP API has paths of."""

_OF_THE_PLATFORM: Final = ("version", "output_schema")
_ALWAYS: Final = ("name", "owner", "source", "targets", "condition", "state")
_DEFAULTS: Final = {
    field.name: msgspec.to_builtins(field.default)
    for field in msgspec.structs.fields(Rule)
    if field.default is not msgspec.NODEFAULT
}


class Routes:
    """The kind of definition that routing rules are.

    Args:
        registry: Where the schemas of events are.
    """

    noun = "rule"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def parse(self, document: Mapping[str, Any]) -> Document:
        """Return a rule with every field that it can have.

        Raises:
            RuleError: It is refused; names the field, for an expression also line and column.
        """
        return parse(document)

    def content(self, document: Document) -> Document:
        """Return what of a rule a person writes."""
        return content(document)

    async def check(self, changed: Sequence[Document], table: Mapping[str, Document]) -> Sequence[Document]:
        """Check rules that are to be written against all that the table will then hold."""
        del table
        for each in changed:
            if each["name"] in RESERVED:
                raise RuleError(
                    f"name: {each['name']!r} is taken", field="name", hint="choose another name"
                ).of(each["name"])
        return changed


def parse(data: bytes | Mapping[str, Any]) -> Document:
    """Return a rule as JSON values, with every field that it can have; see `parse_rule`."""
    document: Document = msgspec.json.decode(msgspec.json.encode(parse_rule(data)))
    return document


def content(document: Document) -> Document:
    """Return what of a rule a person writes: no version, nothing that the platform sets, no defaults."""
    kept = {
        name: value
        for name, value in document.items()
        if name in _ALWAYS or (name not in _OF_THE_PLATFORM and value != _DEFAULTS.get(name))
    }
    if kept.get("projection"):
        kept["projection"] = {part: value for part, value in kept["projection"].items() if value}
    return kept
