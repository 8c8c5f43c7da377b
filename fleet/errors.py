"""The one error tree of the platform.

Three kinds decide what happens to the work at hand:

* `PermanentError`: this record can never be processed; it becomes a dead letter.
* `TransientError`: try the same work again later; nothing is dead-lettered.
* `FatalError`: the worker (or the command) must stop, a person has to act.
"""

from __future__ import annotations


class EventfleetError(Exception):
    """Base of all errors raised by Eventfleet.

    Args:
        message: One line that says what is wrong, naming the field or part.
        hint: One line that says what to do, or an empty string.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class PermanentError(EventfleetError):
    """The record can never be processed as it is: dead-letter it.

    Args:
        message: Human-readable detail, free of record contents.
        reason: Stable machine-readable reason, e.g. ``unknown_schema_id``.
        hint: One line that says what to do.
    """

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class TransientError(EventfleetError):
    """The same work may succeed later: pause and retry, never dead-letter."""


class FatalError(EventfleetError):
    """A person has to act: stop, with one line that says what to do.

    Attributes:
        cause: Stable machine-readable name of what is wrong, for metrics.
    """

    @property
    def cause(self) -> str:
        """The kind of error, unless it knows better."""
        return type(self).__name__
