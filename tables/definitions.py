"""Definitions that teams keep in a config table, of whatever kind: read, changed, paused, deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from fleet.errors import PermanentError
from tables.access import EDITORS, Actor
from tables.config_log import ConfigLog, Write
from tables.errors import ConflictError, InvalidInputError, NotFoundError
from tables.kinds import ACTIVE, DELETED, MAX_PAGE, PAGE, PAUSED, Edit, Filter, Kind, Page, Table

if TYPE_CHECKING:
    from tables.documents import Document
    from tables.log import Row, View

Make = Callable[[Table], Sequence[Edit]]
Change: TypeAlias = "Callable[[Document], Document]"


class Definitions:
    """The definitions of one kind.

    Args:
        log: Their table and its audit.
        kind: What they are.
    """

    def __init__(self, log: ConfigLog, kind: Kind) -> None:
        self.log = log
        self.kind = kind
        self._parsed: dict[str, tuple[int, Document | PermanentError]] = {}

    async def table(self) -> Table:
        """Return all definitions as they stand.

        Raises:
            TransientError: Kafka does not answer.
        """
        return self._table(await self.log.view())

    async def page(self, wanted: Filter | None = None, *, after: str = "", limit: int = PAGE) -> Page:
        """Return one page of the definitions that `wanted` takes, in the order of their names.

        Args:
            wanted: Which; all that are not deleted by default.
            after: Name after which the page begins.
            limit: Definitions on it, at most `MAX_PAGE`.
        """
        table, chosen = await self.table(), wanted or Filter()
        found = [each for _, each in sorted(table.documents.items()) if chosen.takes(each, self.kind.content)]
        rest = [each for each in found if each["name"] > after]
        items = rest[: min(limit, MAX_PAGE)]
        more = items[-1]["name"] if len(rest) > len(items) else ""
        return Page(items, more, len(found), table.offset, table.refused)

    async def get(self, name: str) -> Document:
        """Return a definition, also a deleted one.

        Raises:
            NotFoundError: There is none of that name.
            PermanentError: What is in the row is no definition.
        """
        return self._existing(await self.table(), name)

    async def create(self, document: Mapping[str, Any], actor: Actor, reason: str = "") -> Document:
        """Create a definition, or anew one that was deleted: its versions go on counting.

        Raises:
            ConflictError: There is one of that name.
            ForbiddenError: The actor may not.
            PermanentError: It is refused; says why.
            TransientError: Kafka or the schema registry does not answer; nothing is written.
        """

        def made(table: Table) -> list[Edit]:
            name = document.get("name")
            there = table.versions.get(name, 0) if isinstance(name, str) else 0
            found = table.documents.get(str(name))
            if there and (found is None or found["state"] != DELETED):
                raise ConflictError(
                    f"{self.kind.noun} {name!r} exists already",
                    version=there,
                    hint=f"update its version {there}, or choose another name",
                )
            return [Edit("create", self.kind.parse({**document, "version": there + 1}))]

        return await self._one(made, actor, reason)

    async def update(
        self, name: str, document: Mapping[str, Any], version: int | None, actor: Actor, reason: str = ""
    ) -> Document:
        """Replace a definition.

        Args:
            name: Its name.
            document: All of it; name may be left out, version counts up by itself.
            version: The version that is to be replaced; None for whichever is current.
            actor: Who does it.
            reason: Why, for the audit.

        Raises:
            NotFoundError: There is none of that name, or it is deleted.
            ConflictError: Another version is the current one.
            ForbiddenError: The actor may not.
            PermanentError: It is refused; says why.
            TransientError: Kafka or the schema registry does not answer; nothing is written.
        """
        if document.get("name", name) != name:
            raise InvalidInputError(
                f"name: {document['name']!r} is not {name!r}", field="name", hint="names do not change"
            )

        def made(table: Table) -> list[Edit]:
            self._require(table, name, version)
            new = {**document, "name": name, "version": table.versions[name] + 1}
            return [Edit("update", self.kind.parse(new))]

        return await self._one(made, actor, reason)

    async def pause(self, name: str, version: int | None, actor: Actor, reason: str = "") -> Document:
        """Let a definition do nothing until it is resumed; see `update` for arguments and errors."""
        return await self._to_state(name, PAUSED, "pause", version, actor, reason)

    async def resume(self, name: str, version: int | None, actor: Actor, reason: str = "") -> Document:
        """Make a draft or paused definition active; see `update` for arguments and errors."""
        return await self._to_state(name, ACTIVE, "resume", version, actor, reason)

    async def delete(self, name: str, version: int | None, actor: Actor, reason: str = "") -> Document:
        """Delete a definition; its row and its history stay. See `update` for arguments and errors."""
        return await self._to_state(name, DELETED, "delete", version, actor, reason)

    async def restore(
        self, name: str, content: Document, version: int | None, actor: Actor, reason: str = ""
    ) -> Document:
        """Write what an older version held as the next one; see `update` for arguments and errors."""

        def made(table: Table) -> list[Edit]:
            self._require(table, name, version, deleted=True)
            return [Edit("rollback", self.kind.parse({**content, "version": table.versions[name] + 1}))]

        return await self._one(made, actor, reason)

    async def amend(
        self,
        name: str,
        action: str,
        change: Change,
        version: int | None,
        actor: Actor,
        *,
        reason: str = "",
        settled: bool = False,
    ) -> Document:
        """Write what `change` makes of a definition; nothing, where that is what is there.

        Args:
            name: Its name.
            action: What it is in the audit.
            change: Gets the definition and returns the new one; may be called again with a newer one, and may
                raise to refuse.
            version: The version that is to be replaced; None for whichever is current.
            actor: Who does it.
            reason: Why, for the audit.
            settled: Whether `change` sets what the platform sets.

        Returns:
            The definition as it is then. See `update` for errors.
        """
        kept: Document = {}

        def made(table: Table) -> list[Edit]:
            self._require(table, name, version)
            kept.update(self._existing(table, name))
            new = change(dict(kept))
            if new == kept:
                return []
            return [Edit(action, {**new, "version": table.versions[name] + 1}, settled)]

        written = await self.write(made, actor, reason)
        return written[0] if written else kept

    async def write(self, made: Make, actor: Actor, reason: str = "") -> list[Document]:
        """Write what `made` makes of the table, all of it or nothing; return what was written.

        Args:
            made: Gives the definitions to write; may be called again with a newer table.
            actor: Who does it: must be allowed to change each of them.
            reason: Why, for the audit.

        Raises:
            ForbiddenError: The actor may not change one of them.
            PermanentError: One is refused; says why.
            TransientError: Kafka or the schema registry does not answer; nothing is written.
        """

        async def decide(view: View) -> list[Write]:
            table = self._table(view)
            edits = await self.checked(table, made, actor)
            documents = [await self._completed(edit, table) for edit in edits]
            return [
                Write(name=document["name"], action=edit.action, after=document)
                for edit, document in zip(edits, documents, strict=True)
            ]

        changed = await self.log.change(decide, actor, reason)
        return [dict(write.after) for write in changed.writes]

    async def checked(self, table: Table, made: Make, actor: Actor) -> Sequence[Edit]:
        """Return what `write` would write into `table`, after every check; see there for what is raised."""
        edits = made(table)
        for edit in edits:
            self._require_editor(table, edit.document, actor)
        wanted = {edit.document["name"]: edit.document for edit in edits}
        new = [edit.document for edit in edits if not edit.settled]
        if new:
            await self.kind.check(new, {**table.documents, **wanted})
        return edits

    async def _completed(self, edit: Edit, table: Table) -> Document:
        if edit.settled:
            return edit.document
        return await self.kind.complete(edit.document, table.documents.get(edit.document["name"]))

    async def _one(self, made: Make, actor: Actor, reason: str) -> Document:
        (written,) = await self.write(made, actor, reason)
        return written

    async def _to_state(
        self, name: str, state: str, action: str, version: int | None, actor: Actor, reason: str
    ) -> Document:
        return await self.amend(
            name, action, lambda found: {**found, "state": state}, version, actor, reason=reason
        )

    def _require(self, table: Table, name: str, version: int | None, *, deleted: bool = False) -> None:
        """Check that a definition is there, in the version that is to be changed."""
        if name not in table.refused:
            found = self._existing(table, name)
            if found["state"] == DELETED and not deleted:
                raise NotFoundError(
                    f"{self.kind.noun} {name!r} is deleted", hint="roll it back to a version, or create it"
                )
        current = table.versions[name]
        if version not in (None, current):
            raise ConflictError(
                f"{self.kind.noun} {name!r} is at version {current}, not {version}",
                version=current,
                hint="read it again and apply your change to that version",
            )

    def _require_editor(self, table: Table, document: Document, actor: Actor) -> None:
        name = document["name"]
        what = f"change {self.kind.noun} {name!r}"
        if name in table.refused:
            # Whose it is cannot be told.
            actor.require((), f"{what}, whose row is refused")
        owners = {document["owner"]}
        if name in table.documents:
            owners.add(table.documents[name]["owner"])
        for owner in sorted(owners):
            actor.require(EDITORS, what, team=owner)

    def _existing(self, table: Table, name: str) -> Document:
        if name in table.refused:
            raise PermanentError(
                f"the row of {self.kind.noun} {name!r} is refused: {table.refused[name]}",
                reason="refused_row",
                hint="write it anew, or roll it back to a good version",
            )
        if name not in table.documents:
            raise NotFoundError(f"no {self.kind.noun} {name!r}", hint="see the list for those there are")
        return table.documents[name]

    def _table(self, view: View) -> Table:
        table = Table({}, {}, {}, view.offset)
        for name, row in view.rows.items():
            parsed = self._parse(name, row)
            if isinstance(parsed, PermanentError):
                table.refused[name] = str(parsed)
                table.versions[name] = _version(row.value)
            else:
                table.documents[name] = parsed
                table.versions[name] = parsed["version"]
        return table

    def _parse(self, name: str, row: Row) -> Document | PermanentError:
        """Return what a row holds; a row is parsed once, however often the table is read."""
        known = self._parsed.get(name)
        if known is not None and known[0] == row.offset:
            return known[1]
        parsed: Document | PermanentError
        try:
            found = orjson.loads(row.value)
            parsed = self.kind.parse(found if isinstance(found, dict) else {})
            if parsed["name"] != name:
                parsed = InvalidInputError(f"it holds {parsed['name']!r}", field="name")
        except orjson.JSONDecodeError as error:
            parsed = InvalidInputError(f"it is not JSON: {error}")
        except PermanentError as error:
            parsed = error
        self._parsed[name] = (row.offset, parsed)
        return parsed


def _version(value: bytes) -> int:
    """Return the version in a row that is refused: no version may mean two definitions."""
    try:
        version = orjson.loads(value)["version"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return 1
    return version if isinstance(version, int) and version > 0 else 1
