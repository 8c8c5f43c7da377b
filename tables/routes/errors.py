"""Errors of routing rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.errors import PermanentError

if TYPE_CHECKING:
    from fleet.cel.errors import ExpressionError


class RuleError(PermanentError):
    """A rule is refused as a whole: nothing of it becomes active.

    Args:
        message: What is wrong, one line.
        field: Field of the rule that is wrong, e.g. ``condition``; empty for the whole rule.
        line: Line inside an expression, from 1; 0 where there is none.
        column: Column inside an expression, from 1; 0 where there is none.
        hint: One line that says what to do.
    """

    def __init__(
        self, message: str, *, field: str = "", line: int = 0, column: int = 0, hint: str = ""
    ) -> None:
        super().__init__(message, reason="invalid_rule", hint=hint)
        self.field = field
        self.line = line
        self.column = column

    @classmethod
    def in_field(cls, field: str, error: ExpressionError) -> RuleError:
        """Return the error of an expression as one of the rule's `field`."""
        return cls(f"{field} {error.message}", field=field, line=error.line, column=error.column)

    def of(self, rule: str) -> RuleError:
        """Return the same error with the name of the rule in front."""
        message = f"rule {rule!r}: {self.message}"
        return RuleError(message, field=self.field, line=self.line, column=self.column, hint=self.hint)
