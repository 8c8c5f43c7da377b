"""Refusals of the services that keep what users define."""

from __future__ import annotations

from fleet.errors import PermanentError


class InvalidInputError(PermanentError):
    """What was asked cannot be read or makes no sense.

    Args:
        message: What is wrong, one line.
        field: The member, parameter or header that is wrong; empty for the whole.
        hint: One line that says what to do.
    """

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(message, reason="invalid_input", hint=hint)
        self.field = field


class NotFoundError(PermanentError):
    """There is nothing of that name."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, reason="not_found", hint=hint)


class ConflictError(PermanentError):
    """Somebody else was first: the version that was to be changed is not the current one.

    Args:
        message: What is there already, one line.
        version: The current version.
        hint: One line that says what to do.
    """

    def __init__(self, message: str, *, version: int, hint: str = "") -> None:
        super().__init__(message, reason="conflict", hint=hint)
        self.version = version


class UnauthenticatedError(PermanentError):
    """Nobody known asks."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, reason="unauthenticated", hint=hint)


class ForbiddenError(PermanentError):
    """Somebody known may not do it; the hint says what is missing."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, reason="forbidden", hint=hint)
