"""Errors of the routing language: what is refused at save time, what fails at run time."""

from __future__ import annotations

from fleet.errors import PermanentError


class RuleError(PermanentError):
    """A rule is refused as a whole: nothing of it becomes active.

    Args:
        message: What is wrong, one line.
        field: Field of the rule that is wrong, e.g. ``condition``; empty for the whole rule.
        line: Line inside the condition, from 1; 0 where there is none.
        column: Column inside the condition, from 1; 0 where there is none.
        hint: One line that says what to do.
    """

    def __init__(
        self, message: str, *, field: str = "", line: int = 0, column: int = 0, hint: str = ""
    ) -> None:
        super().__init__(message, reason="invalid_rule", hint=hint)
        self.field = field
        self.line = line
        self.column = column

    def of(self, rule: str) -> RuleError:
        """Return the same error with the name of the rule in front."""
        message = f"rule {rule!r}: {self.message}"
        return RuleError(message, field=self.field, line=self.line, column=self.column, hint=self.hint)


class EvaluationError(PermanentError):
    """A condition could not be decided for one event.

    Messages name types and fields only, never values, so that they may be logged.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="condition_failed")


def refused(detail: str, line: int, column: int) -> RuleError:
    """Return the error for `detail` at a position of the condition."""
    message = f"condition line {line} column {column}: {detail}"
    return RuleError(message, field="condition", line=line, column=column)
