"""Other content for a copy of a dead letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from fleet.lane.dead_letters import PREFIX
from tables.dead_letters.payload import Payload, encoded
from tables.dead_letters.redriving import Content
from tables.errors import InvalidInputError

if TYPE_CHECKING:
    from fleet.lane.effects import Headers
    from schemas.registry import Registry


class Edit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an edited copy has in place of the record's own; what is not given stays.

    Attributes:
        key: New key, as ``text``, ``hex`` or ``none``.
        payload: New value.
        headers: New headers, all of them: names and values as text.
    """

    key: Payload | msgspec.UnsetType = msgspec.UNSET
    payload: Payload | msgspec.UnsetType = msgspec.UNSET
    headers: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET


async def edited(old: Content, edit: Edit, registry: Registry) -> Content:
    """Return `old` with what `edit` gives in its place.

    Raises:
        InvalidInputError: The new content cannot be encoded.
        PermanentError: The registry does not know the schema.
        TransientError: The registry does not answer.
    """
    key, value, headers = old.key, old.value, old.headers
    if not isinstance(edit.key, msgspec.UnsetType):
        if edit.key.format not in ("text", "hex", "none"):
            raise InvalidInputError("key.format must be text, hex or none", field="key.format")
        key = await encoded(edit.key, registry)
    if not isinstance(edit.payload, msgspec.UnsetType):
        value = await encoded(edit.payload, registry)
    if not isinstance(edit.headers, msgspec.UnsetType):
        headers = _headers(edit.headers, old.headers)
    return Content(key, value, headers)


def _headers(wanted: Sequence[tuple[str, str]], old: Headers) -> Headers:
    """Return headers as bytes; one that is as it is shown keeps the bytes that it had."""
    if own := [name for name, _ in wanted if name.startswith(PREFIX)]:
        raise InvalidInputError(
            f"header {own[0]} is the platform's own", field="headers", hint="leave such headers out"
        )
    had = {(name, header_text(value)): value for name, value in old}
    return tuple((name, had.get((name, text), text.encode())) for name, text in wanted)


def header_text(value: bytes | None) -> str:
    """Return a header's value as people read it; bytes that are no UTF-8 as escapes."""
    return (value or b"").decode(errors="backslashreplace")
