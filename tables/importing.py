"""Definitions in files: export all, import a list; importing what is there already changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    found = [
        each for _, each in sorted(table.documents.items()) if chosen.takes(each, definitions.kind.content)
    ]
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
    wanted = parsed(definitions.kind.parse, definitions.kind.noun, documents)

    def made(table: Table) -> list[Edit]:
        edits = _edits(definitions, wanted, table)
        if prune:
            edits += _pruned(edits, table)
        steps[:] = [_step(definitions, edit, table) for edit in edits]
        return [edit for edit in edits if edit.action != UNCHANGED]

    if dry_run:
        await definitions.checked(await definitions.table(), made, actor)
    else:
        await definitions.write(made, actor, reason)
    return steps


def parsed(
    parse: Callable[[Mapping[str, Any]], Document], noun: str, documents: Sequence[Mapping[str, Any]]
) -> list[Document]:
    """Return `documents` as definitions of version 1, each of another name.

    Raises:
        InvalidInputError: A name is given twice.
        PermanentError: One is refused; says why.
    """
    found: dict[str, Document] = {}
    for each in documents:
        new = parse({**each, "version": 1})
        if new["name"] in found:
            raise InvalidInputError(
                f"{noun} {new['name']!r} is given twice", field="name", hint="name each once"
            )
        found[new["name"]] = new
    return list(found.values())


def _edits(definitions: Definitions, wanted: Sequence[Document], table: Table) -> list[Edit]:
    edits = []
    for new in wanted:
        name = new["name"]
        found = table.documents.get(name)
        if found is not None and _same(definitions, found, new):
            edits.append(Edit(UNCHANGED, found))
        else:
            exists = found["state"] != DELETED if found else name in table.refused
            document = {**new, "version": table.versions.get(name, 0) + 1}
            edits.append(Edit("update" if exists else "create", document))
    return edits


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
