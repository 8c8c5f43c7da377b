"""Refusals of the services that keep what users define."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from fleet.errors import PermanentError

if TYPE_CHECKING:
    from fleet.cel.errors import ExpressionError


class DefinitionError(PermanentError):
    """A definition is refused as a whole: nothing of it becomes active.

    Args:
        message: What is wrong, one line.
        field: Field of the definition that is wrong, e.g. ``condition``; empty for the whole of it.
        line: Line inside an expression, from 1; 0 where there is none.
        column: Column inside an expression, from 1; 0 where there is none.
        hint: One line that says what to do.

    Attributes:
        noun: What people call such a definition.
        reason: Machine-readable reason of all such errors.
    """

    noun: ClassVar[str]
    reason: str

    def __init__(
        self, message: str, *, field: str = "", line: int = 0, column: int = 0, hint: str = ""
    ) -> None:
        super().__init__(message, reason=type(self).reason, hint=hint)
        self.field = field
        self.line = line
        self.column = column

    @classmethod
    def in_field(cls, field: str, error: ExpressionError) -> Self:
        """Return the error of an expression as one of the definition's `field`."""
        return cls(f"{field} {error.message}", field=field, line=error.line, column=error.column)

    def of(self, name: str) -> Self:
        """Return the same error with the name of the definition in front."""
        message = f"{self.noun} {name!r}: {self.message}"
        return type(self)(message, field=self.field, line=self.line, column=self.column, hint=self.hint)


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
