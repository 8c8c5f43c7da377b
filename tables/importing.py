"""Definitions in files: export all, import a list; importing what is there already changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tables.documents import Document, changes, dump
from tables.errors import InvalidInputError
from tables.kinds import DELETED, Edit, Filter

if TYPE_CHECKING:
    from tables.access import Actor
    from tables.definitions import Definitions
    from tables.kinds import Table

UNCHANGED = "unchanged"
FIRST = (
    "This file is of `export`; import it to have these definitions again. Versions count up by themselves."
)


@dataclass(frozen=True, slots=True)
class Step:
    """What importing does about one definition.

    Attributes:
        name: Its name.
        action: ``create``, ``update``, ``delete`` or ``unchanged``.
        version: The version that it has afterwards.
        fields: What differs from the version before.
    """

    name: str
    action: str
    version: int
    fields: list[dict[str, Any]]


async def export(definitions: Definitions, wanted: Filter | None = None) -> str:
    """Return definitions as a YAML list in the order of their names, without versions."""
    table, chosen = await definitions.table(), wanted or Filter()
    found = [each for _, each in sorted(table.documents.items()) if chosen.takes(each, definitions.kind)]
    return f"# {FIRST}\n{dump([definitions.kind.content(each) for each in found])}"


async def import_all(
    definitions: Definitions,
    documents: Sequence[Mapping[str, Any]],
    actor: Actor,
    *,
    dry_run: bool = False,
    prune: bool = False,
    reason: str = "",
) -> list[Step]:
    """Make the table hold `documents`, all of them or, where one is refused, none.

    Args:
        definitions: Where they go.
        documents: The definitions; a version in them is passed over.
        actor: Who does it.
        dry_run: Check everything and say what would be done, and write nothing.
        prune: Delete what the owners in `documents` have beside them.
        reason: Why, for the audit.

    Returns:
        What was done about each, in order, those that are pruned last.

    Raises:
        InvalidInputError: A name is given twice.
        ForbiddenError: The actor may not change one of them.
        PermanentError: One is refused; says why.
        TransientError: Kafka or the schema registry does not answer; nothing is written.
    """
    steps: list[Step] = []

    def made(table: Table) -> list[Edit]:
        edits = _edits(definitions, documents, table)
        if prune:
            edits += _pruned(edits, table)
        steps[:] = [_step(definitions, edit, table) for edit in edits]
        return [edit for edit in edits if edit.action != UNCHANGED]

    if dry_run:
        await definitions.decided(await definitions.table(), made, actor)
    else:
        await definitions.write(made, actor, reason)
    return steps


def _edits(definitions: Definitions, documents: Sequence[Mapping[str, Any]], table: Table) -> list[Edit]:
    edits: dict[str, Edit] = {}
    for each in documents:
        name = str(each.get("name"))
        version = table.versions.get(name, 0)
        found = table.documents.get(name)
        new = definitions.kind.parse({**each, "version": version + 1})
        if name in edits:
            raise InvalidInputError(
                f"{definitions.kind.noun} {name!r} is given twice", field="name", hint="name each once"
            )
        if found is not None and _same(definitions, found, new):
            edits[name] = Edit(UNCHANGED, found)
        else:
            exists = found["state"] != DELETED if found else name in table.refused
            edits[name] = Edit("update" if exists else "create", new)
    return list(edits.values())


def _pruned(edits: Sequence[Edit], table: Table) -> list[Edit]:
    names = {edit.document["name"] for edit in edits}
    owners = {edit.document["owner"] for edit in edits}
    return [
        Edit("delete", {**found, "state": DELETED, "version": found["version"] + 1})
        for name, found in sorted(table.documents.items())
        if name not in names and found["owner"] in owners and found["state"] != DELETED
    ]


def _step(definitions: Definitions, edit: Edit, table: Table) -> Step:
    new = edit.document
    before: Document = definitions.kind.content(table.documents[new["name"]]) if _known(new, table) else {}
    return Step(new["name"], edit.action, new["version"], changes(before, definitions.kind.content(new)))


def _known(document: Document, table: Table) -> bool:
    return document["name"] in table.documents


def _same(definitions: Definitions, left: Document, right: Document) -> bool:
    return definitions.kind.content(left) == definitions.kind.content(right)
