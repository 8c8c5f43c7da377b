"""Errors of the expression language: what is refused when saved, what fails at run time."""

from __future__ import annotations

from fleet.errors import PermanentError


class ExpressionError(PermanentError):
    """An expression is refused before it is ever evaluated.

    Args:
        message: What is wrong and what would be right, one line, without the position.
        line: Line in the expression, from 1.
        column: Column in the expression, from 1.
    """

    def __init__(self, message: str, *, line: int, column: int) -> None:
        super().__init__(f"line {line} column {column}: {message}", reason="invalid_expression")
        self.line = line
        self.column = column


class EvaluationError(PermanentError):
    """An expression could not be evaluated for one event.

    Messages name types and fields only, never values, so that they may be logged.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="condition_failed")


def refused(detail: str, line: int, column: int) -> ExpressionError:
    """Return the error for `detail` at a position of the expression."""
    return ExpressionError(detail, line=line, column=column)
