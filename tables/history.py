"""What definitions were: every version with who wrote it, the difference of two, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from fleet.errors import PermanentError
from tables.documents import Document, changes, dump, unified
from tables.errors import InvalidInputError, NotFoundError
from tables.kinds import DELETED

if TYPE_CHECKING:
    from tables.access import Actor
    from tables.definitions import Definitions


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a definition.

    Attributes:
        version: Its number.
        action: What made it, e.g. ``update``; empty where no audit record tells.
        at: When, RFC 3339; empty where no audit record tells.
        actor: Who; empty where no audit record tells.
        reason: Why, in their words.
        document: What it holds.
    """

    version: int
    action: str
    at: str
    actor: Mapping[str, Any]
    reason: str
    document: Document


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two versions.

    Attributes:
        fields: For each field that differs its path, and both values.
        text: Both as YAML, as a unified diff.
    """

    fields: list[dict[str, Any]]
    text: str


async def history(definitions: Definitions, name: str) -> list[Version]:
    """Return all versions of a definition, the newest first.

    Raises:
        NotFoundError: There never was one of that name.
        TransientError: Kafka does not answer.
    """
    found: dict[int, Version] = {}
    async with aclosing(definitions.log.records(name)) as records:
        async for record in records:
            _take(found, _audited(record.value))
    current = (await definitions.table()).documents.get(name)
    if current is not None:
        found.setdefault(current["version"], _untold(current))
    if not found:
        raise NotFoundError(f"no {definitions.kind.noun} {name!r}", hint="see the list for those there are")
    return [found[version] for version in sorted(found, reverse=True)]


async def diff(definitions: Definitions, name: str, old: int, new: int) -> Difference:
    """Return what differs between versions `old` and `new` of a definition.

    Raises:
        NotFoundError: There is no such version.
        TransientError: Kafka does not answer.
    """
    versions = await history(definitions, name)
    left, right = (_of(definitions, versions, name, number) for number in (old, new))
    texts = tuple(dump(_content(definitions, each.document)) for each in (left, right))
    fields = changes(_content(definitions, left.document), _content(definitions, right.document))
    return Difference(fields, unified(texts[0], texts[1], (f"{name}@{old}", f"{name}@{new}")))


async def rollback(
    definitions: Definitions, name: str, to: int, version: int | None, actor: Actor, reason: str = ""
) -> Document:
    """Write what version `to` of a definition held as its next version.

    Args:
        definitions: Where it is.
        name: Its name.
        to: The version to go back to.
        version: The version that is to be replaced; None for whichever is current.
        actor: Who does it.
        reason: Why, for the audit.

    Raises:
        NotFoundError: There is no such version.
        InvalidInputError: That version is a deletion.
        ConflictError: Another version is the current one.
        ForbiddenError: The actor may not.
        PermanentError: It is refused as things are now; says why.
        TransientError: Kafka or the schema registry does not answer; nothing is written.
    """
    content = _of(definitions, await history(definitions, name), name, to).document
    if content.get("state") == DELETED:
        raise InvalidInputError(
            f"version {to} of {definitions.kind.noun} {name!r} is its deletion", hint="name an earlier one"
        )
    return await definitions.restore(name, content, version, actor, reason or f"back to version {to}")


def _of(definitions: Definitions, versions: list[Version], name: str, number: int) -> Version:
    for each in versions:
        if each.version == number:
            return each
    raise NotFoundError(
        f"{definitions.kind.noun} {name!r} has no version {number}",
        hint=f"its versions are {versions[-1].version} to {versions[0].version}",
    )


def _content(definitions: Definitions, document: Document) -> Document:
    try:
        return definitions.kind.content(definitions.kind.parse(document))
    except PermanentError:
        # Of a time when other things were allowed: shown as it was.
        return document


def _audited(value: bytes | None) -> Mapping[str, Any]:
    try:
        found = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _take(found: dict[int, Version], record: Mapping[str, Any]) -> None:
    before, after = record.get("before"), record.get("after")
    if isinstance(before, dict) and isinstance(before.get("version"), int):
        # Written before there was an audit.
        found.setdefault(before["version"], _untold(before))
    if isinstance(after, dict) and isinstance(after.get("version"), int):
        told = (str(record.get("action")), str(record.get("at")), dict(record.get("actor") or {}))
        found[after["version"]] = Version(after["version"], *told, str(record.get("reason")), after)


def _untold(document: Document) -> Version:
    return Version(document["version"], "", "", {}, "", document)
