"""Cursors: where the next page of an answer begins, opaque to clients."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from tables.errors import InvalidInputError


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page begins.

    Attributes:
        question: What was asked: a cursor goes with that alone.
        build: Number of the build that the pages are of, whatever is served by now.
        after: Key of the last row of the page before.
    """

    question: str
    build: int
    after: str

    def text(self) -> str:
        """Return it as clients have it."""
        return urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


def parse_cursor(text: str, question: str) -> Cursor:
    """Return the cursor of a question.

    Raises:
        InvalidInputError: It is none, or one of another question.
    """
    try:
        data = urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}")
        found = msgspec.json.decode(data, type=Cursor)
    except (ValueError, msgspec.MsgspecError):
        found = None
    if found is None or found.question != question:
        hint = "send the one in `next` of the page before, with the same path and parameters"
        raise InvalidInputError("cursor is not one of this question", field="cursor", hint=hint)
    return found
